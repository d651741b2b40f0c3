"""Processes that send beside the service: while one is heard of, nobody takes away what it has leased."""

import sqlite3

from skerry.domain.ids import Millis

JOIN = "INSERT INTO senders (owner, seen_at) VALUES (?, ?)"

BEAT = "UPDATE senders SET seen_at = ? WHERE owner = ?"

KNOWN = "SELECT 1 FROM senders WHERE owner = ?"

LEAVE = "DELETE FROM senders WHERE owner = ?"

FORGET_SILENT = "DELETE FROM senders WHERE seen_at <= ?"


class SenderRecords:
    """`delivery.ports.SenderRecords` on SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def join(self, owner: str, now: Millis) -> None:
        """A sender begins."""
        self._connection.execute(JOIN, (owner, now))

    def beat(self, owner: str, now: Millis) -> bool:
        """A sender is alive; False: it was given up meanwhile, and what it had leased went to others."""
        return self._connection.execute(BEAT, (now, owner)).rowcount == 1

    def is_known(self, owner: str) -> bool:
        """Whether nobody else has taken over what a sender has leased."""
        return self._connection.execute(KNOWN, (owner,)).fetchone() is not None

    def leave(self, owner: str) -> None:
        """A sender is no more: what it has leased may be taken."""
        self._connection.execute(LEAVE, (owner,))

    def forget_silent(self, seen_until: Millis) -> None:
        """Those not heard of since then are no more."""
        self._connection.execute(FORGET_SILENT, (seen_until,))
