"""Surveys, the long reads: on a thread of their own, given up in time, and never in the way of short ones."""

import asyncio
import sqlite3
import threading

import pytest

from skerry.domain.errors import OverloadedError, SurveyTooLongError
from skerry.store.errors import StoreClosedError
from skerry.store.sqlite import database

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_a_survey_reads_and_cannot_write(bench):
    await bench.activity()
    count = await bench.store.survey(lambda tx: tx.connection.execute("SELECT count(*) FROM activities").fetchone()[0])
    assert count == 1
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await bench.store.survey(lambda tx: tx.connection.execute("DELETE FROM activities"))


async def test_short_reads_and_writes_go_on_beside_a_survey(bench):
    begun, done = threading.Event(), threading.Event()

    def long(_tx) -> str:
        begun.set()
        return "seen" if done.wait(30) else "in the way"

    survey = asyncio.ensure_future(bench.store.survey(long))
    await asyncio.to_thread(begun.wait, 30)
    await asyncio.gather(*(bench.read(lambda tx: tx.timers.next_due()) for _ in range(10)))
    await bench.activity()
    done.set()
    assert await survey == "seen"


async def test_a_survey_that_takes_too_long_is_given_up_and_the_next_one_is_served(bench, monkeypatch):
    monkeypatch.setattr(database, "SURVEY_LIMIT", 0.05)
    async with await database.SqliteStore.open(bench.path, exclusive=False) as store:
        with pytest.raises(SurveyTooLongError) as error:
            await store.survey(lambda tx: tx.connection.execute(ENDLESS).fetchone())
        assert error.value.limit == 0.05
        assert await store.survey(lambda tx: tx.connection.execute("SELECT 7").fetchone()) == (7,)


async def test_more_surveys_than_may_wait_are_refused(bench):
    begun, done = threading.Event(), threading.Event()

    def long(_tx) -> None:
        begun.set()
        done.wait(30)

    first = asyncio.ensure_future(bench.store.survey(long))
    await asyncio.to_thread(begun.wait, 30)
    waiting = [asyncio.ensure_future(bench.store.survey(long)) for _ in range(database.SURVEYS)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError, match="whole audiences"):
        await bench.store.survey(long)
    done.set()
    await asyncio.gather(first, *waiting)


async def test_a_closed_store_surveys_nothing(bench):
    await bench.store.close()
    with pytest.raises(StoreClosedError):
        await bench.store.survey(lambda tx: tx)
