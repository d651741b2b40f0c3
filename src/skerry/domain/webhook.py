"""A webhook: an address of the caller's that is told of events, and what became of telling it.

Deliveries are signed as Standard Webhooks 1.0 (https://www.standardwebhooks.com) has it.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NewType

from skerry.domain.event import EventFilter, EventId, EventKind, RecordedEvent
from skerry.domain.ids import AppId, Millis

WebhookId = NewType("WebhookId", int)

SECRET_PREFIX = "whsec_"  # noqa: S105 - says what a secret is
_SECRET_BYTES = 32
"""Between Standard Webhooks' 24 and 64."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where events go, and which."""

    webhook_id: WebhookId
    app_id: AppId
    name: str
    url: str
    created_at: Millis
    kinds: tuple[EventKind, ...] = ()
    """None of them: all."""
    activity: str | None = None
    """The name of the only activity it is told of."""
    enabled: bool = True
    cursor: EventId = EventId(0)
    """The newest event that has been looked at for it."""
    failing_since: Millis | None = None
    """When the first of the attempts was that have failed since the last success."""
    disabled_reason: str | None = None
    """Why it was switched off by us."""

    @property
    def wanted(self) -> EventFilter:
        """The events that it is told of."""
        return EventFilter(self.kinds, activity_name=self.activity)


@dataclass(frozen=True, slots=True)
class WebhookWish:
    """What a webhook is to be."""

    url: str
    kinds: tuple[EventKind, ...] = ()
    activity: str | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A webhook's signing secret as it is kept, and the one before it while receivers may still check with that."""

    current: bytes
    old: bytes | None = None
    old_until: Millis | None = None


@dataclass(frozen=True, slots=True)
class WebhookState:
    """A webhook, and what waits for it."""

    webhook: Webhook
    pending: int
    """Deliveries to be made, or to be tried again."""
    dead: int
    """Deliveries that were given up."""


class DeliveryState(IntEnum):
    """Where a delivery is. One that was taken by its receiver is forgotten: the log of attempts has it."""

    PENDING = 1
    """To be tried when it is due."""
    DEAD = 2
    """Given up after the last attempt; waits to be replayed."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that is to be told to a webhook. `attempt` counts those that have failed."""

    webhook: Webhook
    event: RecordedEvent
    attempt: int
    secret: SealedSecret = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that was given up, and when."""

    event: RecordedEvent
    given_up_at: Millis
    attempts: int


class AttemptOutcome(StrEnum):
    """What became of one attempt."""

    DELIVERED = "delivered"
    """Answered with 2xx in time."""
    REFUSED = "refused"
    """Answered with anything else."""
    FAILED = "failed"
    """Not answered: no connection, a forbidden address, a timeout."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to a receiver. `status` is the answer's, or None where there was none; `error` says why not."""

    event_id: EventId
    number: int
    """Of the attempts at this event, from 1."""
    at: Millis
    took_ms: int
    status: int | None = None
    error: str | None = None

    @property
    def outcome(self) -> AttemptOutcome:
        """Only 2xx counts as taken."""
        if self.status is None:
            return AttemptOutcome.FAILED
        return AttemptOutcome.DELIVERED if self.status // 100 == 2 else AttemptOutcome.REFUSED  # noqa: PLR2004 - HTTP's class of success


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """When to try again, in seconds after each failure; after the last one a delivery is given up."""

    delays: tuple[float, ...] = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18_000.0, 28_800.0, 28_800.0)
    """A day in all."""
    jitter: float = 0.2
    """Up to this share more, so that what failed together does not come back together."""
    disable_after: float = 3 * 86_400.0
    """Seconds of nothing but failures after which a webhook is switched off."""

    def after(self, failures: int, dice: float, retry_after: float | None = None) -> float | None:
        """Seconds to wait after the failure with this number, from 1; None: give up.

        Args:
            failures: how many attempts have failed.
            dice: between 0 and 1.
            retry_after: what the receiver asked for; believed as far as the longest delay.
        """
        if failures > len(self.delays):
            return None
        asked = min(retry_after or 0.0, max(self.delays))
        return max(self.delays[failures - 1], asked) * (1 + self.jitter * dice)


def new_secret() -> bytes:
    """Fresh key bytes."""
    return secrets.token_bytes(_SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """As receivers configure it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def message_id(event_id: EventId) -> str:
    """`webhook-id`: the same at every attempt, so that receivers can tell repeats."""
    return f"evt_{event_id}"


def signed_headers(secrets_: Sequence[bytes], message: str, at_seconds: int, body: bytes) -> dict[str, str]:
    """The three headers: one signature for each secret that a receiver may check with."""
    content = f"{message}.{at_seconds}.".encode() + body
    macs = (hmac.new(secret, content, hashlib.sha256).digest() for secret in secrets_)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at_seconds),
        "webhook-signature": " ".join("v1," + base64.b64encode(mac).decode() for mac in macs),
    }
