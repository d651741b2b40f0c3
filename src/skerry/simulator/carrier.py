"""Between the simulated APNs and the simulated phones: what a token is worth, and a push on its way.

APNs asks `Phones.standing` to answer the sender and calls `Phones.deliver` and `Phones.broadcast` for what it accepted.
The answer to the sender never depends on what the phone does with the push (apple.md 9.1, rule 11).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from skerry.domain.push import Environment


class TokenKind(StrEnum):
    """What a device token is for; a push whose topic does not fit gets `DeviceTokenNotForTopic`."""

    START = "start"
    UPDATE = "update"
    DEVICE = "device"
    """An ordinary notification token: fits the plain bundle id, not the `.push-type.liveactivity` topic."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What APNs knows of a token that exists in this environment."""

    bundle_id: str
    kind: TokenKind
    gone: str | None = None
    """`Unregistered` or `ExpiredToken` (answered with 410), None while the token is good."""
    gone_since: float | None = None
    """Seconds since 1970 UTC; APNs reports it in milliseconds."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One accepted push, as it leaves APNs for the phone."""

    environment: Environment
    token: str
    apns_id: str
    topic: str
    push_type: str
    priority: int
    expiration: int | None
    """UNIX seconds; 0: try once, do not store; None: header absent, stored up to 30 days."""
    body: bytes
    accepted_at: float


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One accepted broadcast, as it leaves APNs for the phones that have a card on the channel."""

    environment: Environment
    bundle_id: str
    channel_id: str
    stored: bool
    """Whether the channel keeps the most recent message for phones that are offline."""
    request_id: str
    priority: int
    expiration: int
    """UNIX seconds; 0: try once, do not store."""
    body: bytes
    accepted_at: float


class Phones(Protocol):
    """The phones behind APNs."""

    def standing(self, environment: Environment, token: str) -> Standing | None:
        """What this token is in this environment; None: unknown here, answered with `BadDeviceToken`."""

    def deliver(self, delivery: Delivery) -> None:
        """Take an accepted push. Returns at once and never raises."""

    def broadcast(self, broadcast: Broadcast) -> None:
        """Take an accepted broadcast. Returns soon, however many phones there are, and never raises."""
