"""Activities, their names, and their revisions."""

import sqlite3
from collections.abc import Iterable
from typing import Any

from skerry.domain.activity import Activity, Phase
from skerry.domain.ids import ActivityId, AppId, GroupId, Millis, RevisionNumber, Seconds
from skerry.domain.revision import Revision, RevisionKind
from skerry.store.sqlite.cards import CardRecords

ACTIVITY = """
    activities.activity_id, activities.app_id, activities.created_at, activities.phase, activities.named,
    activities.attributes_type, activities.attributes, activities.state, activities.newest, activities.newest_state,
    activities.end_revision, activities.last_timestamp, activities.first_card, activities.next_card,
    activities.ends_at, activities.ended_at
"""

CREATE = f"""
    INSERT INTO activities (
        app_id, phase, named, newest, newest_state, end_revision, last_timestamp, first_card, next_card, created_at
    ) VALUES (?, {int(Phase.RUNNING)}, 0, 0, 0, 0, 0, 1, 1, ?)
"""

GET = f"SELECT {ACTIVITY} FROM activities WHERE activity_id = ?"

BY_GROUP = f"""
    SELECT {ACTIVITY} FROM activity_names CROSS JOIN activities USING (activity_id)
    WHERE activity_names.app_id = ? AND activity_names.group_id = ?
"""

# A name is never taken away: a picture of the activity from before `add_name` must not unsay it.
SAVE = """
    UPDATE activities SET
        phase = ?, named = max(named, ?), attributes_type = ?, attributes = ?, state = ?, newest = ?, newest_state = ?,
        end_revision = ?, last_timestamp = ?, first_card = ?, next_card = ?, ends_at = ?, ended_at = ?
    WHERE activity_id = ?
"""

ADD_NAME = """
    INSERT INTO activity_names (app_id, group_id, activity_id, position)
    SELECT ?1, ?2, ?3, count(*) FROM activity_names WHERE activity_id = ?3
    ON CONFLICT (app_id, group_id) DO NOTHING
"""

MARK_NAMED = "UPDATE activities SET named = 1 WHERE activity_id = ?"

NAMES = "SELECT group_id FROM activity_names WHERE activity_id = ? ORDER BY position"

REMEMBER_VALUE = "INSERT OR IGNORE INTO nameless_values (app_id, value, activity_id) VALUES (?, ?, ?)"

NAMELESS_CARRYING = f"""
    SELECT {ACTIVITY} FROM nameless_values CROSS JOIN activities USING (activity_id)
    WHERE nameless_values.app_id = ? AND nameless_values.value = ? AND activities.named = 0
    ORDER BY nameless_values.activity_id DESC LIMIT 1
"""

VALUES_OF = "SELECT value FROM nameless_values WHERE activity_id = ?"

RESTAMP = "UPDATE revisions SET timestamp = max(timestamp, ?) WHERE activity_id = ? AND number = ?"

ADD_REVISION = """
    INSERT INTO revisions (
        activity_id, number, kind, timestamp, created_at, state, attributes, attributes_type, alert, priority,
        stale_date, dismissal_date, expiration, notification_key, relevance
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

REVISION = """
    SELECT activity_id, number, kind, timestamp, created_at, state, attributes, attributes_type, alert, priority,
        stale_date, dismissal_date, expiration, notification_key, relevance
    FROM revisions WHERE activity_id = ? AND number = ?
"""


class ActivityRecords(CardRecords):
    """`activities.ports.ActivityRecords` and `delivery.ports.CardRecords` on SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)

    def create(self, app_id: AppId, now: Millis) -> Activity:
        """A new activity without a name; its row exists from here on."""
        cursor = self._connection.execute(CREATE, (app_id, now))
        assert cursor.lastrowid is not None
        return Activity(ActivityId(cursor.lastrowid), app_id, now)

    def get(self, activity_id: ActivityId) -> Activity | None:
        """The activity."""
        row = self._connection.execute(GET, (activity_id,)).fetchone()
        return None if row is None else read_activity(row)

    def by_group(self, app_id: AppId, group_id: GroupId) -> Activity | None:
        """The activity that has this name."""
        row = self._connection.execute(BY_GROUP, (app_id, group_id)).fetchone()
        return None if row is None else read_activity(row)

    def add_name(self, activity_id: ActivityId, app_id: AppId, group_id: GroupId) -> None:
        """Give it one more name; does nothing where the name is taken (by itself or another). Sets `named`."""
        if self._connection.execute(ADD_NAME, (app_id, group_id, activity_id)).rowcount:
            self._connection.execute(MARK_NAMED, (activity_id,))

    def names(self, activity_id: ActivityId) -> list[GroupId]:
        """Its names, oldest first."""
        return [GroupId(name) for (name,) in self._connection.execute(NAMES, (activity_id,)).fetchall()]

    def save(self, activity: Activity) -> None:
        """Store all of it."""
        self._connection.execute(
            SAVE,
            (
                int(activity.phase),
                int(activity.named),
                activity.attributes_type,
                activity.attributes,
                activity.state,
                activity.newest,
                activity.newest_state,
                activity.end_revision,
                activity.last_timestamp,
                activity.first_card,
                activity.next_card,
                activity.ends_at,
                activity.ended_at,
                activity.activity_id,
            ),
        )

    def add_revision(self, revision: Revision) -> None:
        """Store a new revision."""
        self._connection.execute(
            ADD_REVISION,
            (
                revision.activity_id,
                revision.number,
                int(revision.kind),
                revision.timestamp,
                revision.created_at,
                revision.state,
                revision.attributes,
                revision.attributes_type,
                revision.alert,
                revision.priority,
                revision.stale_date,
                revision.dismissal_date,
                revision.expiration,
                revision.notification_key,
                revision.relevance,
            ),
        )

    def restamp(self, activity_id: ActivityId, number: RevisionNumber, timestamp: Seconds) -> None:
        """A later timestamp for a revision that has grown old before it went out."""
        self._connection.execute(RESTAMP, (timestamp, activity_id, number))

    def revision(self, activity_id: ActivityId, number: RevisionNumber) -> Revision | None:
        """One revision."""
        row = self._connection.execute(REVISION, (activity_id, number)).fetchone()
        if row is None:
            return None
        activity, number, kind, *rest = row
        return Revision(activity, number, RevisionKind(kind), *rest)

    def remember_values(self, activity_id: ActivityId, app_id: AppId, values: Iterable[str]) -> None:
        """The strings that the attributes of a nameless start carry: one of them may turn out to be its name."""
        self._connection.executemany(REMEMBER_VALUE, [(app_id, value, activity_id) for value in values])

    def nameless_carrying(self, app_id: AppId, value: str) -> Activity | None:
        """The newest nameless activity whose attributes carry this string."""
        row = self._connection.execute(NAMELESS_CARRYING, (app_id, value)).fetchone()
        return None if row is None else read_activity(row)

    def values_of(self, activity_id: ActivityId) -> set[str]:
        """The remembered strings of an activity."""
        return {value for (value,) in self._connection.execute(VALUES_OF, (activity_id,)).fetchall()}


def read_activity(row: tuple[Any, ...]) -> Activity:
    """The activity of a row of the columns `ACTIVITY`."""
    activity_id, app_id, created_at, phase, named, *rest = row
    return Activity(activity_id, app_id, created_at, Phase(phase), bool(named), *rest)
