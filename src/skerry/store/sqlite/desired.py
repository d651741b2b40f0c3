"""What callers want activities to be, and who follows them."""

import sqlite3
from collections.abc import Iterable

import msgspec

from skerry.domain import audience_json
from skerry.domain.budget import Meter
from skerry.domain.desired import Policies, Standing
from skerry.domain.ids import ActivityId, AppId, DeviceId

GET = """
    SELECT digest, audience, policies, version, alerted_at, revised_at, pushed_at, start, spent, spent_at, personal
    FROM desired WHERE activity_id = ?
"""

SAVE = """
    INSERT INTO desired (
        activity_id, digest, audience, policies, version, alerted_at, revised_at, pushed_at, start, spent, spent_at,
        personal
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (activity_id) DO UPDATE SET
        digest = excluded.digest, audience = excluded.audience, policies = excluded.policies,
        version = excluded.version, alerted_at = excluded.alerted_at, revised_at = excluded.revised_at,
        pushed_at = excluded.pushed_at,
        start = excluded.start, spent = excluded.spent, spent_at = excluded.spent_at, personal = excluded.personal
"""

UNFOLLOW = "DELETE FROM followers WHERE activity_id = ?"

FOLLOW = "INSERT OR IGNORE INTO followers (app_id, key, activity_id) SELECT ?, value, ? FROM json_each(?)"

# The keys that a device answers to, each through the primary key.
FOLLOWED_BY = """
    WITH answers (key) AS (
        SELECT '*'
        UNION ALL SELECT 'd:' || installation_id FROM devices WHERE device_id = ?2
        UNION ALL SELECT 'u:' || users.ext_id FROM devices JOIN users USING (user_id) WHERE device_id = ?2
    )
    SELECT DISTINCT followers.activity_id FROM answers
    CROSS JOIN followers ON followers.app_id = ?1 AND followers.key = answers.key
    ORDER BY followers.activity_id
"""


class DesiredRecords:
    """`activities.ports.DesiredRecords` on SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, activity_id: ActivityId) -> Standing | None:
        """What is wanted; None: only commands have made the activity."""
        row = self._connection.execute(GET, (activity_id,)).fetchone()
        if row is None:
            return None
        digest, audience, policies, version, alerted_at, revised_at, pushed_at, start, *rest = row
        spent, spent_at, differs = rest
        return Standing(
            activity_id,
            digest,
            None if audience is None else audience_json.decode(audience),
            msgspec.json.decode(policies, type=Policies),
            version,
            alerted_at,
            revised_at,
            pushed_at,
            start,
            Meter(spent, spent_at),
            personal=bool(differs),
        )

    def save(self, standing: Standing) -> None:
        """Store all of it."""
        self._connection.execute(
            SAVE,
            (
                standing.activity_id,
                standing.digest,
                None if standing.audience is None else audience_json.encode(standing.audience),
                msgspec.json.encode(standing.policies),
                standing.version,
                standing.alerted_at,
                standing.revised_at,
                standing.pushed_at,
                standing.start,
                standing.meter.spent,
                standing.meter.at,
                standing.personal,
            ),
        )

    def follow(self, app_id: AppId, activity_id: ActivityId, keys: Iterable[str]) -> None:
        """Devices that answer to one of these keys are looked at when they become reachable; replaces the keys."""
        self._connection.execute(UNFOLLOW, (activity_id,))
        wanted = list(keys)
        if wanted:
            self._connection.execute(FOLLOW, (app_id, activity_id, msgspec.json.encode(wanted).decode()))

    def followed_by(self, app_id: AppId, device_id: DeviceId) -> list[ActivityId]:
        """The activities that may have to be started on this device; whether it matches is for the audience to say."""
        return [ActivityId(row[0]) for row in self._connection.execute(FOLLOWED_BY, (app_id, device_id)).fetchall()]
