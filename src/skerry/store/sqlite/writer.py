"""The one writer: group commit.

Everything that waits is carried out in one transaction and shares one sync of the disk, which is what a commit costs;
while that sync runs, the next batch gathers by itself. Nobody is ever delayed on purpose: a lone caller gets a
transaction of its own at once.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty
from time import monotonic

from skerry.store.errors import NotStoredError
from skerry.store.sqlite.transaction import SqliteTransaction
from skerry.store.sqlite.work_queue import Job, WorkQueue

MAX_BATCH = 512
MAX_BATCH_SECONDS = 0.02
"""A batch takes in no more work after this: the first caller of a batch waits for all of it."""


@dataclass(frozen=True, slots=True)
class WriterStats:
    """What the writer has done since it was opened."""

    queue_length: int
    commits: int
    works: int
    failed_commits: int

    @property
    def mean_batch(self) -> float:
        """Works per commit."""
        return self.works / self.commits if self.commits else 0.0


class _TransactionLostError(Exception):
    """SQLite has rolled back the whole transaction by itself, as it may on a full disk or an I/O error."""


class Writer:
    """Carries out jobs on one connection; `run` is the body of its thread.

    `announce` is called on the event loop after a commit that has events in it, `committed` in this thread after each,
    with the number of works.
    """

    def __init__(
        self,
        queue: WorkQueue,
        announce: Callable[[], None],
        committed: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._queue = queue
        self._committed = committed
        self._announce = announce
        self._commits = 0
        self._works = 0
        self._failed_commits = 0
        self._closing = False

    def stats(self) -> WriterStats:
        """Counters; may be read from any thread."""
        return WriterStats(len(self._queue), self._commits, self._works, self._failed_commits)

    def run(self, connection: sqlite3.Connection, tx: SqliteTransaction) -> None:
        """Serve until the queue is closed and empty."""
        while not self._closing and (job := self._queue.take()) is not None:
            if job.future.cancelled():
                continue
            batch = [job]
            told = False
            try:
                told = self._carry_out_batch(connection, tx, batch)
            except (sqlite3.Error, _TransactionLostError) as error:
                tx.events.forget_since(0)
                self._lose(connection, batch, error)
            self._queue.resolve(batch, self._announce if told else None)

    def _carry_out_batch(self, connection: sqlite3.Connection, tx: SqliteTransaction, batch: list[Job]) -> bool:
        """Carry out `batch[0]` and what else is waiting, in one transaction; extends `batch`.

        Returns whether events were committed.

        The first work needs no savepoint: where it fails, nobody else is in the transaction yet.
        """
        closes_at = monotonic() + MAX_BATCH_SECONDS
        connection.execute("BEGIN IMMEDIATE")
        if not _carry_out(batch[0], connection, tx):
            connection.execute("ROLLBACK")
            return False
        while len(batch) < MAX_BATCH and monotonic() < closes_at:
            job = self._next()
            if job is None:
                break
            if job.future.cancelled():
                continue
            batch.append(job)
            connection.execute("SAVEPOINT work")
            if not _carry_out(job, connection, tx):
                connection.execute("ROLLBACK TO work")
            connection.execute("RELEASE work")
        told = tx.events.write_gathered()
        connection.execute("COMMIT")
        self._commits += 1
        self._works += len(batch)
        self._committed(len(batch))
        return told

    def _next(self) -> Job | None:
        try:
            job = self._queue.take_waiting()
        except Empty:
            return None
        if job is None:
            self._closing = True
        return job

    def _lose(self, connection: sqlite3.Connection, batch: list[Job], error: Exception) -> None:
        """Nothing of the batch is on disk: say so to everybody who was not told of an error of their own."""
        self._failed_commits += 1
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # should even this fail, the next BEGIN does too, and its callers are told
                connection.execute("ROLLBACK")
        for job in batch:
            if job.error is None:
                lost = NotStoredError(f"the transaction failed: {error}")
                lost.__cause__ = error
                job.fail(lost)


def _carry_out(job: Job, connection: sqlite3.Connection, tx: SqliteTransaction) -> bool:
    mark = tx.events.mark()
    try:
        job.result = job.work(tx)
    except BaseException as error:
        tx.events.forget_since(mark)
        if not connection.in_transaction:
            raise _TransactionLostError(str(error)) from error
        job.fail(error)
        return False
    return True
