"""Devices, their start tokens, and what APNs' answers teach about them."""

import sqlite3
from typing import Any

from skerry.domain.device import Device, StartToken
from skerry.domain.ids import ActivityId, AppId, CardNumber, DeviceId, Millis, UserId
from skerry.domain.location import Location
from skerry.domain.push import Environment
from skerry.store.sqlite import erasure

_DEVICE = (
    "SELECT device_id, app_id, installation_id, user_id, secret_hash, platform, environment, environment_proved,"
    " push_token, push_enabled, os_version, app_version, model, last_active_at, language FROM devices"
)

HOLDER_BY_START = """
    SELECT device_id, dead_reason IS NOT NULL FROM start_tokens INDEXED BY ix_start_tokens_app_id_token
    WHERE app_id = ? AND token = ?
"""

# Left to itself SQLite reads all activities of the app and looks for the token in the cards of each.
HOLDER_BY_CARD = """
    SELECT cards.device_id, 0 FROM cards INDEXED BY ix_cards_token CROSS JOIN activities USING (activity_id)
    WHERE cards.token = ? AND activities.app_id = ?
"""

RELEASE_START = "DELETE FROM start_tokens WHERE app_id = ? AND device_id = ? AND token = ?"

RELEASE_CARD = """
    UPDATE cards INDEXED BY ix_cards_token SET token = NULL, status = 5, reason = 'TokenMoved'
    WHERE device_id = ? AND token = ?
    RETURNING activity_id, number
"""


class DeviceRecords:
    """Installations of apps."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, app_id: AppId, installation_id: str) -> Device | None:
        """The device with this installation id."""
        return self._one("WHERE app_id = ? AND installation_id = ?", app_id, installation_id)

    def get(self, device_id: DeviceId) -> Device | None:
        """One device."""
        return self._one("WHERE device_id = ?", device_id)

    def by_push_token(self, app_id: AppId, token: str) -> Device | None:
        """The device with this ordinary token."""
        return self._one("WHERE app_id = ? AND push_token = ?", app_id, token)

    def of_user(self, user_id: UserId) -> list[Device]:
        """A user's devices, the last active first."""
        rows = self._connection.execute(
            f"{_DEVICE} WHERE user_id = ? ORDER BY last_active_at DESC, device_id", (user_id,)
        )
        return [_device(row) for row in rows]

    def add(self, device: Device, now: Millis) -> DeviceId:
        """Store a new device; its id is given by the store."""
        cursor = self._connection.execute(
            "INSERT INTO devices (app_id, installation_id, platform, created_at, last_active_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (device.app_id, device.installation_id, device.platform, now, now),
        )
        return DeviceId(cursor.lastrowid or 0)

    def save(self, device: Device) -> None:
        """Store all of a device."""
        self._connection.execute(
            "UPDATE devices SET user_id = ?, secret_hash = ?, platform = ?, environment = ?, environment_proved = ?,"
            " push_token = ?, push_enabled = ?, os_version = ?, app_version = ?, model = ?, last_active_at = ?,"
            " language = ?"
            " WHERE device_id = ?",
            (
                device.user_id,
                device.secret_hash,
                device.platform,
                device.environment.value if device.environment else None,
                device.environment_proved,
                device.push_token,
                device.push_enabled,
                device.os_version,
                device.app_version,
                device.model,
                device.last_active_at,
                device.language,
                device.device_id,
            ),
        )

    def locate(self, app_id: AppId, device_id: DeviceId, location: Location) -> None:
        """Where the device was; an older place than the one that is known changes nothing."""
        place = location.place
        self._connection.execute(
            "INSERT INTO device_locations (device_id, app_id, x, y, z, located_at) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (device_id) DO UPDATE SET x = excluded.x, y = excluded.y, z = excluded.z,"
            " located_at = excluded.located_at WHERE excluded.located_at >= device_locations.located_at",
            (device_id, app_id, place.x, place.y, place.z, location.time),
        )

    def forget_location(self, device_id: DeviceId) -> None:
        """The device does not want it known where it was."""
        self._connection.execute("DELETE FROM device_locations WHERE device_id = ?", (device_id,))

    def forget_tried_environment(self, device_id: DeviceId) -> None:
        """A new token was reported: the other environment may be tried again."""
        self._connection.execute(
            "UPDATE devices SET other_environment_tried = 0 WHERE device_id = ? AND other_environment_tried = 1",
            (device_id,),
        )

    def start_token(self, app_id: AppId, device_id: DeviceId, attributes_type: str) -> StartToken | None:
        """The device's start token for a type, dead or alive."""
        row = self._connection.execute(
            "SELECT device_id, attributes_type, token, token_time, registered_at, dead_reason FROM start_tokens"
            " WHERE app_id = ? AND device_id = ? AND attributes_type = ?",
            (app_id, device_id, attributes_type),
        ).fetchone()
        return None if row is None else StartToken(*row)

    def save_start_token(self, app_id: AppId, token: StartToken) -> None:
        """Store a start token in place of the one for its type."""
        self._connection.execute(
            "INSERT INTO start_tokens (app_id, device_id, attributes_type, token, token_time,"
            " registered_at, dead_reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (app_id, device_id, attributes_type) DO UPDATE SET"
            " token = excluded.token, token_time = excluded.token_time, registered_at = excluded.registered_at,"
            " dead_reason = excluded.dead_reason",
            (
                app_id,
                token.device_id,
                token.attributes_type,
                token.token,
                token.token_time,
                token.registered_at,
                token.dead_reason,
            ),
        )

    def holder(self, app_id: AppId, token: str) -> tuple[DeviceId, bool] | None:
        """Which device holds a start or update token, and whether APNs has called it dead."""
        row = self._connection.execute(HOLDER_BY_START, (app_id, token)).fetchone()
        if row is None:
            row = self._connection.execute(HOLDER_BY_CARD, (token, app_id)).fetchone()
        return None if row is None else (DeviceId(row[0]), bool(row[1]))

    def release_token(
        self, app_id: AppId, device_id: DeviceId, token: str
    ) -> list[tuple[ActivityId, CardNumber]]:  # fmt: skip
        """The token has moved to another installation: this one has it no more. Returns the cards that it was of."""
        self._connection.execute(RELEASE_START, (app_id, device_id, token))
        return self._connection.execute(RELEASE_CARD, (device_id, token)).fetchall()

    def push_tokens(self, app_id: AppId, maximum: int, offset: int) -> tuple[int, list[str]]:
        """How many devices have an ordinary token, and some of the tokens."""
        total = self._connection.execute(
            "SELECT count(*) FROM devices WHERE app_id = ? AND push_token IS NOT NULL", (app_id,)
        ).fetchone()[0]
        rows = self._connection.execute(
            "SELECT push_token FROM devices WHERE app_id = ? AND push_token IS NOT NULL ORDER BY"
            " device_id LIMIT ? OFFSET ?",
            (app_id, maximum, offset),
        )
        return total, [row[0] for row in rows]

    def erase(self, device_id: DeviceId) -> None:
        """Everything that is known of a device, and what was said to it alone."""
        erasure.erase_device(self._connection, device_id)

    def erase_mentions(self, app_id: AppId, ext_id: str) -> None:
        """A user in what starts have found, and in the audiences of starts that are still to come."""
        erasure.erase_mentions(self._connection, app_id, ext_id)

    # What delivery learns

    def learn_environment(self, device_id: DeviceId, environment: Environment) -> None:
        """A push was accepted in this environment: it is the device's."""
        self._connection.execute(
            "UPDATE devices SET environment = ?, environment_proved = 1, other_environment_tried = 0"
            " WHERE device_id = ?",
            (environment.value, device_id),
        )

    def try_environment(self, device_id: DeviceId, environment: Environment) -> None:
        """Try this environment next; the other one has been tried."""
        self._connection.execute(
            "UPDATE devices SET environment = ?, environment_proved = 0, other_environment_tried = 1"
            " WHERE device_id = ?",
            (environment.value, device_id),
        )

    def lose_start_token(
        self, device_id: DeviceId, token: str, reason: str, invalid_since: Millis | None, at: Millis
    ) -> bool:  # fmt: skip
        """APNs called this start token dead; kept where it was registered after `invalid_since`. Whether it is lost."""
        since = at if invalid_since is None else invalid_since
        cursor = self._connection.execute(
            "UPDATE start_tokens SET dead_reason = ?1 WHERE app_id = (SELECT app_id FROM devices WHERE device_id = ?2)"
            " AND device_id = ?2 AND token = ?3 AND registered_at <= ?4",
            (reason, device_id, token, since),
        )
        return cursor.rowcount > 0

    def current_start_token(self, app_id: AppId, device_id: DeviceId, attributes_type: str) -> str | None:
        """The live token that a start of this type is pushed to now: the typed one before the untyped one."""
        row = self._connection.execute(
            "SELECT token FROM start_tokens WHERE app_id = ? AND device_id = ? AND attributes_type IN (?, '')"
            " AND dead_reason IS NULL ORDER BY attributes_type = '' LIMIT 1",
            (app_id, device_id, attributes_type),
        ).fetchone()
        return None if row is None else str(row[0])

    def _one(self, where: str, *values: Any) -> Device | None:
        row = self._connection.execute(f"{_DEVICE} {where}", values).fetchone()
        return None if row is None else _device(row)


def _device(row: tuple[Any, ...]) -> Device:
    return Device(
        device_id=row[0],
        app_id=row[1],
        installation_id=row[2],
        user_id=row[3],
        secret_hash=row[4],
        platform=row[5],
        environment=Environment(row[6]) if row[6] else None,
        environment_proved=bool(row[7]),
        push_token=row[8],
        push_enabled=bool(row[9]),
        os_version=row[10],
        app_version=row[11],
        model=row[12],
        last_active_at=row[13],
        language=row[14],
    )
