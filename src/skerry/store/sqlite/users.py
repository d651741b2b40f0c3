"""Users, their tags and profiles."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from skerry.domain.ids import AppId, Millis, UserId
from skerry.domain.user import UserRegistration


class UserRecords:
    """Users of apps, by `extId`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, app_id: AppId, ext_id: str) -> UserId | None:
        """The user's id."""
        row = self._connection.execute(
            "SELECT user_id FROM users WHERE app_id = ? AND ext_id = ?", (app_id, ext_id)
        ).fetchone()
        return None if row is None else UserId(row[0])

    def ensure(self, app_id: AppId, ext_id: str, now: Millis) -> UserId:
        """The user's id; made where there is none."""
        found = self.find(app_id, ext_id)
        if found is not None:
            return found
        cursor = self._connection.execute(
            "INSERT INTO users (app_id, ext_id, created_at) VALUES (?, ?, ?)", (app_id, ext_id, now)
        )
        return UserId(cursor.lastrowid or 0)

    def describe(self, user_id: UserId, registration: UserRegistration) -> None:
        """Contact details; what the registration leaves out stays."""
        self._connection.execute(
            "UPDATE users SET email = coalesce(?, email), msisdn = coalesce(?, msisdn) WHERE user_id = ?",
            (registration.email, registration.msisdn, user_id),
        )

    def tag(self, app_id: AppId, user_id: UserId, tags: Sequence[str]) -> None:
        """Give tags."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO user_tags (app_id, tag, user_id) VALUES (?, ?, ?)",
            [(app_id, tag, user_id) for tag in tags],
        )

    def untag(self, app_id: AppId, user_id: UserId, tags: Sequence[str]) -> None:
        """Take tags."""
        self._connection.executemany(
            "DELETE FROM user_tags WHERE app_id = ? AND tag = ? AND user_id = ?",
            [(app_id, tag, user_id) for tag in tags],
        )

    def profile(self, user_id: UserId) -> dict[str, Any]:
        """The user's attributes."""
        row = self._connection.execute("SELECT profile FROM users WHERE user_id = ?", (user_id,)).fetchone()
        found = json.loads(row[0]) if row else {}
        return found if isinstance(found, dict) else {}

    def save_profile(self, user_id: UserId, profile: Mapping[str, Any]) -> None:
        """Store all of the user's attributes."""
        text = json.dumps(profile, separators=(",", ":"))
        self._connection.execute("UPDATE users SET profile = ? WHERE user_id = ?", (text, user_id))

    def with_attribute(self, app_id: AppId, attribute: str) -> list[UserId]:
        """The users who have a value for an attribute."""
        rows = self._connection.execute(
            "SELECT user_id FROM users WHERE app_id = ?"
            " AND EXISTS (SELECT 1 FROM json_each(users.profile) WHERE json_each.key = ?)",
            (app_id, attribute),
        )
        return [UserId(row[0]) for row in rows]

    def remove(self, user_id: UserId) -> None:
        """The user is gone; the devices are nobody's."""
        self._connection.execute("UPDATE devices SET user_id = NULL WHERE user_id = ?", (user_id,))
        self._connection.execute("DELETE FROM user_tags WHERE user_id = ?", (user_id,))
        self._connection.execute("DELETE FROM users WHERE user_id = ?", (user_id,))
