"""The plan: what it may say, what it says back, and dice that repeat."""

import json

import pytest

from skerry.simulator.apns.chaos import CALM, Chaos, ChaosError, Plan
from skerry.simulator.apns.fault import Subject
from skerry.simulator.clock import FrozenClock

NOW = 1_790_000_000.0
ANY = Subject()
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
    "late": [{"share": 0.1, "ms": {"median": 40, "p99": 900}}, {"share": 1.0, "address": "127.0.0.2", "ms": 3000}],
    "reply": {
        "share": 0.5,
        "pieces": 3,
        "continuation": 2,
        "padding": 9,
        "interim": 1,
        "trailers": True,
        "end": "data",
        "apns_id": "upper",
        "date_skew_s": -3600,
        "then": "data",
    },
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
    "settings": {"max_frame_size": 20_000, "7": 5},
    "settings_delay_ms": 2000,
    "omit_settings": True,
    "stop_reading": True,
    "ignore_ping": True,
    "ping_delay_ms": 30,
    "at_open": {"share": 1.0, "times": 2, "before_settings": True, "goaway": {"reason": "BadCertificateEnvironment"}},
    "accept": [{"how": "alert", "alert": "certificate_revoked", "connection": 3}, {"how": "flawed", "flaw": "expired"}],
    "connection_rate": {"connections": 5, "per_s": 2.0, "block_s": 30.0},
    "auth": {"token_age_s": 60, "per_team": True, "expired_before": NOW},
    "script": [
        {"at_s": 5, "goaway": {"code": 2, "kept": 300, "serve": False, "close_after_s": 0, "close": "rst", "times": 2}},
        {"after_requests": 10, "repeat": True, "drop": "black_hole"},
        {"after_rejections": 1, "set": {"max_concurrent_streams": 1}},
        {"at_s": 7, "repeat": True, "connections": "oldest", "settings": {"header_table_size": 0}},
        {"at_s": 8, "address": "127.0.0.2", "frames": {"type": "ping", "payload": "00" * 8, "count": 100}},
        {"at_s": 9, "expire_tokens": True},
    ],
    "unavailable_until": NOW + 5,
    "documented_spellings": True,
}


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


def test_an_empty_plan_is_calm(clock):
    chaos = Chaos(clock, {})
    assert chaos.plan == Plan()
    assert chaos.decide(Subject()) is CALM


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
        ({"close_after": {"requests": 1, "mode": "no"}}, "close_after.mode must be one of eof, fin, half_close, rst"),
        ({"late": 0.1}, "late must be an object"),
        ({"late": {"share": 0.1}}, "late.ms is missing"),
        ({"reply": {"pieces": 0}}, "reply.pieces must be"),
        ({"reset": {"when": "later"}}, "reset.when must be one of headers, request"),
        ({"accept": {}}, "accept.how is missing"),
        ({"settings": {"max_frames": 1}}, "settings has no setting 'max_frames'"),
        ({"settings": {"max_concurrent_streams": 1}}, "use initial_streams"),
        ({"auth": {"age": 1}}, "unknown field auth.age"),
        ({"script": {"at_s": 1}}, "script must have exactly one of set, goaway"),
        ({"script": [{"drop": "rst"}]}, r"script\[0\] must have exactly one of at_s, after_requests"),
        ({"script": [{"at_s": 1, "set": {"script": []}}]}, r"script\[0\].set must be an object"),
        ({"script": [{"at_s": 1, "drop": "rst", "connections": "this"}]}, "connections must not be this"),
        ({"script": [{"at_s": 0, "drop": "rst", "repeat": True}]}, "at_s must be above 0"),
        ({"script": [{"at_s": 1, "frames": {"type": "hello"}}]}, "frames.type must be one of data"),
        ({"script": [{"at_s": 1, "frames": {"type": 9, "payload": "xx"}}]}, "frames.payload must be hexadecimal"),
        (
            {"script": [{"at_s": 1, "goaway": {"last_stream": "none"}}]},
            "last_stream must be a stream id, served or max",
        ),
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
        return [chaos.decide(Subject(event=event, token=token)) for event, token in requests]

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_putting_the_same_plan_again_rolls_the_same_dice(clock):
    chaos = Chaos(clock, {"silent": 0.5})
    first = [chaos.decide(ANY).silent for _ in range(50)]
    chaos.update_from({"silent": 0.5})
    assert [chaos.decide(ANY).silent for _ in range(50)] == first


def test_shares_are_kept(clock):
    chaos = Chaos(clock, {"silent": 0.1})
    assert 800 < sum(chaos.decide(ANY).silent for _ in range(10_000)) < 1200


def test_a_fault_may_be_for_one_event_one_token_or_some_times_only(clock):
    chaos = Chaos(clock, {"silent": {"event": "start"}, "refuse": {"token": "AB"}, "reset": {"times": 2, "code": 8}})
    assert chaos.decide(Subject(event="start", token="cd")).silent
    assert not chaos.decide(Subject(event="update", token="cd")).silent
    assert chaos.decide(Subject(event="update", token="ab")).refuse
    assert not chaos.decide(Subject(event="update", token="cd")).refuse
    chaos.update_from({"reset": {"times": 2, "code": 8}})
    assert [(one := chaos.decide(ANY).reset) and one.code for _ in range(4)] == [8, 8, None, None]


def test_a_fault_that_is_used_up_shifts_no_other(clock):
    def silences(times: int) -> list[bool]:
        chaos = Chaos(clock, {"silent": 0.5, "refuse": {"share": 0.5, "times": times}})
        return [chaos.decide(ANY).silent for _ in range(100)]

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


def test_a_change_keeps_the_dice_and_what_has_been_hit(clock):
    plan = {"silent": 0.5, "refuse": {"times": 1}}
    plain, changed = Chaos(clock, plan), Chaos(clock, plan)
    first = [(plain.decide(ANY).silent, changed.decide(ANY).silent) for _ in range(50)]
    changed.change({"ignore_ping": True})
    assert [plain.decide(ANY) for _ in range(50)] == [changed.decide(ANY) for _ in range(50)]
    assert all(one == other for one, other in first)
    assert changed.plan.ignore_ping
    with pytest.raises(ChaosError, match=r"silent\.share"):
        changed.change({"silent": 2})
    assert changed.plan.silent == plain.plan.silent


def test_a_log_normal_latency_has_its_median_and_its_tail(clock):
    chaos = Chaos(clock, {"latency_ms": {"median": 40, "p99": 1000}})
    drawn = sorted(chaos.decide(ANY).latency_s * 1000 for _ in range(10_000))
    assert 38 < drawn[5_000] < 42
    assert 800 < drawn[9_900] < 1250
