"""Statements that take many rows: one step of SQLite for up to 256 of them.

A step costs more around it than in it: the interpreter's lock is let go and taken back, which beside a busy event loop
takes longer than storing a row. Rows could also travel as one JSON text, but JSON cannot carry bytes.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain

_SIZES = (256, 64, 8, 1)


class Rows:
    """A statement with `VALUES {rows}` in it, and before that `?1`, `?2`, … for what is the same in all rows.

    Binding a value costs as much as storing it: what rows share is bound once.
    """

    def __init__(self, statement: str, width: int) -> None:
        """`width`: values in a row."""
        row = f"({', '.join('?' * width)})"
        self._statements = [(size, statement.replace("{rows}", ", ".join([row] * size))) for size in _SIZES]

    def execute(
        self, connection: sqlite3.Connection, rows: Sequence[Sequence[object]], shared: Sequence[object] = ()
    ) -> None:
        """Carry it out for all rows."""
        place = 0
        for size, statement in self._statements:
            while len(rows) - place >= size:
                values = [*shared, *chain.from_iterable(rows[place : place + size])]
                connection.execute(statement, values)
                place += size

    def statement(self, size: int) -> str:
        """Its text for so many rows, for whoever wants to see its plan."""
        return dict(self._statements)[size]
