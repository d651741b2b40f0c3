"""Notification keys and what they stand for; and the answers that are remembered for repeated requests."""

import sqlite3

import msgspec

from skerry.domain.commands import Idempotency, Notification, Template
from skerry.domain.errors import IdempotencyConflictError
from skerry.domain.ids import AppId, Millis, NotificationKey

ADD = "INSERT INTO notifications (app_id, kind, template, created_at) VALUES (?, ?, ?, ?)"

GET = "SELECT kind, template, created_at FROM notifications WHERE notification_key = ? AND app_id = ?"

RECALL = "SELECT digest, answer FROM idempotency WHERE app_id = ? AND key = ?"

REMEMBER = "INSERT INTO idempotency (app_id, key, digest, answer, created_at) VALUES (?, ?, ?, ?, ?)"

_templates = msgspec.json.Decoder(Template)


class NotificationRecords:
    """`activities.ports.NotificationRecords` on SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, app_id: AppId, kind: str, template: Template, now: Millis) -> NotificationKey:
        """Store it under the next key."""
        cursor = self._connection.execute(ADD, (app_id, kind, msgspec.json.encode(template), now))
        assert cursor.lastrowid is not None
        return NotificationKey(cursor.lastrowid)

    def get(self, app_id: AppId, key: NotificationKey) -> Notification | None:
        """What the key stands for in this app."""
        row = self._connection.execute(GET, (key, app_id)).fetchone()
        if row is None:
            return None
        kind, template, created_at = row
        return Notification(key, app_id, kind, _templates.decode(template), created_at)

    def recall(self, app_id: AppId, idempotency: Idempotency) -> str | None:
        """The answer that was remembered for this idempotency key, or None.

        Raises:
            IdempotencyConflictError: if the key was used with another digest.
        """
        row = self._connection.execute(RECALL, (app_id, idempotency.key)).fetchone()
        if row is None:
            return None
        digest, answer = row
        if digest != idempotency.digest:
            raise IdempotencyConflictError(idempotency.key)
        return str(answer)

    def remember(self, app_id: AppId, idempotency: Idempotency, answer: str, now: Millis) -> None:
        """Remember the answer for a repeat of the request."""
        self._connection.execute(REMEMBER, (app_id, idempotency.key, idempotency.digest, answer, now))
