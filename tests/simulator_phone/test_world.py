"""The world: who holds a token, what falls due, and that nothing a phone does reaches APNs as an error."""

import asyncio
import contextlib
import json
from typing import Any

import pytest

from skerry.domain.push import Environment
from skerry.simulator.carrier import Broadcast, Delivery, TokenKind
from skerry.simulator.clock import FrozenClock
from skerry.simulator.phone.card import CardStatus
from skerry.simulator.phone.phone import Phone
from skerry.simulator.phone.reports import Report, ReportPolicy, ReportRule
from skerry.simulator.phone.verdict import Verdict
from skerry.simulator.world import UnknownPhoneError, World

SANDBOX, PRODUCTION = Environment.SANDBOX, Environment.PRODUCTION


class Ears:
    """In place of the reporter: hears what leaves the phones."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.forgotten: list[str] = []

    def submit(self, phone_id: str, reports: list[Report]) -> None:
        self.heard += [(phone_id, report.kind.value) for report in reports]

    def forget(self, phone_id: str) -> None:
        self.forgotten.append(phone_id)

    async def run(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def world(ears: Ears) -> World:
    return World(FrozenClock(), reporter=ears)  # type: ignore[arg-type]


def push(world: World, token: str | None, event: str = "start", environment: Environment = SANDBOX) -> None:
    aps: dict[str, Any] = {"timestamp": int(world.clock.now()), "event": event, "content-state": {}}
    if event == "start":
        aps |= {"attributes-type": "T", "attributes": {"referenceId": "g"}, "alert": {"title": ""}}
    body = json.dumps({"aps": aps}).encode()
    assert token is not None
    world.deliver(Delivery(environment, token, "id", "t", "liveactivity", 10, None, body, world.clock.now()))


def test_phones_are_numbered_and_belong_to_their_users(world: World) -> None:
    world.add_phones(2)
    (third,) = world.add_phones(1, user="fan", environment=PRODUCTION, os_version="17.0")
    assert list(world.phones) == ["phone-1", "phone-2", "phone-3"]
    assert [phone.user for phone in world.phones.values()] == ["user-1", "user-2", "fan"]
    assert third.start_token is None
    with pytest.raises(UnknownPhoneError, match="phone-9"):
        world.phone("phone-9")


@pytest.mark.parametrize(("changes", "field"), [({"count": 0}, "count"), ({"os_version": "x"}, "os_version")])
def test_phones_that_cannot_be_are_refused_whole(world: World, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        world.add_phones(**changes)
    assert world.phones == {}


def test_a_token_stands_only_in_its_environment_and_in_any_case_of_letters(world: World) -> None:
    (phone,) = world.add_phones()
    token = phone.start_token
    assert token is not None
    standing = world.standing(SANDBOX, token.upper())
    assert standing is not None
    assert (standing.bundle_id, standing.kind, standing.gone) == ("com.example.skerry", TokenKind.START, None)
    assert world.standing(PRODUCTION, token) is None
    assert world.standing(SANDBOX, "80" * 80) is None


def test_a_started_card_makes_its_update_token_known(world: World, ears: Ears) -> None:
    (phone,) = world.add_phones()
    push(world, phone.start_token)
    token = phone.cards[0].update_token
    assert token is not None
    standing = world.standing(SANDBOX, token)
    assert standing is not None
    assert standing.kind is TokenKind.UPDATE
    assert ears.heard == [("phone-1", "LiveActivityStartToken"), ("phone-1", "LiveActivityUpdateToken")]


def test_the_same_seed_gives_the_same_world() -> None:
    def tokens(seed: str) -> list[str | None]:
        return [phone.start_token for phone in World(FrozenClock(), seed=seed).add_phones(5)]

    assert tokens("a") == tokens("a")
    assert not set(tokens("a")) & set(tokens("b"))


def test_a_push_nobody_can_take_is_counted(world: World) -> None:
    push(world, "ab" * 80)
    assert world.unclaimed == 1


def test_deliver_never_raises(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (phone,) = world.add_phones()

    def broken(*_: object) -> None:
        raise RuntimeError("a fault in the phone")

    monkeypatch.setattr(Phone, "receive", broken)
    push(world, phone.start_token)


def test_moving_time_fires_all_timers_of_all_phones(world: World, ears: Ears) -> None:
    for phone in world.add_phones(500):
        push(world, phone.start_token)
    ears.heard.clear()
    world.advance(8 * 3600)
    assert world.counts()[1] == {CardStatus.ENDED: 500}
    assert len(ears.heard) == 500
    world.advance(4 * 3600)
    assert world.counts()[1] == {CardStatus.DISMISSED: 500}
    assert world.counts()[0] == {Verdict.STARTED: 500}


def test_a_late_report_leaves_when_it_is_due(world: World, ears: Ears) -> None:
    world.add_phones(policy=ReportPolicy(start_token=ReportRule(delay_s=10, times=2)))
    world.advance(9)
    assert ears.heard == []
    world.advance(1)
    assert ears.heard == [("phone-1", "LiveActivityStartToken")] * 2


def test_many_pushes_to_one_phone_leave_about_one_timer(world: World) -> None:
    (phone,) = world.add_phones()
    push(world, phone.start_token)
    for _ in range(100):
        world.clock.advance(1)
        push(world, phone.cards[0].update_token, "update")
    assert len(world._timers) <= 2


def test_what_an_owner_does_has_its_consequences_at_once(world: World, ears: Ears) -> None:
    (phone,) = world.add_phones()
    push(world, phone.start_token)
    old = phone.cards[0].update_token
    new = world.act("phone-1", lambda phone, now: phone.rotate_update_token("g", now))
    assert new != old
    assert world.standing(SANDBOX, new) is not None
    world.act("phone-1", lambda phone, now: phone.delete_app(now))
    assert ears.forgotten == ["phone-1"]
    standing = world.standing(SANDBOX, new)
    assert standing is not None
    assert standing.gone == "Unregistered"


async def test_run_lets_time_pass_without_being_told(world: World) -> None:
    (phone,) = world.add_phones()
    push(world, phone.start_token)
    running = asyncio.create_task(world.run())
    world.clock.advance(12 * 3600)
    async with asyncio.timeout(5):
        while phone.visible_cards:
            await asyncio.sleep(0.01)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


CHANNEL = "zc7NrIwHQQ+FJ4Z2Vu7rWg=="


def tune_in(world: World, phones: list[Phone]) -> None:
    aps = {
        "timestamp": int(world.clock.now()),
        "event": "start",
        "attributes-type": "T",
        "attributes": {"referenceId": "g"},
        "content-state": {},
        "alert": {"title": ""},
        "input-push-channel": CHANNEL,
    }
    body = json.dumps({"aps": aps}).encode()
    for phone in phones:
        assert phone.start_token is not None
        now = world.clock.now()
        world.deliver(Delivery(SANDBOX, phone.start_token, "id", "t", "liveactivity", 10, None, body, now))


def broadcast(world: World, event: str = "update", environment: Environment = SANDBOX) -> None:
    world.clock.advance(1)
    now = world.clock.now()
    body = json.dumps({"aps": {"timestamp": int(now), "event": event, "content-state": {"at": int(now)}}}).encode()
    world.broadcast(Broadcast(environment, "com.example.skerry", CHANNEL, True, "id", 5, 0, body, now))


def test_a_broadcast_reaches_who_listens_and_nobody_else(world: World) -> None:
    new, old = world.add_phones(3), world.add_phones(2, os_version="17.6")
    tune_in(world, [*new, *old])
    assert world.listeners(SANDBOX, CHANNEL) == 3
    broadcast(world)
    broadcast(world, environment=PRODUCTION)
    verdicts, cards = world.counts()
    assert verdicts == {Verdict.STARTED: 3, Verdict.OS_TOO_OLD: 2, Verdict.SHOWN: 3}
    assert cards == {CardStatus.LIVE: 3}


def test_a_card_that_is_over_leaves_its_channel(world: World) -> None:
    first, second, third = world.add_phones(3)
    tune_in(world, [first, second, third])
    world.act(first.id, lambda phone, now: phone.dismiss("g", now))
    world.act(second.id, lambda phone, now: phone.delete_app(now))
    assert world.listeners(SANDBOX, CHANNEL) == 1
    broadcast(world, "end")
    assert world.listeners(SANDBOX, CHANNEL) == 0
    broadcast(world)
    assert world.counts()[0][Verdict.SHOWN] == 0


def test_the_eight_hour_wall_ends_listening_too(world: World) -> None:
    tune_in(world, world.add_phones(2))
    world.advance(8 * 3600)
    assert world.listeners(SANDBOX, CHANNEL) == 0


def test_a_large_audience_hears_broadcasts_in_turns_and_in_order(world: World) -> None:
    tune_in(world, world.add_phones(450))
    broadcast(world)
    broadcast(world)
    assert world.counts()[0][Verdict.SHOWN] == 400, "two turns of 200"
    while world.tick():
        pass
    assert world.counts()[0] == {Verdict.STARTED: 450, Verdict.SHOWN: 900}
    assert {phone.cards[0].content_state for phone in world.phones.values()} == {
        json.dumps({"at": int(world.clock.now())}).encode()
    }


def test_a_phone_that_fails_on_a_broadcast_takes_nobody_with_it(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tune_in(world, world.add_phones(3))
    heard = Phone.receive_broadcast

    def fail(self: Phone, sent: Broadcast, now: float) -> None:
        if self.id == "phone-2":
            raise RuntimeError("a fault of the phone")
        heard(self, sent, now)

    monkeypatch.setattr(Phone, "receive_broadcast", fail)
    broadcast(world)
    assert world.counts()[0][Verdict.SHOWN] == 2
    assert "phone_failed_on_broadcast" in capsys.readouterr().out


@pytest.mark.parametrize("count", [3_000, pytest.param(60_000, marks=pytest.mark.slow)])
def test_a_stadium_hears_a_broadcast_while_apns_goes_on(world: World, count: int) -> None:
    """Some 20 µs and 6 KB a phone, in slices that leave the loop to others. No time is asserted."""
    tune_in(world, world.add_phones(count))
    broadcast(world)
    assert world.counts()[0][Verdict.SHOWN] == 200, "the sender has its answer before most phones have the push"
    while world.tick():
        pass
    assert world.counts()[0][Verdict.SHOWN] == count
