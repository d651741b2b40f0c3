"""The SQLite store: opens a database, and carries out functions of its transactions."""

import asyncio
import concurrent.futures
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar, cast

from skerry.domain.ids import Millis
from skerry.store import migration
from skerry.store.errors import StoreInUseError, StoreOutdatedError
from skerry.store.sqlite.checkpoints import Checkpointer
from skerry.store.sqlite.connection import connect
from skerry.store.sqlite.lock import DatabaseLock
from skerry.store.sqlite.readers import Reader
from skerry.store.sqlite.transaction import SqliteTransaction
from skerry.store.sqlite.work_queue import WorkQueue
from skerry.store.sqlite.writer import Writer, WriterStats

T = TypeVar("T")

QUEUE_LIMIT = 10_000
"""Works that may wait for the writer, and as many for the readers."""

READERS = 2

SURVEYS = 16
"""Works that may wait for the one that surveys: each takes up to a second."""

SURVEY_LIMIT = 10.0
"""Seconds that a survey may take before it is interrupted."""

SWITCH_INTERVAL = 50e-6
"""Seconds that a thread waits for the interpreter before it insists.

Insisting is all that lets the writer run beside a busy event loop: the loop lets go of the interpreter at each system
call and takes it back within a microsecond, before a waiting thread has woken up, and each such wake-up restarts the
wait. With Python's default of 5 ms and a loop that sends all the time, single commits were measured to take 0.2 to 3 s;
with 50 µs their median was 1 ms and the worst of thousands 80 ms, at no cost that could be measured.
"""


def wall_clock() -> Millis:
    """Milliseconds since 1970 UTC."""
    return Millis(time.time_ns() // 1_000_000)


class _Worker(Protocol):
    def run(self, connection: sqlite3.Connection, tx: SqliteTransaction) -> None: ...


class SqliteStore:
    """A `UnitOfWork` over one SQLite database. Made by `open`, belongs to the event loop that opened it.

    A caller that is cancelled while it waits does not know whether its work was committed: what had been begun is.
    """

    def __init__(
        self,
        path: Path,
        lock: DatabaseLock | None,
        clock: Callable[[], Millis],
        *,
        queue_limit: int,
        readers: int,
        announce: Callable[[], None],
    ) -> None:
        self.path = path
        self._lock = lock
        self._clock = clock
        loop = asyncio.get_running_loop()
        self._writes = WorkQueue("the store's write queue", queue_limit, loop)
        self._reads = WorkQueue("the store's read queue", queue_limit, loop)
        self._surveys = WorkQueue("the queue of questions about whole audiences", SURVEYS, loop)
        self._checkpointer = Checkpointer()
        self._writer = Writer(self._writes, announce, self._checkpointer.committed)
        self._readers = readers
        self._threads: list[threading.Thread] = []
        self._reading: list[threading.Thread] = []
        self._emptying: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        exclusive: bool = True,
        clock: Callable[[], Millis] = wall_clock,
        queue_limit: int = QUEUE_LIMIT,
        readers: int = READERS,
        announce: Callable[[], None] = lambda: None,
    ) -> "SqliteStore":
        """Open the database at `path`; make it, and its directory, where there is none; bring it up to date.

        Args:
            path: the database file. Its WAL and its lock file lie beside it.
            exclusive: be its only service. A command-line tool says False: it reads and writes beside a running
                service, and SQLite's own locks keep the two apart.
            clock: stamps what the store dates by itself (when a chunk was settled).
            queue_limit: works that may wait for the writer; beyond, callers get `OverloadedError`.
            readers: threads that read.
            announce: called on the event loop after each commit that has events in it.

        Raises:
            StoreInUseError: if another service holds the database.
            StoreTooNewError: if a later release has migrated it.
            StoreOutdatedError: if it must be migrated and `exclusive` is False while a service holds it.
            StoreUnusableError: if it is not a database of ours.
        """
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL))
        lock = await asyncio.to_thread(_prepare, path, exclusive=exclusive)
        store = cls(path, lock, clock, queue_limit=queue_limit, readers=readers, announce=announce)
        try:
            await store._start()
        except BaseException:
            await store.close()
            raise
        return store

    async def write(self, work: Callable[[SqliteTransaction], T]) -> T:
        """Carry out `work` in a transaction and return its result once it is on disk.

        Raises:
            OverloadedError: if the queue of the writer is full.
            NotStoredError: if the transaction failed as a whole.
            StoreClosedError: after `close`.
        """
        return cast("T", await self._writes.submit(work))

    async def read(self, work: Callable[[SqliteTransaction], T]) -> T:
        """Carry out `work` on a snapshot of what is committed. Writing raises `sqlite3.OperationalError`.

        Raises:
            OverloadedError: if the queue of the readers is full.
            StoreClosedError: after `close`.
        """
        return cast("T", await self._reads.submit(work))

    async def empty_log(self) -> None:
        """Move what was committed into the database file and cut the WAL: the rest of what was erased goes with it."""
        self._emptying = asyncio.create_task(asyncio.to_thread(_empty_log, self.path))
        await asyncio.shield(self._emptying)

    async def survey(self, work: Callable[[SqliteTransaction], T]) -> T:
        """As `read`, for what reads millions of rows: one at a time on a thread of its own, so no short read waits.

        Raises:
            OverloadedError: if too many wait already.
            SurveyTooLongError: if it took more than `SURVEY_LIMIT`.
            StoreClosedError: after `close`.
        """
        return cast("T", await self._surveys.submit(work))

    def stats(self) -> WriterStats:
        """What the writer has done, and what waits for it."""
        return self._writer.stats()

    async def close(self) -> None:
        """Carry out what is queued, then let go of the database. Closing twice is fine."""
        if self._emptying is not None:
            await asyncio.wait([self._emptying])
        threads, self._threads = self._threads, []
        self._checkpointer.close()
        if not threads:
            self._writes.close(0)
            self._reads.close(0)
            self._surveys.close(0)
        else:
            self._writes.close(1)
            self._surveys.close(1)
            self._reads.close(len(threads) - 3)
        for thread in threads:
            await asyncio.to_thread(thread.join)
        if self._lock is not None:
            self._lock.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _start(self) -> None:
        await self._spawn("skerry-writer", self._writer, read_only=False)
        await self._spawn("skerry-checkpointer", self._checkpointer, read_only=True)
        await self._spawn("skerry-surveyor", Reader(self._surveys, limit=SURVEY_LIMIT), read_only=True)
        for number in range(self._readers):
            await self._spawn(f"skerry-reader-{number}", Reader(self._reads), read_only=True)

    async def _spawn(self, name: str, worker: _Worker, *, read_only: bool) -> None:
        """Start a thread with a connection of its own; returns once that is open."""
        opened: concurrent.futures.Future[None] = concurrent.futures.Future()

        def body() -> None:
            try:
                connection = connect(self.path, read_only=read_only)
            except BaseException as error:  # noqa: BLE001 - handed to whoever opens the store
                opened.set_exception(error)
                return
            opened.set_result(None)
            try:
                worker.run(connection, SqliteTransaction(connection, self._clock))
            finally:
                if not read_only:
                    # The writer's connection last, alone: of two that close at once neither puts the WAL away.
                    for reading in self._reading:
                        reading.join()
                connection.close()

        # A daemon: a process that dies without `close` must not hang on a thread that waits for work.
        thread = threading.Thread(target=body, name=name, daemon=True)
        thread.start()
        await asyncio.wrap_future(opened)
        self._threads.append(thread)
        if read_only:
            self._reading.append(thread)


def _empty_log(path: Path) -> None:
    connection = connect(path)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # where a reader is in the way, the next one does it
    finally:
        connection.close()


def _prepare(path: Path, *, exclusive: bool) -> DatabaseLock | None:
    """Make the directory, take the lock where it is asked for, migrate; the lock that stays held."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)  # tokens are in it; the WAL takes over these permissions
    lock = DatabaseLock(path)
    if exclusive:
        lock.acquire()
        try:
            migration.upgrade(path)
        except BaseException:
            lock.release()
            raise
        return lock
    if not migration.is_current(path):
        try:
            with lock:
                migration.upgrade(path)
        except StoreInUseError as error:
            raise StoreOutdatedError(
                f"{path} needs a migration, and a running service holds it; restart that service with this release"
            ) from error
    return None
