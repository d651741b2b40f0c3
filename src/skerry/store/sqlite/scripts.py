"""Scripts that are under way."""

import sqlite3

import msgspec

from skerry.domain.ids import ActivityId, Millis
from skerry.domain.script import Script

GET = "SELECT script FROM scripts WHERE activity_id = ?"

SAVE = """
    INSERT INTO scripts (activity_id, script, due_at) VALUES (?, ?, ?)
    ON CONFLICT (activity_id) DO UPDATE SET script = excluded.script, due_at = excluded.due_at
"""

REMOVE = "DELETE FROM scripts WHERE activity_id = ?"

DUE = "SELECT activity_id FROM scripts WHERE due_at <= ? ORDER BY due_at LIMIT ?"

NEXT_DUE = "SELECT min(due_at) FROM scripts WHERE due_at IS NOT NULL"


class ScriptRecords:
    """`activities.ports.ScriptRecords` on SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, activity_id: ActivityId) -> Script | None:
        """The activity's script."""
        row = self._connection.execute(GET, (activity_id,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Script)

    def save(self, script: Script) -> None:
        """Store it in place of what was there."""
        self._connection.execute(SAVE, (script.activity_id, msgspec.json.encode(script), script.due_at))

    def remove(self, activity_id: ActivityId) -> None:
        """The activity has none any more."""
        self._connection.execute(REMOVE, (activity_id,))

    def due(self, now: Millis, limit: int) -> list[ActivityId]:
        """Activities whose script goes on, the longest due first."""
        return [ActivityId(row[0]) for row in self._connection.execute(DUE, (now, limit)).fetchall()]

    def next_due(self) -> Millis | None:
        """When the next one does."""
        (due_at,) = self._connection.execute(NEXT_DUE).fetchone()
        return None if due_at is None else Millis(due_at)
