"""Checkpoints beside the writer: what was committed moves from the WAL into the database file while others commit.

SQLite does it by itself, on the connection whose commit has made the WAL long, and every caller of that commit and of
the next ones waits for it: two syncs and thousands of pages, 50 to 200 ms on a busy disk. With most pages moved
already, the writer's own checkpoint has little left to do. It has to stay: only when nobody commits meanwhile does a
checkpoint reach the end of the WAL, which then begins anew.
"""

import sqlite3
import threading
from contextlib import suppress

from skerry.store.sqlite.transaction import SqliteTransaction

WORKS_BETWEEN = 400
"""Units of work between two of them; each writes some five to ten pages, and the writer's limit is 4,096 pages."""


class Checkpointer:
    """Checkpoints when enough was committed; `run` is the body of its thread."""

    def __init__(self) -> None:
        self._works = 0
        self._due = threading.Event()
        self._closed = False

    def committed(self, works: int) -> None:
        """So many works are on disk; called by the writer."""
        self._works += works
        if self._works >= WORKS_BETWEEN:
            self._works = 0
            self._due.set()

    def close(self) -> None:
        """Let the thread end."""
        self._closed = True
        self._due.set()

    def run(self, connection: sqlite3.Connection, _: SqliteTransaction) -> None:
        """Serve until closed."""
        while self._due.wait() and not self._closed:
            self._due.clear()
            with suppress(sqlite3.OperationalError):  # a full disk: the writer's own says so to those it concerns
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
