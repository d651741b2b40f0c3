"""Readers: each work on a snapshot of what is committed, on a connection that cannot write."""

import sqlite3

from skerry.store.sqlite.transaction import SqliteTransaction
from skerry.store.sqlite.work_queue import Job, WorkQueue


class Reader:
    """Carries out read-only jobs; `run` is the body of its thread. Several readers share a queue."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue

    def run(self, connection: sqlite3.Connection, tx: SqliteTransaction) -> None:
        """Serve until the queue is closed and empty."""
        while (job := self._queue.take()) is not None:
            if job.future.cancelled():
                continue
            _carry_out(job, connection, tx)
            self._queue.resolve((job,))


def _carry_out(job: Job, connection: sqlite3.Connection, tx: SqliteTransaction) -> None:
    try:
        connection.execute("BEGIN")  # the first statement of the work takes the snapshot, the rest keep to it
        job.result = job.work(tx)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is its caller's
        job.fail(error)
    if connection.in_transaction:
        connection.execute("ROLLBACK")
