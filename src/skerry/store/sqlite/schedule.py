"""Changes that wait for their time, and for a while what came of them."""

import sqlite3
from typing import Any

import msgspec

from skerry.domain.ids import AppId, GroupId, Millis, RevisionNumber
from skerry.domain.schedule import Action, ChangeState, Problem, Said, ScheduledChange, ScheduleId
from skerry.store import change_json

_COLUMNS = "schedule_id, app_id, group_id, action, due_at, made_at, state, settled_at, revision, problem"

ADD = f"""
    INSERT INTO scheduled_changes (app_id, group_id, action, change, audience, due_at, made_at, state)
    VALUES (?, ?, ?, ?, ?, ?, ?, {int(ChangeState.WAITING)})
"""

SAID = "SELECT action, change, audience FROM scheduled_changes WHERE schedule_id = ?"

GET = f"SELECT {_COLUMNS} FROM scheduled_changes WHERE schedule_id = ?"

OF_APP = f"""
    SELECT {_COLUMNS} FROM scheduled_changes
    WHERE app_id = ?1 AND state = ?2 AND schedule_id > ?3 ORDER BY schedule_id LIMIT ?4
"""

OF_ACTIVITY = f"""
    SELECT {_COLUMNS} FROM scheduled_changes
    WHERE app_id = ?1 AND group_id = ?5 AND state = ?2 AND schedule_id > ?3 ORDER BY schedule_id LIMIT ?4
"""

WAITING = f"""
    SELECT count(*) FROM scheduled_changes
    WHERE app_id = ? AND group_id = ? AND state = {int(ChangeState.WAITING)}
"""

SETTLE = f"""
    UPDATE scheduled_changes SET state = ?, settled_at = ?, problem = ?
    WHERE schedule_id = ? AND state = {int(ChangeState.WAITING)}
"""

NOTE = "UPDATE scheduled_changes SET revision = ? WHERE schedule_id = ?"

OVERTAKING = f"""
    SELECT DISTINCT action FROM scheduled_changes
    WHERE app_id = ? AND group_id = ? AND state = {int(ChangeState.WAITING)}
      AND (due_at, schedule_id) > (?, ?) AND due_at <= ?
"""

DUE = f"""
    SELECT schedule_id FROM scheduled_changes
    WHERE state = {int(ChangeState.WAITING)} AND due_at <= ? ORDER BY due_at, schedule_id LIMIT ?
"""

NEXT_DUE = f"SELECT min(due_at) FROM scheduled_changes WHERE state = {int(ChangeState.WAITING)}"


class ScheduleRecords:
    """`activities.ports.ScheduleRecords` on SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, change: ScheduledChange, said: Said) -> ScheduleId:
        """Store a new one; its id is given by the store."""
        row = (change.app_id, change.group_id, int(change.action), *change_json.encode(said), change.at, change.made_at)
        cursor = self._connection.execute(ADD, row)
        assert cursor.lastrowid is not None
        return ScheduleId(cursor.lastrowid)

    def get(self, schedule_id: ScheduleId) -> ScheduledChange | None:
        """One change."""
        row = self._connection.execute(GET, (schedule_id,)).fetchone()
        return None if row is None else _change(row)

    def said(self, schedule_id: ScheduleId) -> Said | None:
        """What a change says."""
        row = self._connection.execute(SAID, (schedule_id,)).fetchone()
        return None if row is None else change_json.decode(Action(row[0]), row[1], row[2])

    def page(
        self, app_id: AppId, group_id: GroupId | None, state: ChangeState, after: ScheduleId, limit: int
    ) -> list[ScheduledChange]:
        """Changes of an app or of one activity in a state, numbered above `after`, in order."""
        values = (app_id, int(state), after, limit)
        rows = (
            self._connection.execute(OF_APP, values)
            if group_id is None
            else self._connection.execute(OF_ACTIVITY, (*values, group_id))
        )
        return [_change(row) for row in rows.fetchall()]

    def waiting(self, app_id: AppId, group_id: GroupId) -> int:
        """How many wait for an activity."""
        count: int = self._connection.execute(WAITING, (app_id, group_id)).fetchone()[0]
        return count

    def settle(
        self, schedule_id: ScheduleId, state: ChangeState, now: Millis, *, problem: Problem | None = None
    ) -> bool:  # fmt: skip
        """It waits no more; False: it did not any more."""
        said = None if problem is None else msgspec.json.encode(problem).decode()
        return self._connection.execute(SETTLE, (int(state), now, said, schedule_id)).rowcount == 1

    def note(self, schedule_id: ScheduleId, revision: RevisionNumber) -> None:
        """The activity's newest revision after the change was done."""
        self._connection.execute(NOTE, (revision, schedule_id))

    def overtaking(self, change: ScheduledChange, now: Millis) -> set[Action]:
        """What later changes of the same activity do whose time has come as well."""
        place = (change.app_id, change.group_id, change.at, change.schedule_id, now)
        return {Action(row[0]) for row in self._connection.execute(OVERTAKING, place).fetchall()}

    def due(self, now: Millis, limit: int) -> list[ScheduleId]:
        """Changes whose time has come, the longest due first."""
        return [ScheduleId(row[0]) for row in self._connection.execute(DUE, (now, limit)).fetchall()]

    def next_due(self) -> Millis | None:
        """When the next one's time comes."""
        (due_at,) = self._connection.execute(NEXT_DUE).fetchone()
        return None if due_at is None else Millis(due_at)


def _change(row: tuple[Any, ...]) -> ScheduledChange:
    schedule_id, app_id, group_id, action, due_at, made_at, state, settled_at, revision, problem = row
    return ScheduledChange(
        schedule_id,
        app_id,
        group_id,
        Action(action),
        due_at,
        made_at,
        ChangeState(state),
        settled_at,
        revision,
        None if problem is None else msgspec.json.decode(problem, type=Problem),
    )
