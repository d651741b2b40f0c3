"""Notices that somebody else has committed: how processes on one database wake each other."""

import sqlite3
from pathlib import Path
from typing import Self


class Watch:
    """A connection that only asks SQLite for the number of the data's version. Belongs to one thread.

    Asking costs some microseconds and touches no file: the number is in the memory that the processes share.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._version = self._ask()

    def changed(self) -> bool:
        """Whether there was a commit since the last call, by any other connection."""
        before, self._version = self._version, self._ask()
        return self._version != before

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self) -> int:
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)
