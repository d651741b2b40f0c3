"""What is left of a person elsewhere than in their own rows, and how it goes.

A start for one person carries what it says of them: title, text, attributes and content state. When every card of an
activity has been erased, nobody else's are in it, and they go too; counts stay.
"""

import json
import sqlite3
from typing import Any

from skerry.domain.activity import Phase
from skerry.domain.ids import ActivityId, AppId, DeviceId

# Every row that tells of the device alone; its cards keep their numbers, without a device behind them.
FORGET_DEVICE = (
    """
    DELETE FROM followers WHERE (app_id, key) IN (
        SELECT app_id, 'd:' || installation_id FROM devices WHERE device_id = ?)
    """,
    "DELETE FROM start_tokens WHERE device_id = ?",
    "DELETE FROM misses WHERE device_id = ?",
    "DELETE FROM device_locations WHERE device_id = ?",
    """
    UPDATE cards SET device_id = 0, token = NULL, former_token = NULL, status = 5, reason = 'Erased'
    WHERE device_id = ?
    """,
    "DELETE FROM devices WHERE device_id = ?",
)

ACTIVITIES_OF = "SELECT DISTINCT activity_id FROM cards WHERE device_id = ?"

# A desired activity is for others as long as it names one of them, or names nobody and is for whoever matches.
IS_OTHERS_TOO = """
    SELECT EXISTS (SELECT 1 FROM cards WHERE activity_id = ?1 AND device_id <> 0)
        OR EXISTS (SELECT 1 FROM plans WHERE activity_id = ?1)
        OR EXISTS (
            SELECT 1 FROM desired
            WHERE activity_id = ?1 AND json_extract(CAST(audience AS TEXT), '$.ext_ids') IS NOT '[]')
"""

# The key goes on counting what it started; what it said is gone. "e30=" is {} in base64.
FORGET_MESSAGES = """
    UPDATE notifications SET template = CAST(json_set(CAST(template AS TEXT),
        '$.title', '', '$.text', '', '$.alert_title', NULL, '$.group_id', NULL,
        '$.attributes', 'e30=', '$.state', 'e30=', '$.params', json('{}'), '$.languages', json('{}')) AS BLOB)
    WHERE kind = 'bulk' AND notification_key IN (
        SELECT notification_key FROM revisions WHERE activity_id = ? AND notification_key IS NOT NULL)
"""

FORGET_CONTENT = (
    FORGET_MESSAGES,
    "UPDATE revisions SET state = NULL, attributes = NULL, alert = NULL WHERE activity_id = ?",
    "DELETE FROM nameless_values WHERE activity_id = ?",
    "DELETE FROM scripts WHERE activity_id = ?",
    """
    DELETE FROM scheduled_changes WHERE (app_id, group_id) IN (
        SELECT app_id, group_id FROM activity_names WHERE activity_id = ?)
    """,
    "DELETE FROM activity_names WHERE activity_id = ?",
    "DELETE FROM followers WHERE activity_id = ?",
    "DELETE FROM desired WHERE activity_id = ?",
    f"""
    UPDATE activities SET state = NULL, attributes = NULL, newest_state = 0, named = 1, phase = {int(Phase.ENDED)},
        first_card = next_card, ends_at = NULL, ended_at = coalesce(ended_at, created_at)
    WHERE activity_id = ?
    """,
)

FORGET_MISSES = """
    DELETE FROM misses WHERE ext_id = ? AND activity_id IN (SELECT activity_id FROM activities WHERE app_id = ?)
"""

UNFOLLOW = "DELETE FROM followers WHERE app_id = ? AND key = 'u:' || ?"

# Wherever it does: in what is left out, and in what its segments stood for.
_NAMES_USER = "EXISTS (SELECT 1 FROM json_tree(CAST(audience AS TEXT)) AS said WHERE said.atom = ?)"

PLANS_FOR = f"SELECT CAST(audience AS TEXT), plan_id FROM plans WHERE app_id = ? AND {_NAMES_USER}"
CHANGE_PLAN = "UPDATE plans SET audience = ? WHERE plan_id = ?"

DESIRED_FOR = f"""
    SELECT CAST(audience AS TEXT), activity_id FROM desired
    WHERE activity_id IN (SELECT activity_id FROM activities WHERE app_id = ?)
      AND audience IS NOT NULL AND {_NAMES_USER}
"""
CHANGE_DESIRED = "UPDATE desired SET audience = ? WHERE activity_id = ?"

SEGMENTS_FOR = f"SELECT CAST(audience AS TEXT), segment_id FROM segments WHERE app_id = ? AND {_NAMES_USER}"
CHANGE_SEGMENT = "UPDATE segments SET audience = ? WHERE segment_id = ?"

SCHEDULED_FOR = f"""
    SELECT CAST(audience AS TEXT), schedule_id FROM scheduled_changes
    WHERE app_id = ? AND audience IS NOT NULL AND {_NAMES_USER}
"""
CHANGE_SCHEDULED = "UPDATE scheduled_changes SET audience = ? WHERE schedule_id = ?"

# What was to be said to this person alone.
FORGET_SCHEDULED = """
    DELETE FROM scheduled_changes
    WHERE app_id = ? AND json_extract(CAST(audience AS TEXT), '$.ext_ids') = '[]'
"""

MENTIONS = (
    (PLANS_FOR, CHANGE_PLAN),
    (SEGMENTS_FOR, CHANGE_SEGMENT),
    (SCHEDULED_FOR, CHANGE_SCHEDULED),
    (DESIRED_FOR, CHANGE_DESIRED),
)
"""How audiences that name a user are found and changed, by table."""


def erase_device(connection: sqlite3.Connection, device_id: DeviceId) -> None:
    """Everything that is known of a device, and what was said to it alone."""
    activities = [ActivityId(row[0]) for row in connection.execute(ACTIVITIES_OF, (device_id,)).fetchall()]
    for statement in FORGET_DEVICE:
        connection.execute(statement, (device_id,))
    for activity_id in activities:
        (others,) = connection.execute(IS_OTHERS_TOO, (activity_id,)).fetchone()
        if not others:
            for statement in FORGET_CONTENT:
                connection.execute(statement, (activity_id,))


def erase_mentions(connection: sqlite3.Connection, app_id: AppId, ext_id: str) -> None:
    """A user in what starts have found, in audiences of what is to come and of what is desired, and in segments."""
    connection.execute(FORGET_MISSES, (ext_id, app_id))
    connection.execute(UNFOLLOW, (app_id, ext_id))
    for find, change in MENTIONS:
        for text, key in connection.execute(find, (app_id, ext_id)).fetchall():
            audience = _without(json.loads(text), ext_id)
            connection.execute(change, (json.dumps(audience, separators=(",", ":")).encode(), key))
    connection.execute(FORGET_SCHEDULED, (app_id,))


def _without(audience: Any, ext_id: str) -> Any:
    """An audience's JSON with the user taken out wherever it names users: itself, its segments, its exclusions."""
    if isinstance(audience, list):
        return [_without(one, ext_id) for one in audience]
    if not isinstance(audience, dict):
        return audience
    return {
        name: [one for one in value if one != ext_id] if name == "ext_ids" and value else _without(value, ext_id)
        for name, value in audience.items()
    }
