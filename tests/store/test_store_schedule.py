"""Scheduled changes and scripts come back as they were stored, in order of time, and go when they are old."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.domain.activity import End
from skerry.domain.audience import Audience, ProfileCondition, ProfileGroup, Quantifier, TagCondition
from skerry.domain.desired import Desired, Policies, Priority, Routing, ScriptPhase, Swipe
from skerry.domain.ids import ActivityId, AppId, GroupId, Millis, RevisionNumber, Seconds
from skerry.domain.schedule import Action, ChangeState, Ending, Problem, ScheduledChange, ScheduleId
from skerry.domain.script import Script
from skerry.store import change_json
from skerry.store.sqlite.retention import Keep, sweep_all

APP, OTHER_APP = AppId(1), AppId(2)
MATCH = GroupId("match")

SAID = {Action.PUT: Desired(MATCH, b'{"n":0.50}'), Action.END: Ending(End(b"{}"), 3)}

objects = st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=2).map(lambda one: repr(one).encode())
optional = {
    "alert": st.none() | st.binary(max_size=8),
    "priority": st.sampled_from(Priority),
    "relevance": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "stale_at": st.none() | st.integers(0, 2**40).map(Seconds),
}
millis = st.none() | st.integers(0, 2**40).map(Millis)
audiences = st.sampled_from(
    [
        Audience(everyone=True),
        Audience(ext_ids=("u", "v"), exclude=Audience(tags=TagCondition(Quantifier.NONE, ("a",)))),
        Audience(
            profile=ProfileGroup(
                Quantifier.ANY,
                (ProfileCondition("x", (1, 1.5, "1", True)), ProfileGroup(Quantifier.NONE, (ProfileCondition("y"),))),
            )
        ),
    ]
)
wishes = st.builds(
    Desired,
    group_id=st.text(min_size=1).map(GroupId),
    state=objects,
    attributes_type=st.none() | st.text(),
    attributes=st.none() | objects,
    audience=st.none() | audiences,
    important=st.booleans(),
    ends_at=st.none() | st.integers(0, 2**40).map(Seconds),
    version=st.none() | st.integers(0, 2**53),
    policies=st.builds(
        Policies,
        swipe=st.sampled_from(Swipe),
        routing=st.sampled_from(Routing),
        renew=st.booleans(),
        dismiss_after=millis,
    ),
    phases=st.lists(st.builds(ScriptPhase, state=objects, at=millis, after=millis, **optional), max_size=3).map(tuple),
    end_after=millis,
    **optional,
)
ends = st.builds(Ending, st.builds(End, state=st.none() | objects), version=st.none() | st.integers(0, 2**53))


@given(wishes | ends)
def test_a_change_is_read_as_it_was_written(change: Desired | Ending) -> None:
    action = Action.END if isinstance(change, Ending) else Action.PUT
    assert change_json.decode(action, *change_json.encode(change)) == change


def test_a_change_that_an_earlier_release_wrote_lacks_what_has_come_since() -> None:
    assert change_json.decode(Action.PUT, b'{"group_id":"m","state":"e30="}', None) == Desired(GroupId("m"), b"{}")


def change(at: int, app_id: AppId = APP, group_id: GroupId = MATCH, *, end: bool = False) -> ScheduledChange:
    return ScheduledChange(ScheduleId(0), app_id, group_id, Action.END if end else Action.PUT, Millis(at), Millis(1))


async def added(bench, *changes: ScheduledChange) -> list[ScheduleId]:
    return await bench.write(lambda tx: [tx.schedule.add(one, SAID[one.action]) for one in changes])


async def test_what_is_due_comes_in_the_order_of_time(bench):
    late, early, to_come = await added(bench, change(20), change(10), change(30))
    assert await bench.read(lambda tx: tx.schedule.due(Millis(20), 9)) == [early, late]
    assert await bench.read(lambda tx: tx.schedule.due(Millis(20), 1)) == [early]
    assert await bench.read(lambda tx: tx.schedule.next_due()) == 10
    for one in (early, late, to_come):
        await bench.write(lambda tx, one=one: tx.schedule.settle(one, ChangeState.DONE, Millis(40)))
    assert await bench.read(lambda tx: tx.schedule.next_due()) is None


async def test_what_a_change_says_is_kept_beside_it(bench):
    for one, said in zip(await added(bench, change(10), change(10, end=True)), SAID.values(), strict=True):
        assert await bench.read(lambda tx, one=one: tx.schedule.said(one)) == said
    assert await bench.read(lambda tx: tx.schedule.said(ScheduleId(99))) is None


async def test_a_change_is_settled_once(bench):
    (one,) = await added(bench, change(10))
    problem = Problem("outdated", "it comes too late")
    assert await bench.write(lambda tx: tx.schedule.settle(one, ChangeState.FAILED, Millis(11), problem=problem))
    assert not await bench.write(lambda tx: tx.schedule.settle(one, ChangeState.DONE, Millis(12)))
    expected = replace(change(10), schedule_id=one, state=ChangeState.FAILED, settled_at=Millis(11), problem=problem)
    assert await bench.read(lambda tx: tx.schedule.get(one)) == expected


async def test_what_has_been_done_knows_its_revision(bench):
    (one,) = await added(bench, change(10))
    await bench.write(lambda tx: tx.schedule.settle(one, ChangeState.DONE, Millis(11)))
    await bench.write(lambda tx: tx.schedule.note(one, RevisionNumber(7)))
    found = await bench.read(lambda tx: tx.schedule.get(one))
    assert (found.revision, found.settled_at) == (7, 11)


async def test_overtaken_is_what_has_a_later_change_of_the_same_activity_that_is_due_too(bench):
    await added(
        bench, change(10), change(10), change(20, end=True), change(15, OTHER_APP), change(15, APP, GroupId("x"))
    )
    first, second = [await bench.read(lambda tx, n=n: tx.schedule.get(ScheduleId(n))) for n in (1, 2)]
    for one, now, expected in (
        (first, 10, {Action.PUT}),
        (second, 10, set()),
        (second, 19, set()),
        (first, 20, {Action.PUT, Action.END}),
        (second, 20, {Action.END}),
    ):
        assert await bench.read(lambda tx, one=one, now=now: tx.schedule.overtaking(one, Millis(now))) == expected


async def test_what_waits_is_listed_by_app_and_by_activity(bench):
    ids = await added(bench, change(30), change(20, APP, GroupId("x")), change(10), change(10, OTHER_APP))

    async def page(group_id: GroupId | None, after: int = 0) -> list[ScheduleId]:
        found = await bench.read(
            lambda tx: tx.schedule.page(APP, group_id, ChangeState.WAITING, ScheduleId(after), 9)
        )  # fmt: skip
        return [one.schedule_id for one in found]

    assert await page(None) == ids[:3]
    assert await page(MATCH) == [ids[0], ids[2]]
    assert await page(None, ids[0]) == ids[1:3]
    assert await bench.read(lambda tx: tx.schedule.waiting(APP, MATCH)) == 2


@pytest.mark.parametrize("ends_at", [None, 500])
async def test_a_script_comes_back_and_is_due_at_its_next_step(bench, ends_at):
    activity = await bench.activity()
    phases = (ScriptPhase(b'{"n":0.50}', after=Millis(5)), ScriptPhase(b"{}", at=Millis(300), alert=b"{}"))
    script = Script(activity.activity_id, phases, (Millis(200), Millis(300)), ends_at)
    await bench.write(lambda tx: tx.scripts.save(script))
    assert await bench.read(lambda tx: tx.scripts.get(activity.activity_id)) == script
    assert await bench.read(lambda tx: tx.scripts.due(Millis(199), 9)) == []
    assert await bench.read(lambda tx: tx.scripts.due(Millis(200), 9)) == [activity.activity_id]
    await bench.write(lambda tx: tx.scripts.save(script.at(Millis(300))))
    assert await bench.read(lambda tx: tx.scripts.next_due()) == ends_at
    await bench.write(lambda tx: tx.scripts.remove(activity.activity_id))
    assert await bench.read(lambda tx: tx.scripts.get(activity.activity_id)) is None


async def test_changes_that_wait_no_more_go_with_the_events_and_those_that_wait_stay(bench):
    done, failed, waiting = await added(bench, change(10), change(10), change(10))
    await bench.write(lambda tx: tx.schedule.settle(done, ChangeState.DONE, Millis(1_000)))
    await bench.write(lambda tx: tx.schedule.settle(failed, ChangeState.FAILED, Millis(2_000)))
    await sweep_all(bench.store, Keep(events_ms=500), Millis(1_501))
    assert await bench.sql("SELECT schedule_id FROM scheduled_changes ORDER BY 1") == [(failed,), (waiting,)]
    await sweep_all(bench.store, Keep(events_ms=500), Millis(10**12))
    assert await bench.sql("SELECT schedule_id FROM scheduled_changes ORDER BY 1") == [(waiting,)]
    assert await added(bench, change(10)) == [ScheduleId(4)], "no number comes again"


async def test_a_script_goes_with_its_activity(bench):
    activity = await bench.activity()
    phases = (ScriptPhase(b"{}", after=Millis(5)),)
    await bench.write(lambda tx: tx.scripts.save(Script(activity.activity_id, phases, (Millis(1),), None)))
    await bench.sql("UPDATE activities SET phase = 2, ended_at = 1")
    await sweep_all(bench.store, Keep(), Millis(10**12))
    assert await bench.read(lambda tx: tx.activities.get(ActivityId(activity.activity_id))) is None
    assert await bench.sql("SELECT * FROM scripts") == []
