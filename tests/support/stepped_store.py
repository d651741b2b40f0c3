"""A store in step with the event loop: the SQLite of the service in memory, without threads, so that a run repeats.

Every work gives the loop a few turns before and after its transaction, drawn from a seed: so others come in between, as
they do with the real store, and whoever is cancelled meanwhile finds its work undone, or done and unanswered.
"""

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Self, TypeVar

from skerry.domain.ids import Millis
from skerry.store import migration
from skerry.store.sqlite.transaction import SqliteTransaction

T = TypeVar("T")

MOST_TURNS = 2
"""Of the loop, that a work waits before its transaction, and as many after it."""


@cache
def _empty_database() -> bytes:
    """With all tables. Migrating takes longer than a whole history."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "skerry.db"
        migration.upgrade(path)
        connection = sqlite3.connect(path)
        try:
            return connection.serialize()
        finally:
            connection.close()


class SteppedStore:
    """A `UnitOfWork`."""

    def __init__(self, clock: Callable[[], Millis], seed: str) -> None:
        self._dice = random.Random(seed)
        self._connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
        self._connection.deserialize(_empty_database())
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._tx = SqliteTransaction(self._connection, clock)

    async def write(self, work: Callable[[SqliteTransaction], T]) -> T:
        await self._others()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(self._tx)
            self._tx.events.write_gathered()
        except BaseException:
            self._tx.events.forget_since(0)
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        await self._others()
        return result

    async def read(self, work: Callable[[SqliteTransaction], T]) -> T:
        await self._others()
        result = work(self._tx)
        await self._others()
        return result

    async def _others(self) -> None:
        for _ in range(self._dice.randint(0, MOST_TURNS)):
            await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._connection.close()
