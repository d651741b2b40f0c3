"""Webhooks, what is to be told to them, and the log of attempts."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from skerry.domain.event import EventId, EventKind
from skerry.domain.ids import AppId, Millis
from skerry.domain.webhook import (
    Attempt,
    DeadLetter,
    Delivery,
    DeliveryState,
    SealedSecret,
    Webhook,
    WebhookId,
    WebhookState,
)
from skerry.store.sqlite.events import EventRecords

_WEBHOOK = """
    webhook_id, app_id, name, url, created_at, kinds, activity, enabled, cursor, failing_since, disabled_reason
"""

_SECRET = "secret_sealed, old_secret_sealed, old_secret_until"  # noqa: S105 - columns

OF_APP = f"SELECT {_WEBHOOK} FROM webhooks WHERE app_id = ? ORDER BY name"

BY_NAME = f"SELECT {_WEBHOOK} FROM webhooks WHERE app_id = ? AND name = ?"

ENABLED = f"SELECT {_WEBHOOK} FROM webhooks WHERE enabled = 1 ORDER BY webhook_id"

BY_ID = f"SELECT {_WEBHOOK} FROM webhooks WHERE webhook_id = ?"

COUNT = "SELECT count(*) FROM webhooks WHERE app_id = ?"

ADD = """
    INSERT INTO webhooks (app_id, name, url, kinds, activity, enabled, cursor, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""

SAVE = """
    UPDATE webhooks SET url = ?, kinds = ?, activity = ?, enabled = ?, failing_since = ?, disabled_reason = ?
    WHERE webhook_id = ?
"""

SECRET = f"SELECT {_SECRET} FROM webhooks WHERE webhook_id = ?"

SAVE_SECRET = "UPDATE webhooks SET secret_sealed = ?, old_secret_sealed = ?, old_secret_until = ? WHERE webhook_id = ?"  # noqa: S105 - a statement

REMOVE = (
    "DELETE FROM webhook_deliveries WHERE webhook_id = ?",
    "DELETE FROM webhook_attempts WHERE webhook_id = ?",
    "DELETE FROM webhooks WHERE webhook_id = ?",
)

MOVE_CURSOR = "UPDATE webhooks SET cursor = ? WHERE webhook_id = ?"

COUNT_STATE = "SELECT count(*) FROM webhook_deliveries WHERE webhook_id = ? AND state = ?"

# What is there already is due anew, from its first attempt.
ADD_DELIVERIES = f"""
    INSERT INTO webhook_deliveries (event_id, webhook_id, state, attempt, due_at)
    SELECT value, ?2, {int(DeliveryState.PENDING)}, 0, ?3 FROM json_each(?1) WHERE true
    ON CONFLICT (event_id, webhook_id) DO UPDATE SET state = excluded.state, attempt = 0, due_at = excluded.due_at
"""

# A claim is only a later time: should this process end, the delivery is due again by itself.
CLAIM = f"""
    UPDATE webhook_deliveries SET due_at = ?3
    WHERE (event_id, webhook_id) IN (
        SELECT event_id, webhook_id FROM webhook_deliveries
        WHERE webhook_id = ?1 AND state = {int(DeliveryState.PENDING)} AND due_at <= ?2
        ORDER BY due_at, event_id LIMIT ?4)
    RETURNING event_id, attempt
"""

DUE = f"""
    SELECT webhook_deliveries.webhook_id, min(webhook_deliveries.due_at) FROM webhooks
    CROSS JOIN webhook_deliveries ON webhook_deliveries.webhook_id = webhooks.webhook_id
        AND webhook_deliveries.state = {int(DeliveryState.PENDING)}
    WHERE webhooks.enabled = 1 GROUP BY webhook_deliveries.webhook_id
"""

FORGET = "DELETE FROM webhook_deliveries WHERE event_id = ? AND webhook_id = ?"

PUT_OFF = """
    UPDATE webhook_deliveries SET state = ?, attempt = ?, due_at = ? WHERE event_id = ? AND webhook_id = ?
"""

DEAD = f"""
    SELECT event_id, due_at, attempt FROM webhook_deliveries
    WHERE webhook_id = ? AND state = {int(DeliveryState.DEAD)} AND event_id > ? ORDER BY event_id LIMIT ?
"""

REPLAY = f"""
    UPDATE webhook_deliveries SET state = {int(DeliveryState.PENDING)}, attempt = 0, due_at = ?
    WHERE webhook_id = ? AND state = {int(DeliveryState.DEAD)}
"""

LOG = """
    INSERT INTO webhook_attempts (webhook_id, event_id, attempt, at, took_ms, status, error)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""

ATTEMPTS = """
    SELECT attempt_id, event_id, attempt, at, took_ms, status, error FROM webhook_attempts
    WHERE webhook_id = ? AND attempt_id < ? ORDER BY attempt_id DESC LIMIT ?
"""

PENDING = f"SELECT count(*) FROM webhook_deliveries WHERE state = {int(DeliveryState.PENDING)}"

_kinds = msgspec.json.Decoder(list[str])


class WebhookRecords:
    """`receipts.webhooks.ports.WebhookRecords` on SQLite."""

    def __init__(self, connection: sqlite3.Connection, events: EventRecords) -> None:
        self._connection = connection
        self._events = events

    # Webhooks

    def of_app(self, app_id: AppId) -> list[Webhook]:
        """An app's webhooks, by name."""
        return [_webhook(row) for row in self._connection.execute(OF_APP, (app_id,)).fetchall()]

    def named(self, app_id: AppId, name: str) -> Webhook | None:
        """One of an app's webhooks."""
        row = self._connection.execute(BY_NAME, (app_id, name)).fetchone()
        return None if row is None else _webhook(row)

    def get(self, webhook_id: WebhookId) -> Webhook | None:
        """One webhook."""
        row = self._connection.execute(BY_ID, (webhook_id,)).fetchone()
        return None if row is None else _webhook(row)

    def enabled(self) -> list[Webhook]:
        """All that are told of events."""
        return [_webhook(row) for row in self._connection.execute(ENABLED).fetchall()]

    def count(self, app_id: AppId) -> int:
        """How many an app has."""
        return int(self._connection.execute(COUNT, (app_id,)).fetchone()[0])

    def state(self, webhook: Webhook) -> WebhookState:
        """It, and what waits for it."""
        return WebhookState(
            webhook,
            self.pending(webhook.webhook_id),
            self._count(webhook.webhook_id, DeliveryState.DEAD),
        )

    def add(self, webhook: Webhook) -> WebhookId:
        """Store a new one, without its secret; its id is given by the store."""
        values = (
            webhook.app_id,
            webhook.name,
            webhook.url,
            _json(webhook.kinds),
            webhook.activity,
            int(webhook.enabled),
            webhook.cursor,
            webhook.created_at,
        )
        return WebhookId(self._connection.execute(ADD, values).lastrowid or 0)

    def save(self, webhook: Webhook) -> None:
        """Store what can change of it but its cursor and its secret."""
        values = (
            webhook.url,
            _json(webhook.kinds),
            webhook.activity,
            int(webhook.enabled),
            webhook.failing_since,
            webhook.disabled_reason,
            webhook.webhook_id,
        )
        self._connection.execute(SAVE, values)

    def secret(self, webhook_id: WebhookId) -> SealedSecret:
        """Its sealed secret."""
        return SealedSecret(*self._connection.execute(SECRET, (webhook_id,)).fetchone())

    def save_secret(self, webhook_id: WebhookId, secret: SealedSecret) -> None:
        """Store its sealed secret."""
        self._connection.execute(SAVE_SECRET, (secret.current, secret.old, secret.old_until, webhook_id))

    def remove(self, webhook_id: WebhookId) -> None:
        """It, its deliveries and its log."""
        for statement in REMOVE:
            self._connection.execute(statement, (webhook_id,))

    # Deliveries

    def pending(self, webhook_id: WebhookId) -> int:
        """How many deliveries are to be made."""
        return self._count(webhook_id, DeliveryState.PENDING)

    def plan(self, webhook: Webhook, events: Sequence[EventId], cursor: EventId, due_at: Millis) -> None:
        """These events are to be told to it, and it has been looked at up to the cursor."""
        if events:
            self.tell(webhook.webhook_id, events, due_at)
        self._connection.execute(MOVE_CURSOR, (cursor, webhook.webhook_id))

    def tell(self, webhook_id: WebhookId, events: Sequence[EventId], due_at: Millis) -> None:
        """These events are to be told to it, again if need be."""
        self._connection.execute(ADD_DELIVERIES, (msgspec.json.encode(list(events)).decode(), webhook_id, due_at))

    def claim(self, webhook: Webhook, now: Millis, until: Millis, limit: int) -> list[Delivery]:
        """Deliveries that are due, the longest due first; they are due again at `until` if nothing is heard of them."""
        rows = self._connection.execute(CLAIM, (webhook.webhook_id, now, until, limit)).fetchall()
        secret = self.secret(webhook.webhook_id) if rows else None
        claimed = []
        for event_id, attempt in sorted(rows):
            event = self._events.one(webhook.app_id, event_id)
            if event is None or secret is None:  # past its retention
                self.forget(webhook.webhook_id, event_id)
            else:
                claimed.append(Delivery(webhook, event, attempt, secret))
        return claimed

    def due(self) -> dict[WebhookId, Millis]:
        """When each enabled webhook's next delivery is due."""
        return {WebhookId(one): Millis(due_at) for one, due_at in self._connection.execute(DUE).fetchall()}

    def forget(self, webhook_id: WebhookId, event_id: EventId) -> None:
        """It was taken."""
        self._connection.execute(FORGET, (event_id, webhook_id))

    def put_off(
        self, webhook_id: WebhookId, event_id: EventId, attempt: int, due_at: Millis, *, dead: bool
    ) -> None:  # fmt: skip
        """It was not taken: it is due later, or given up at `due_at`."""
        state = DeliveryState.DEAD if dead else DeliveryState.PENDING
        self._connection.execute(PUT_OFF, (int(state), attempt, due_at, event_id, webhook_id))

    def dead(self, webhook: Webhook, after: EventId, limit: int) -> list[DeadLetter]:
        """Deliveries that were given up, by event."""
        rows = self._connection.execute(DEAD, (webhook.webhook_id, after, limit)).fetchall()
        told = ((self._events.one(webhook.app_id, row[0]), row) for row in rows)
        return [DeadLetter(event, Millis(at), attempts) for event, (_, at, attempts) in told if event is not None]

    def replay(self, webhook_id: WebhookId, now: Millis) -> int:
        """Everything that was given up is due again; how many that is."""
        return self._connection.execute(REPLAY, (now, webhook_id)).rowcount

    # The log

    def log(self, webhook_id: WebhookId, attempt: Attempt) -> None:
        """Keep an attempt."""
        values = (
            webhook_id,
            attempt.event_id,
            attempt.number,
            attempt.at,
            attempt.took_ms,
            attempt.status,
            attempt.error,
        )
        self._connection.execute(LOG, values)

    def attempts(self, webhook_id: WebhookId, before: int, limit: int) -> list[tuple[int, Attempt]]:
        """Attempts with numbers below `before`, the newest first, each with its number."""
        rows = self._connection.execute(ATTEMPTS, (webhook_id, before, limit)).fetchall()
        return [(row[0], Attempt(*row[1:])) for row in rows]

    def all_pending(self) -> int:
        """How many deliveries are to be made, over all webhooks."""
        return int(self._connection.execute(PENDING).fetchone()[0])

    def _count(self, webhook_id: WebhookId, state: DeliveryState) -> int:
        return int(self._connection.execute(COUNT_STATE, (webhook_id, int(state))).fetchone()[0])


def _json(kinds: Sequence[EventKind]) -> str:
    return msgspec.json.encode([kind.value for kind in kinds]).decode()


_KINDS = {kind.value: kind for kind in EventKind}


def _webhook(row: tuple[Any, ...]) -> Webhook:
    webhook_id, app_id, name, url, created_at, kinds, activity, enabled, *rest = row
    wanted = tuple(_KINDS[kind] for kind in _kinds.decode(kinds) if kind in _KINDS)
    return Webhook(webhook_id, app_id, name, url, created_at, wanted, activity, bool(enabled), *rest)
