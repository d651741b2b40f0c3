"""Readers: each work on a snapshot of what is committed, on a connection that cannot write."""

import sqlite3
import time

from skerry.domain.errors import SurveyTooLongError
from skerry.store.sqlite.transaction import SqliteTransaction
from skerry.store.sqlite.work_queue import Job, WorkQueue

_LOOK_EVERY = 1_000_000
"""Instructions of SQLite between two looks at the clock: about 20 ms."""


class Reader:
    """Carries out read-only jobs; `run` is the body of its thread. Several readers share a queue.

    `limit`: seconds after which a job's statement is interrupted; None: never.
    """

    def __init__(self, queue: WorkQueue, *, limit: float | None = None) -> None:
        self._queue = queue
        self._limit = limit

    def run(self, connection: sqlite3.Connection, tx: SqliteTransaction) -> None:
        """Serve until the queue is closed and empty."""
        while (job := self._queue.take()) is not None:
            if job.future.cancelled():
                continue
            _carry_out(job, connection, tx, self._limit)
            self._queue.resolve((job,))


def _carry_out(job: Job, connection: sqlite3.Connection, tx: SqliteTransaction, limit: float | None) -> None:
    end = None if limit is None else time.monotonic() + limit
    if end is not None:
        connection.set_progress_handler(lambda: time.monotonic() > end, _LOOK_EVERY)
    try:
        connection.execute("BEGIN")  # the first statement of the work takes the snapshot, the rest keep to it
        job.result = job.work(tx)
    except sqlite3.OperationalError as error:
        too_long = limit is not None and error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT
        job.fail(SurveyTooLongError(limit) if too_long and limit is not None else error)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is its caller's
        job.fail(error)
    if end is not None:
        connection.set_progress_handler(None, 0)
    if connection.in_transaction:
        connection.execute("ROLLBACK")
