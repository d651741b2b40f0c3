"""What was scheduled happens on the phones at its time, once; and what is late does what it still should."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from virtual_world import Apple, VirtualService, virtual_service

from skerry.domain.activity import End
from skerry.domain.audience import Audience
from skerry.domain.desired import Desired, Policies, Priority, Routing, ScriptPhase
from skerry.domain.event import EventFilter, EventId, EventKind
from skerry.domain.ids import GroupId, Millis, Seconds
from skerry.domain.push import Outcomes, PushBatch, Route
from skerry.domain.schedule import ChangeState, Ending, ScheduledChange, ScheduleId
from skerry.simulator.phone.card import CardStatus

MINUTE, HOUR = 60, 3_600
MATCH = GroupId("match")
PHONES = 2


class Wire(Apple):
    """Remembers what it was given: event, state, title of the alert, priority and token of each push."""

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self.sent: list[tuple[tuple[str, int, str | None, int], str]] = []

    async def send(self, route: Route, batch: PushBatch, outcomes: Outcomes | None = None) -> Outcomes:
        for place, token in enumerate(batch.tokens):
            aps = json.loads(batch.body_of(place))["aps"]
            alert = aps.get("alert", {}).get("title") or None
            self.sent.append(((aps["event"], aps["content-state"]["n"], alert, batch.priority), str(token)))
        return await super().send(route, batch, outcomes)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[VirtualService]:
    async with virtual_service(tmp_path, Wire) as found:
        found.world.add_phones(PHONES, user="ada")
        await found.quiet()
        yield found


def state(number: int) -> bytes:
    return b'{"n":%d}' % number


def alert(text: str) -> bytes:
    return b'{"title":"%s","body":"!"}' % text.encode()


def wish(number: int, **more: Any) -> Desired:
    start = {"attributes_type": "Match", "attributes": b"{}", "audience": Audience(ext_ids=("ada",))}
    return Desired(MATCH, state(number), **start | more)


def update(number: int, **more: Any) -> Desired:
    return Desired(MATCH, state(number), **more)


async def schedule(service: VirtualService, change: Desired | Ending, after_s: float) -> ScheduledChange:
    at = Millis(service.now() + int(after_s * 1000))
    return await service.schedule.add(service.app_id, MATCH, change, at)


async def now(service: VirtualService, change: ScheduledChange) -> ScheduledChange:
    found = await service.schedule.get(service.app_id, change.schedule_id)
    assert found is not None
    return found[0]


async def put(service: VirtualService, desired: Desired) -> None:
    await service.desired.put(service.app_id, desired)
    await service.quiet()


async def down(service: VirtualService, seconds: float) -> None:
    """The service is down for so long, and comes back."""
    await service.crash()
    service.world.advance(seconds)
    service.start()
    await service.quiet()


def sent(service: VirtualService) -> list[tuple[str, int, str | None, int]]:
    """What was said since the last call, in order; to each phone once."""
    wire = service.apple
    assert isinstance(wire, Wire)
    found, wire.sent = wire.sent, []
    times = Counter(found)
    assert set(times.values()) <= {1}, times
    return list(dict.fromkeys(said for said, _ in found))


def screens(service: VirtualService) -> set[tuple[str, int]]:
    """What the phones show."""
    return {
        (card.status.value, json.loads(card.content_state)["n"])
        for phone in service.world.phones.values()
        for card in phone.cards
    }


async def told(service: VirtualService) -> list[tuple[str, Any]]:
    kinds = tuple(kind for kind in EventKind if kind.startswith(("schedule.", "script.")))
    page = await service.store.read(lambda tx: tx.events.page(service.app_id, EventFilter(kinds), EventId(0), 100))
    return [(event.kind.value, event.body.get("code") or event.body.get("result")) for event in page.events]


class TestScheduledChanges:
    async def test_start_update_and_end_come_at_their_times_and_once(self, service: VirtualService) -> None:
        made = [
            await schedule(service, Ending(End(state(9))), 3 * HOUR),
            await schedule(service, wish(0, alert=alert("kick-off")), HOUR),
            await schedule(service, update(1, alert=alert("goal")), 2 * HOUR),
        ]
        await service.pass_time(HOUR - 1)
        assert sent(service) == []
        await service.pass_time(1)
        assert [one[:3] for one in sent(service)] == [("start", 0, "kick-off")]
        await service.pass_time(HOUR)
        assert [one[:3] for one in sent(service)] == [("update", 1, "goal")]
        await service.pass_time(HOUR)
        assert [one[:3] for one in sent(service)] == [("end", 9, None)]
        await service.pass_time(10 * HOUR)
        assert sent(service) == []
        assert {(await now(service, one)).state for one in made} == {ChangeState.DONE}
        assert await told(service) == [("schedule.done", "changed")] * 3

    async def test_a_cancelled_change_never_comes(self, service: VirtualService) -> None:
        made = await schedule(service, wish(0), HOUR)
        await service.schedule.cancel(service.app_id, made.schedule_id)
        await service.pass_time(2 * HOUR)
        assert sent(service) == []

    async def test_what_the_activity_shows_already_is_done_and_changes_nothing(self, service: VirtualService) -> None:
        await put(service, wish(0))
        made = await schedule(service, wish(0), HOUR)
        await service.pass_time(HOUR)
        assert (await now(service, made)).state is ChangeState.DONE
        assert await told(service) == [("schedule.done", "noop")]

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (update(1), "not_running"),
            (Ending(End()), "not_found"),
            (wish(1, attributes=b'{"other":1}'), "attributes_fixed"),
            (wish(1, version=5), "outdated"),
        ],
    )
    async def test_what_cannot_be_done_is_kept_with_its_problem_told_and_changes_nothing(
        self, service: VirtualService, change: Desired | Ending, code: str
    ) -> None:
        made = await schedule(service, change, HOUR)
        running = code in ("attributes_fixed", "outdated")
        if running:
            await put(service, wish(0, version=9))
        before = sent(service)
        assert bool(before) is running
        await service.pass_time(2 * HOUR)
        found = await now(service, made)
        assert found.state is ChangeState.FAILED
        assert found.problem is not None
        assert found.problem.code == code
        assert sent(service) == []
        assert await told(service) == [("schedule.failed", code)]

    async def test_an_update_does_not_bring_back_what_was_ended_meanwhile(self, service: VirtualService) -> None:
        await put(service, wish(0))
        made = await schedule(service, update(1), HOUR)
        await service.desired.end(service.app_id, MATCH, End())
        await service.quiet()
        sent(service)
        await service.pass_time(HOUR)
        assert (await now(service, made)).state is ChangeState.FAILED
        assert sent(service) == []

    async def test_one_that_fails_does_not_hold_up_the_others_of_its_moment(self, service: VirtualService) -> None:
        await schedule(service, wish(1, audience=None), HOUR)
        await schedule(service, wish(2), HOUR)
        await service.pass_time(HOUR)
        assert [one[:2] for one in sent(service)] == [("start", 2)]

    async def test_what_was_read_as_due_and_cancelled_meanwhile_is_not_done(self, service: VirtualService) -> None:
        made = await schedule(service, wish(0), HOUR)
        service.world.advance(HOUR)
        await service.schedule.cancel(service.app_id, made.schedule_id)
        await service.schedule_keeper._change(made.schedule_id)
        await service.quiet()
        assert sent(service) == []


class TestLate:
    async def test_an_update_whose_time_came_while_the_service_was_down_is_done_at_once(
        self, service: VirtualService
    ) -> None:
        await put(service, wish(0))
        await schedule(service, update(1, alert=alert("goal")), HOUR)
        sent(service)
        await down(service, 4 * HOUR)
        assert [one[:3] for one in sent(service)] == [("update", 1, "goal")]

    async def test_of_several_the_last_is_shown_and_rung_for(self, service: VirtualService) -> None:
        await put(service, wish(0))
        for number in (3, 1, 2):
            await schedule(service, update(number, alert=alert(f"goal {number}")), number * MINUTE)
        sent(service)
        await down(service, HOUR)
        assert [one[:3] for one in sent(service)] == [("update", 3, "goal 3")]
        assert await told(service) == [("schedule.done", "changed")] * 3

    async def test_an_overtaken_script_does_not_ring_for_its_phases(self, service: VirtualService) -> None:
        await put(service, wish(0))
        sent(service)
        loud = (ScriptPhase(state(1), after=Millis(10 * MINUTE * 1000), alert=alert("phase 1")),)
        await schedule(service, update(7, phases=loud, end_after=None), MINUTE)
        await schedule(service, update(8, alert=alert("goal")), 30 * MINUTE)
        await down(service, HOUR)
        assert [one[:3] for one in sent(service)] == [("update", 8, "goal")]

    async def test_a_start_is_still_sent_within_its_limit(self, service: VirtualService) -> None:
        await schedule(service, wish(0), HOUR)
        await down(service, 2 * HOUR)
        assert [one[:2] for one in sent(service)] == [("start", 0)]

    @pytest.mark.parametrize(("change", "late"), [(wish(0), HOUR + 1), (wish(0, ends_at=Seconds(1)), 2 * MINUTE)])
    async def test_a_start_is_not_sent_long_after_its_time_or_after_its_end(
        self, service: VirtualService, change: Desired, late: float
    ) -> None:
        if change.ends_at is not None:
            change = replace(change, ends_at=Seconds(service.now() // 1000 + HOUR + MINUTE))
        made = await schedule(service, change, HOUR)
        await down(service, HOUR + late)
        found = await now(service, made)
        assert found.problem is not None
        assert found.problem.code == "too_late"
        assert sent(service) == []

    async def test_nobody_is_started_for_what_has_ended_in_the_meantime(self, service: VirtualService) -> None:
        await schedule(service, wish(0), HOUR)
        await schedule(service, update(1), HOUR + MINUTE)
        await schedule(service, Ending(End()), HOUR + 2 * MINUTE)
        await down(service, HOUR + 3 * MINUTE)
        assert sent(service) == []
        assert [code for _, code in await told(service)] == ["overtaken", "not_running", "not_found"]

    async def test_a_script_that_begins_late_is_where_it_would_be(self, service: VirtualService) -> None:
        phases = tuple(ScriptPhase(state(n), after=Millis(10 * MINUTE * 1000)) for n in (1, 2, 3))
        await schedule(service, wish(0, phases=phases), HOUR)
        await down(service, HOUR + 25 * MINUTE)
        assert [one[:2] for one in sent(service)] == [("start", 2)]
        await service.pass_time(5 * MINUTE)
        assert [one[:2] for one in sent(service)] == [("end", 3)]


class TestClock:
    async def test_a_clock_that_is_set_back_repeats_nothing(self, service: VirtualService) -> None:
        phases = (ScriptPhase(state(1), after=Millis(HOUR * 1000)), ScriptPhase(state(2), after=Millis(HOUR * 1000)))
        await schedule(service, wish(0, phases=phases), HOUR)
        await service.pass_time(HOUR)
        await service.pass_time(HOUR)
        assert [one[1] for one in sent(service)] == [0, 1]
        right = service.now
        service.now = lambda: Millis(right() - 3 * HOUR * 1000)  # type: ignore[method-assign]
        await down(service, 1)
        await service.pass_time(HOUR)
        assert sent(service) == []
        service.now = right  # type: ignore[method-assign]
        await down(service, 1)
        assert [one[:2] for one in sent(service)] == [("end", 2)]

    async def test_a_clock_that_is_set_forward_is_a_time_that_has_come(self, service: VirtualService) -> None:
        await put(service, wish(0))
        await schedule(service, update(1), 5 * HOUR)
        sent(service)
        right = service.now
        service.now = lambda: Millis(right() + 6 * HOUR * 1000)  # type: ignore[method-assign]
        await down(service, 1)
        assert [one[:2] for one in sent(service)] == [("update", 1)]


def script(*offsets: float, **more: Any) -> Desired:
    """A match whose phases come so many seconds one after the other, each with an alert."""
    phases = tuple(
        ScriptPhase(state(number), after=Millis(int(offset * 1000)), alert=alert(f"phase {number}"))
        for number, offset in enumerate(offsets, 1)
    )
    return wish(0, phases=phases, **more)


class TestScripts:
    async def test_each_phase_comes_once_and_the_last_one_is_the_end(self, service: VirtualService) -> None:
        await put(service, script(HOUR, HOUR, HOUR, policies=Policies(dismiss_after=Millis(10 * MINUTE * 1000))))
        assert [one[:2] for one in sent(service)] == [("start", 0)]
        for number, event in ((1, "update"), (2, "update"), (3, "end")):
            await service.pass_time(HOUR - 1)
            assert sent(service) == []
            await service.pass_time(1)
            assert sent(service) == [(event, number, f"phase {number}", 10)]
        assert screens(service) == {("ended", 3)}
        await service.pass_time(10 * MINUTE)
        assert screens(service) == {("dismissed", 3)}

    async def test_the_last_phase_may_stay_for_a_while(self, service: VirtualService) -> None:
        await put(service, script(HOUR, end_after=Millis(HOUR * 1000)))
        sent(service)
        await service.pass_time(HOUR)
        assert [one[:3] for one in sent(service)] == [("update", 1, "phase 1")]
        await service.pass_time(HOUR)
        assert [one[:3] for one in sent(service)] == [("end", 1, None)]

    async def test_or_for_ever(self, service: VirtualService) -> None:
        await put(service, script(HOUR, end_after=None))
        await service.pass_time(HOUR)
        sent(service)
        await service.pass_time(5 * HOUR)
        assert sent(service) == []
        assert screens(service) == {("stale", 1)}

    async def test_an_end_that_is_said_comes_first(self, service: VirtualService) -> None:
        await put(service, script(HOUR, HOUR, ends_at=Seconds(service.now() // 1000 + HOUR + MINUTE)))
        await service.pass_time(HOUR)
        await service.pass_time(MINUTE)
        assert screens(service) == {("ended", 1)}
        sent(service)
        await service.pass_time(10 * HOUR)
        assert sent(service) == []

    async def test_phases_that_were_overtaken_while_the_service_was_down_are_skipped(
        self, service: VirtualService
    ) -> None:
        await put(service, script(*[10 * MINUTE] * 5))
        sent(service)
        await down(service, 35 * MINUTE)
        assert [one[:3] for one in sent(service)] == [("update", 3, "phase 3")]
        await down(service, 5 * HOUR)
        assert [one[:3] for one in sent(service)] == [("end", 5, "phase 5")]

    async def test_a_phase_that_is_due_reaches_cards_whose_token_came_late(self, service: VirtualService) -> None:
        await service.desired.put(service.app_id, script(HOUR, HOUR))
        await service.crash()  # before anything was sent
        await down(service, HOUR)
        assert screens(service) == {("live", 1)}

    async def test_who_joins_later_sees_the_present_phase(self, service: VirtualService) -> None:
        await put(service, script(HOUR, HOUR))
        await service.pass_time(HOUR)
        await service.pass_time(1)
        sent(service)
        service.world.add_phones(1, user="ada")
        await service.quiet()
        assert [one[:2] for one in sent(service)] == [("start", 1)]

    async def test_said_again_it_goes_on_and_starts_newcomers_where_it_is(self, service: VirtualService) -> None:
        desired = script(HOUR, HOUR, policies=Policies(late_joiners=False))
        await put(service, desired)
        await service.pass_time(HOUR)
        service.world.add_phones(1, user="ada")
        await service.quiet()
        sent(service)
        await put(service, desired)
        assert [one[:2] for one in sent(service)] == [("start", 1)]
        await service.pass_time(HOUR)
        assert {one[:2] for one in sent(service)} == {("end", 2)}

    async def test_another_script_takes_its_place(self, service: VirtualService) -> None:
        await put(service, script(HOUR, HOUR))
        await put(service, replace(script(3 * HOUR), state=state(7)))
        await service.pass_time(1)
        assert [one[:2] for one in sent(service)] == [("start", 0), ("update", 7)]
        await service.pass_time(2 * HOUR)
        assert sent(service) == []
        await service.pass_time(HOUR)
        assert [one[:2] for one in sent(service)] == [("end", 1)]

    async def test_a_word_without_phases_ends_the_script_and_not_the_activity(self, service: VirtualService) -> None:
        await put(service, script(HOUR, HOUR))
        await put(service, wish(7))
        await service.pass_time(1)
        sent(service)
        await service.pass_time(3 * HOUR)
        assert sent(service) == []
        assert screens(service) == {("stale", 7)}

    @pytest.mark.parametrize("by", ["delete", "update-live-activity", "silence"])
    async def test_with_the_activity_its_script_ends(self, service: VirtualService, by: str) -> None:
        policies = Policies(silence_ttl=Millis(30 * MINUTE * 1000)) if by == "silence" else Policies()
        await put(service, script(HOUR, HOUR, policies=policies))
        if by == "delete":
            await service.desired.end(service.app_id, MATCH, End())
        elif by == "update-live-activity":
            await service.activities.end(service.app_id, MATCH, End())
        await service.pass_time(30 * MINUTE)
        assert screens(service) == {("ended", 0)}
        # And a new run has nothing of it.
        await put(service, wish(5))
        sent(service)
        await service.pass_time(5 * HOUR)
        assert sent(service) == []

    async def test_a_phase_spends_the_budget_unless_it_says_otherwise(self, service: VirtualService) -> None:
        quiet = ScriptPhase(state(1), after=Millis(HOUR * 1000), priority=Priority.LOW)
        loud = ScriptPhase(state(2), after=Millis(HOUR * 1000))
        await put(service, wish(0, phases=(quiet, loud), end_after=Millis(HOUR * 1000)))
        sent(service)
        await service.pass_time(HOUR)
        await service.pass_time(HOUR)
        assert [(one[1], one[3]) for one in sent(service)] == [(1, 5), (2, 10)]

    async def test_a_segment_that_is_gone_keeps_nobody_from_the_next_phase(self, service: VirtualService) -> None:
        from skerry.domain.audience import Quantifier, Segment, SegmentCondition

        def keep(tx: Any) -> None:
            tx.segments.save(service.app_id, "vip", Audience(ext_ids=("ada",)), service.now())

        await service.store.write(keep)
        audience = Audience(segments=SegmentCondition(Quantifier.ANY, (Segment("vip"),)))
        await put(service, replace(script(HOUR, HOUR, policies=Policies(routing=Routing.TOKENS)), audience=audience))
        assert [one[:2] for one in sent(service)] == [("start", 0)]
        await service.store.write(lambda tx: tx.segments.remove(service.app_id, "vip"))
        await service.pass_time(HOUR)
        assert [one[:2] for one in sent(service)] == [("update", 1)]

    async def test_a_renewed_activity_shows_its_phase_on_the_new_card(self, service: VirtualService) -> None:
        await put(service, script(HOUR, 9 * HOUR, policies=Policies(renew=True)))
        for _ in range(8 * 6):
            await service.pass_time(10 * MINUTE)
        live = {card for card in screens(service) if card[0] in (CardStatus.LIVE, CardStatus.STALE)}
        assert {number for _, number in live} == {1}
        for _ in range(2 * 6):
            await service.pass_time(10 * MINUTE)
        assert not {card for card in screens(service) if card[0] in (CardStatus.LIVE, CardStatus.STALE)}


async def test_many_that_are_due_at_once_are_all_done(service: VirtualService) -> None:
    at = Millis(service.now() + HOUR * 1000)
    for number in range(250):
        name = GroupId(f"courier-{number}")
        change = replace(wish(0), group_id=name)
        await service.schedule.add(service.app_id, name, change, at)
    await service.pass_time(HOUR)
    done = await service.schedule.page(
        service.app_id, None, ChangeState.DONE, after=ScheduleId(0), maximum=1_000
    )  # fmt: skip
    assert len(done.items) == 250
    assert service.apple.counts["start"] == 10 * PHONES  # the rest wait for room: a phone takes ten an hour


async def test_a_planned_end_that_has_its_own_dismissal_uses_it(service: VirtualService) -> None:
    """`dismiss_after` counts from whichever end comes by itself."""
    ends = Seconds(service.now() // 1000 + HOUR)
    await put(service, wish(0, ends_at=ends, policies=Policies(dismiss_after=Millis(MINUTE * 1000))))
    await service.pass_time(HOUR)
    assert screens(service) == {("ended", 0)}
    await service.pass_time(MINUTE)
    assert screens(service) == {("dismissed", 0)}
