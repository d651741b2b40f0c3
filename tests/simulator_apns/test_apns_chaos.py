"""The plan: what it may say, what it says back, and dice that repeat."""

import json

import pytest

from skerry.simulator.apns.chaos import CALM, Chaos, ChaosError, Plan
from skerry.simulator.clock import FrozenClock

NOW = 1_790_000_000.0
FULL = {
    "seed": 7,
    "latency_ms": {"min": 5, "max": 20},
    "reject": [
        {"share": 0.5, "reason": "BadDeviceToken", "event": "start"},
        {"reason": "Odd", "status": 302, "body": "<html>", "times": 2, "token": "AB"},
        {"reason": "Unregistered", "timestamp": "yesterday"},
        {"reason": "ServiceUnavailable", "retry_after_s": 30},
    ],
    "silent": 0.01,
    "refuse": {"share": 0.1, "times": 3},
    "reset": [{"share": 0.2, "code": 8}, 0.1],
    "drop_answer": {"event": "end"},
    "goaway_every": 300,
    "close_after": {"requests": 10, "mode": "rst"},
    "too_many_errors": 5,
    "initial_streams": 0,
    "max_concurrent_streams": 250,
    "limit_after_rejection": True,
    "refuse_surplus": False,
    "window": {"stream": 0, "connection": 100_000, "withhold": True},
    "header_table_size": 0,
    "settings_delay_ms": 2000,
    "ignore_ping": True,
    "unavailable_until": NOW + 5,
    "documented_spellings": True,
}


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


def test_an_empty_plan_is_calm(clock):
    chaos = Chaos(clock, {})
    assert chaos.plan == Plan()
    assert chaos.decide("start", "ab") is CALM


def test_a_plan_says_back_what_it_was_told(clock):
    chaos = Chaos(clock, FULL)
    said = chaos.as_dict()
    assert json.loads(json.dumps(said)) == said
    assert said["reject"][1] == {
        "share": 1.0,
        "reason": "Odd",
        "status": 302,
        "body": "<html>",
        "times": 2,
        "token": "ab",
    }
    assert Plan.from_dict(said, NOW) == chaos.plan


def test_a_calm_plan_shows_every_field_and_can_be_put_back(clock):
    chaos = Chaos(clock)
    assert set(chaos.as_dict()) == set(FULL)
    chaos.update_from(chaos.as_dict())
    assert chaos.plan == Plan()


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        ([], "the plan must be an object"),
        ({"latencyms": 5}, "unknown field latencyms"),
        ({"latency_ms": "5"}, "latency_ms.min must be a number"),
        ({"latency_ms": -1}, "latency_ms.min must be a number of 0 or more"),
        ({"latency_ms": float("nan")}, "latency_ms.min must be a number"),
        ({"latency_ms": {"min": 9, "max": 3}}, "latency_ms.max must not be below"),
        ({"latency_ms": {"mean": 3}}, "unknown field latency_ms.mean"),
        ({"silent": 1.5}, "silent.share must be a number from 0 to 1"),
        ({"silent": True}, "silent.share must be a number"),
        ({"silent": {"share": 0.1, "reason": "x"}}, "unknown field silent.reason"),
        ({"refuse": {"event": "begin"}}, "refuse.event must be one of start, update, end"),
        ({"refuse": {"times": 0}}, "refuse.times must be a whole number of 1 or more"),
        ({"reject": 0.5}, "reject must be an object"),
        ({"reject": {"share": 1}}, "reject.reason is missing"),
        ({"reject": {"reason": "Odd"}}, "reject.status is missing"),
        ({"reject": {"reason": "BadTopic", "status": 99}}, "reject.status must be a whole number from 200 to 599"),
        ({"reject": [{"reason": "BadTopic"}, {"reason": 4}]}, r"reject\[1\].reason must be a string"),
        ({"reject": {"reason": "Unregistered", "timestamp": []}}, "reject.timestamp must be"),
        ({"reset": {"code": -1}}, "reset.code must be"),
        ({"goaway_every": 0}, "goaway_every must be a whole number of 1 or more"),
        ({"goaway_every": 2.5}, "goaway_every must be a whole number"),
        ({"close_after": {"mode": "eof"}}, "close_after.requests is missing"),
        ({"close_after": {"requests": 1, "mode": "fin"}}, "close_after.mode must be one of eof, rst"),
        ({"limit_after_rejection": 1}, "limit_after_rejection must be true or false"),
        ({"window": 5}, "window must be an object"),
        ({"window": {"connection": 100}}, "window.connection must be"),
        ({"unavailable_s": 5, "unavailable_until": 7}, "exclude each other"),
        ({"seed": -1}, "seed must be"),
        ({"header_table_size": 65_537}, "header_table_size must be"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_by_name_and_changes_nothing(clock, plan, complaint):
    chaos = Chaos(clock, {"silent": 0.5})
    before = chaos.as_dict()
    with pytest.raises(ChaosError, match=complaint):
        chaos.update_from(plan)
    assert chaos.as_dict() == before


def test_null_is_the_default(clock):
    assert Plan.from_dict(dict.fromkeys(FULL), NOW) == Plan()


def test_the_same_seed_decides_the_same_requests_alike(clock):
    plan = {"seed": 3, "silent": 0.2, "refuse": 0.2, "reject": {"share": 0.3, "reason": "BadTopic"}, "latency_ms": 5}
    requests = [(("start", "update", "end")[n % 3], f"{n:04x}") for n in range(300)]

    def run(seed: int) -> list[object]:
        chaos = Chaos(clock, plan | {"seed": seed})
        return [chaos.decide(*request) for request in requests]

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_putting_the_same_plan_again_rolls_the_same_dice(clock):
    chaos = Chaos(clock, {"silent": 0.5})
    first = [chaos.decide(None, None).silent for _ in range(50)]
    chaos.update_from({"silent": 0.5})
    assert [chaos.decide(None, None).silent for _ in range(50)] == first


def test_shares_are_kept(clock):
    chaos = Chaos(clock, {"silent": 0.1})
    assert 800 < sum(chaos.decide(None, None).silent for _ in range(10_000)) < 1200


def test_a_fault_may_be_for_one_event_one_token_or_some_times_only(clock):
    chaos = Chaos(clock, {"silent": {"event": "start"}, "refuse": {"token": "AB"}, "reset": {"times": 2, "code": 8}})
    assert chaos.decide("start", "cd").silent
    assert not chaos.decide("update", "cd").silent
    assert chaos.decide("update", "ab").refuse
    assert not chaos.decide("update", "cd").refuse
    chaos.update_from({"reset": {"times": 2, "code": 8}})
    assert [chaos.decide(None, None).reset_code for _ in range(4)] == [8, 8, None, None]


def test_a_fault_that_is_used_up_shifts_no_other(clock):
    def silences(times: int) -> list[bool]:
        chaos = Chaos(clock, {"silent": 0.5, "refuse": {"share": 0.5, "times": times}})
        return [chaos.decide(None, None).silent for _ in range(100)]

    assert silences(1) == silences(1000)


def test_unavailability_ends_with_simulated_time(clock):
    chaos = Chaos(clock, {"unavailable_s": 120})
    assert chaos.as_dict()["unavailable_until"] == NOW + 120
    assert chaos.unavailable(clock.now())
    clock.advance(120)
    assert not chaos.unavailable(clock.now())


def test_listeners_hear_of_changes_and_not_of_refusals(clock):
    chaos, heard = Chaos(clock), []
    chaos.subscribe(lambda: heard.append(chaos.plan.seed))
    chaos.update_from({"seed": 5})
    with pytest.raises(ChaosError):
        chaos.update_from({"seed": "x"})
    assert heard == [5]
