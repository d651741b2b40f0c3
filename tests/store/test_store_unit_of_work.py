"""Group commit: each work stands alone, all of a batch share one commit, nobody is left waiting."""

import asyncio
import sqlite3
import threading
import time

import pytest
import uvloop

from skerry.domain.errors import OverloadedError
from skerry.domain.ids import AppId, Millis
from skerry.store.errors import NotStoredError, StoreClosedError
from skerry.store.sqlite import SqliteStore, writer

APP = AppId(1)


class Gate:
    """A work that holds the writer until it is opened, so that what follows gathers in one batch."""

    def __init__(self, bench) -> None:
        self._open = threading.Event()
        self._inside = threading.Event()
        self.task = asyncio.ensure_future(bench.store.write(self._hold))

    def _hold(self, tx) -> None:
        self._inside.set()
        assert self._open.wait(10)

    async def reached(self) -> "Gate":
        assert await asyncio.to_thread(self._inside.wait, 10)
        return self

    def open(self) -> None:
        self._open.set()


async def _queued(bench, *works) -> list[asyncio.Future]:
    """Tasks that have put their works into the queue."""
    tasks = [asyncio.ensure_future(bench.store.write(work)) for work in works]
    await asyncio.sleep(0)
    return tasks


def create(tx):
    return tx.activities.create(APP, Millis(1))


def create_and_fail(tx):
    create(tx)
    raise LookupError("no")


async def count(bench) -> int:
    return (await bench.read(lambda tx: tx.connection.execute("SELECT count(*) FROM activities").fetchone()))[0]


async def test_a_result_comes_back_and_is_there_for_readers(bench):
    activity = await bench.write(create)
    assert await bench.read(lambda tx: tx.activities.get(activity.activity_id)) == activity


async def test_what_waits_together_shares_one_commit(bench, monkeypatch):
    monkeypatch.setattr(writer, "MAX_BATCH_SECONDS", 60)  # however slow the machine is
    gate = await Gate(bench).reached()
    tasks = await _queued(bench, *[create] * 20)
    before = bench.store.stats()
    assert before.queue_length == 20
    gate.open()
    assert len({activity.activity_id for activity in await asyncio.gather(*tasks)}) == 20
    after = bench.store.stats()
    assert after.commits - before.commits == 1
    assert after.works - before.works == 21
    assert after.mean_batch > 1


async def test_a_work_that_raises_is_rolled_back_alone(bench):
    gate = await Gate(bench).reached()
    tasks = await _queued(bench, create, create_and_fail, create)
    gate.open()
    first, failed, last = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(failed, LookupError)
    assert await count(bench) == 2
    for activity in (first, last):
        assert await bench.read(lambda tx, a=activity: tx.activities.get(a.activity_id)) == activity


async def test_a_lone_work_that_raises_leaves_nothing_behind(bench):
    with pytest.raises(LookupError):
        await bench.write(create_and_fail)
    assert await count(bench) == 0
    await bench.write(create)
    assert await count(bench) == 1


async def test_a_broken_constraint_is_its_callers_alone(bench):
    gate = await Gate(bench).reached()
    tasks = await _queued(bench, lambda tx: tx.activities.create(AppId(404), Millis(1)), create)
    gate.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], sqlite3.IntegrityError)
    assert await count(bench) == 1


def _stop(tx):
    return next(iter(()))


async def test_stop_iteration_does_not_leave_the_batch_waiting(bench):
    gate = await Gate(bench).reached()
    tasks = await _queued(bench, _stop, create)
    gate.open()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert isinstance(results[0], RuntimeError)
    assert await count(bench) == 1


def _break_the_commit(tx):
    tx.connection.execute("PRAGMA defer_foreign_keys = ON")
    tx.activities.create(AppId(404), Millis(1))


async def test_where_the_commit_fails_everybody_is_told(bench):
    gate = await Gate(bench).reached()
    tasks = await _queued(bench, create, _break_the_commit, create_and_fail, create)
    gate.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [NotStoredError, NotStoredError, LookupError, NotStoredError]
    assert await count(bench) == 0
    assert bench.store.stats().failed_commits == 1
    await bench.write(create)
    assert await count(bench) == 1
    with pytest.raises(NotStoredError):
        await gate.task


def _lose_the_transaction(tx):
    tx.connection.execute("ROLLBACK")  # as SQLite does by itself when the disk is full
    raise sqlite3.OperationalError("database or disk is full")


async def test_where_sqlite_gives_the_transaction_up_everybody_before_is_told(bench):
    gate = await Gate(bench).reached()
    tasks = await _queued(bench, create, _lose_the_transaction, create)
    gate.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, NotStoredError) for result in results] == [True, True, False]
    assert "disk is full" in str(results[0])
    assert await count(bench) == 1
    with pytest.raises(NotStoredError):
        await gate.task


async def test_a_cancelled_caller_does_not_disturb_the_others(bench):
    gate = await Gate(bench).reached()
    tasks = await _queued(bench, create, create, create)
    tasks[1].cancel()
    gate.task.cancel()
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    assert await count(bench) == 2


async def test_a_full_queue_is_said_at_once_and_changes_nothing(migrated, tmp_path):
    async with await SqliteStore.open(tmp_path / "small.db", queue_limit=2) as store:
        opened, inside = threading.Event(), threading.Event()

        def hold(tx):
            inside.set()
            assert opened.wait(10)

        held = asyncio.ensure_future(store.write(hold))
        assert await asyncio.to_thread(inside.wait, 10)
        waiting = [asyncio.ensure_future(store.write(lambda tx: None)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError, match="write queue") as refusal:
            await store.write(lambda tx: None)
        assert refusal.value.retry_after > 0
        opened.set()
        await asyncio.gather(held, *waiting)
        await store.write(lambda tx: None)


async def test_a_reader_cannot_write(bench):
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await bench.read(create)
    assert await count(bench) == 0


async def test_a_read_sees_one_snapshot_however_long_it_takes(bench):
    began, written = threading.Event(), threading.Event()

    def twice(tx):
        one = tx.connection.execute("SELECT count(*) FROM activities").fetchone()
        began.set()
        assert written.wait(10)
        return one, tx.connection.execute("SELECT count(*) FROM activities").fetchone()

    reading = asyncio.ensure_future(bench.read(twice))
    assert await asyncio.to_thread(began.wait, 10)
    await bench.write(create)
    written.set()
    one, other = await reading
    assert one == other == (0,)


async def test_a_failed_read_leaves_its_reader_in_order(bench):
    for _ in range(4):
        with pytest.raises(ZeroDivisionError):
            await bench.read(lambda tx: 1 / 0)
    assert await count(bench) == 0


async def test_closing_carries_out_what_is_queued_and_takes_no_more(bench):
    gate = await Gate(bench).reached()
    tasks = await _queued(bench, *[create] * 5)
    closing = asyncio.ensure_future(bench.store.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreClosedError):
        await bench.write(create)
    gate.open()
    await closing
    assert len(await asyncio.gather(*tasks)) == 5
    with pytest.raises(StoreClosedError):
        await bench.read(create)
    await bench.store.close()
    async with await SqliteStore.open(bench.path) as again:
        assert await again.read(lambda tx: tx.connection.execute("SELECT count(*) FROM activities").fetchone()) == (5,)


async def test_more_than_a_batch_is_several_commits(bench):
    before = bench.store.stats().commits
    await asyncio.gather(*[bench.write(create) for _ in range(1500)])
    commits = bench.store.stats().commits - before
    assert 3 <= commits < 300
    assert await count(bench) == 1500


def test_it_works_under_uvloop(tmp_path):
    async def main() -> int:
        async with await SqliteStore.open(tmp_path / "skerry.db") as store:
            await asyncio.gather(*[store.write(lambda tx: None) for _ in range(50)])
            return store.stats().works

    assert uvloop.run(main()) == 50


def test_a_busy_loop_does_not_starve_the_writer(tmp_path):
    """With Python's own switch interval this takes minutes (`SWITCH_INTERVAL` tells why)."""

    async def main() -> None:
        async def burn() -> None:
            while True:
                until = time.perf_counter() + 300e-6
                while time.perf_counter() < until:
                    pass
                await asyncio.sleep(0)

        async with await SqliteStore.open(tmp_path / "skerry.db") as store:
            burning = asyncio.ensure_future(burn())
            for _ in range(30):
                await store.write(lambda tx: None)
            burning.cancel()

    began = time.perf_counter()
    uvloop.run(main())
    assert time.perf_counter() - began < 10
