"""Timers: what is to happen later, one row each."""

import sqlite3

from skerry.domain.ids import ActivityId, Millis
from skerry.domain.timer import Timer, TimerKind

SET = """
    INSERT INTO timers (kind, activity_id, subject, due_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (kind, activity_id, subject) DO UPDATE SET due_at = excluded.due_at
"""

CANCEL = "DELETE FROM timers WHERE kind = ? AND activity_id = ?"

DUE = """
    SELECT timer_id, kind, activity_id, subject, due_at FROM timers
    WHERE due_at <= ? ORDER BY due_at, timer_id LIMIT ?
"""

# The time is part of it: whoever handled the timer may have set it anew, and that one stays.
DONE = "DELETE FROM timers WHERE timer_id = ? AND due_at = ?"

NEXT_DUE = "SELECT min(due_at) FROM timers"


class TimerRecords:
    """`activities.ports.TimerRecords` and `delivery.ports.TimerRecords` on SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def set(self, kind: TimerKind, activity_id: ActivityId, subject: int, due_at: Millis) -> None:
        """Have it happen at `due_at`; replaces the timer with the same kind, activity and subject."""
        self._connection.execute(SET, (int(kind), activity_id, subject, due_at))

    def cancel(self, kind: TimerKind, activity_id: ActivityId) -> None:
        """Forget all timers of this kind of an activity."""
        self._connection.execute(CANCEL, (int(kind), activity_id))

    def due(self, now: Millis, limit: int) -> list[Timer]:
        """Timers whose time has come, earliest first."""
        return [
            Timer(timer_id, TimerKind(kind), activity_id, subject, due_at)
            for timer_id, kind, activity_id, subject, due_at in self._connection.execute(DUE, (now, limit)).fetchall()
        ]

    def done(self, timer: Timer) -> None:
        """Forget one timer, unless it was set to another time since it was read."""
        self._connection.execute(DONE, (timer.timer_id, timer.due_at))

    def next_due(self) -> Millis | None:
        """When the earliest timer is due."""
        (due_at,) = self._connection.execute(NEXT_DUE).fetchone()
        return None if due_at is None else Millis(due_at)
