"""What is forgotten, and what never is."""

from dataclasses import replace

import pytest

from skerry.domain.activity import End, Start, end, start
from skerry.domain.chunk import ChunkState
from skerry.domain.commands import Idempotency
from skerry.domain.ids import ActivityId, CardNumber, DeviceId, GroupId, Millis, NotificationKey, RevisionNumber
from skerry.domain.push import Rejected
from skerry.domain.timer import TimerKind
from skerry.domain.verdict import Verdict
from skerry.store.sqlite.retention import Keep, sweep, sweep_all

APP = 1
KEEP = Keep(settled_ms=100, starts_ms=1_000, ended_ms=2_000, idempotency_ms=50)
T0 = 1_000_000


async def _settle(bench, chunk) -> None:
    settled = replace(chunk, state=ChunkState.SETTLED, verdicts=bytes([Verdict.ACCEPTED]) * chunk.size)
    await bench.write(lambda tx: tx.outbox.save(settled))


async def _revisions(bench) -> list[int]:
    return [number for (number,) in await bench.sql("SELECT number FROM revisions ORDER BY 1")]


async def _chunks(bench) -> list[int]:
    return [number for (number,) in await bench.sql("SELECT revision FROM chunks ORDER BY 1")]


async def _started(bench, notification_key: int | None):
    """An activity with one start, its chunk settled, then a newer update."""
    key = None if notification_key is None else NotificationKey(notification_key)
    command = Start("Ride", b"{}", b"{}", b"{}", notification_key=key)
    after, revision = start(await bench.activity(), command, bench.clock())

    def work(tx):
        tx.activities.add_revision(revision)
        tx.activities.save(after)

    await bench.write(work)
    await _settle(bench, await bench.chunk(after, 1, 1, 1))
    return await bench.update(after)


async def _sweep(bench, later: int) -> int:
    return await sweep_all(bench.store, KEEP, Millis(T0 + later))


async def test_settled_chunks_and_revisions_go_when_they_are_old_and_not_the_newest(bench):
    activity = await bench.activity()
    for _ in range(3):
        activity = await bench.update(activity)
        await _settle(bench, await bench.chunk(activity, activity.newest, 1, 2))
    await _sweep(bench, 100)
    assert await _chunks(bench) == await _revisions(bench) == [1, 2, 3]
    await _sweep(bench, 101)
    assert await _chunks(bench) == await _revisions(bench) == [3]


async def test_a_chunk_that_a_timer_will_look_at_stays_until_then_and_its_id_is_not_given_again(bench):
    activity = await bench.update(await bench.activity())
    chunk = await bench.chunk(activity, 1, 1, 1)
    await _settle(bench, chunk)
    activity = await bench.update(activity)
    due = Millis(T0 + 9_000)
    await bench.write(lambda tx: tx.timers.set(TimerKind.NO_TOKEN, activity.activity_id, chunk.chunk_id, due))
    await _sweep(bench, 5_000)
    assert (await bench.chunk(activity, 2, 1, 1)).chunk_id > chunk.chunk_id
    await bench.write(lambda tx: tx.timers.cancel(TimerKind.NO_TOKEN, activity.activity_id))
    await _sweep(bench, 5_000)
    assert await _chunks(bench) == [2]


async def test_what_is_not_settled_stays_with_its_revision(bench):
    activity = await bench.activity()
    for _ in range(3):
        activity = await bench.update(activity)
    await bench.chunk(activity, 1, 1, 2)
    await _sweep(bench, 5_000)
    assert await _chunks(bench) == [1]
    assert await _revisions(bench) == [1, 3]


async def test_the_newest_update_and_the_newest_end_stay_for_those_who_join_late(bench):
    activity = await bench.update(await bench.activity())
    ended, revision = end(activity, End(), bench.clock())

    def work(tx):
        tx.activities.add_revision(revision)
        tx.activities.save(ended)

    await bench.write(work)
    await _sweep(bench, 1_000)
    assert await _revisions(bench) == [1, 2]


async def test_starts_that_are_counted_stay_for_their_own_window(bench):
    await _started(bench, 7)
    await _sweep(bench, 999)
    assert await _chunks(bench) == [1]
    assert await _revisions(bench) == [1, 2]
    await _sweep(bench, 1_001)
    assert await _chunks(bench) == []
    assert await _revisions(bench) == [2]


async def test_starts_that_nobody_counts_go_with_the_rest(bench):
    await _started(bench, None)
    await _sweep(bench, 101)
    assert await _chunks(bench) == []
    assert await _revisions(bench) == [2]


async def test_a_start_that_is_still_being_spread_out_keeps_its_revision(bench):
    activity = await _started(bench, None)
    await bench.sql("INSERT INTO plans VALUES (NULL, 1, ?, 1, x'7b7d', 0, NULL, 0, 0, NULL)", activity.activity_id)
    await _sweep(bench, 5_000)
    assert await _revisions(bench) == [1, 2]


async def test_refusals_and_misses_go_with_their_revision(bench):
    activity = await _started(bench, 7)

    def work(tx):
        for number in (1, 2):
            revision = RevisionNumber(number)
            tx.rejections.add(activity.activity_id, revision, CardNumber(1), Rejected(400, "BadTopic"), Millis(T0))
            tx.rejections.add_miss(activity.activity_id, revision, None, "user", "NO_DEVICE", Millis(T0))

    await bench.write(work)
    await _sweep(bench, 500)
    assert await bench.sql("SELECT count(*) FROM rejections UNION ALL SELECT count(*) FROM misses") == [(2,), (2,)]
    await _sweep(bench, 1_500)
    assert await bench.sql("SELECT revision FROM rejections UNION ALL SELECT revision FROM misses") == [(2,), (2,)]


TABLES = (
    "activities", "activity_names", "nameless_values", "revisions", "cards", "chunks", "timers", "rejections", "misses",
)  # fmt: skip


async def _left(bench) -> int:
    return sum([(await bench.sql(f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES])


async def _ended(bench, *, settled: bool = True):
    activity = await _started(bench, 7)
    ended, revision = end(activity, End(), bench.clock())

    def work(tx):
        tx.activities.add_revision(revision)
        tx.activities.save(ended)
        tx.activities.add_name(ended.activity_id, APP, GroupId(f"g{ended.activity_id}"))
        tx.activities.remember_values(ended.activity_id, APP, ["value"])
        devices = [DeviceId(n) for n in range(1, 21)]
        tx.activities.add_cards(ended.activity_id, CardNumber(1), RevisionNumber(1), devices, Millis(T0))
        tx.timers.set(TimerKind.PLANNED_END, ended.activity_id, 0, Millis(T0))
        tx.rejections.add(ended.activity_id, RevisionNumber(3), CardNumber(1), Rejected(400, "BadTopic"), Millis(T0))
        tx.rejections.add_miss(ended.activity_id, RevisionNumber(1), None, "user", "NO_DEVICE", Millis(T0))

    await bench.write(work)
    chunk = await bench.chunk(ended, 3, 1, 20)
    if settled:
        await _settle(bench, chunk)
    return ended


async def test_an_activity_that_ended_long_ago_goes_altogether(bench):
    await _ended(bench)
    running = await _started(bench, None)
    await _sweep(bench, 2_000)
    assert await bench.sql("SELECT count(*) FROM activities") == [(2,)]
    await _sweep(bench, 2_001)
    assert await bench.sql("SELECT activity_id FROM activities") == [(running.activity_id,)]
    assert await _left(bench) == 2  # the running activity and its newest revision


async def test_an_ended_activity_with_something_unsent_stays(bench):
    await _ended(bench, settled=False)
    await _sweep(bench, 9_000)
    assert await bench.sql("SELECT count(*) FROM cards") == [(20,)]


async def test_slices_are_bounded_and_a_pass_ends(bench):
    for _ in range(5):
        await _ended(bench)
    after, slices = ActivityId(0), 0
    before = await _left(bench)
    while after is not None:
        swept = await bench.write(lambda tx, a=after: sweep(tx, KEEP, Millis(T0 + 9_000), a, limit=3))
        assert swept.rows <= 3 * 9
        after, slices = swept.after, slices + 1
        assert slices < 200
    assert await _left(bench) == 0
    assert slices >= before / 27


async def test_remembered_answers_go_after_their_day(bench):
    for key, at in (("old", T0), ("young", T0 + 60)):
        await bench.write(
            lambda tx, k=key, at=at: tx.notifications.remember(APP, Idempotency(k, b"d"), "a", Millis(at))
        )
    await _sweep(bench, 51)
    assert await bench.sql("SELECT key FROM idempotency") == [("young",)]


def test_activities_must_not_take_their_statistics_with_them():
    with pytest.raises(ValueError, match="ended_ms"):
        Keep(starts_ms=10, ended_ms=9)
