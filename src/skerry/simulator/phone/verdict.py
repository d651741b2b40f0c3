"""What a phone did with a push, in a word and a sentence: one record per push."""

from dataclasses import dataclass
from enum import StrEnum

from skerry.simulator.carrier import Broadcast, Delivery, TokenKind


class Verdict(StrEnum):
    """What became of a push on the phone. APNs answered 200 to all of them."""

    STARTED = "started"
    SHOWN = "shown"
    ENDED = "ended"
    STORED = "stored"
    """Not yet final: APNs keeps the push until the phone is back online."""

    NO_ALERT = "no_alert"
    UNDECODABLE_CONTENT_STATE = "undecodable_content_state"
    UNDECODABLE_ATTRIBUTES = "undecodable_attributes"
    UNKNOWN_ATTRIBUTES_TYPE = "unknown_attributes_type"
    TOO_LARGE = "too_large"
    OLDER_TIMESTAMP = "older_timestamp"
    EQUAL_TIMESTAMP = "equal_timestamp"
    TIMESTAMP_IN_THE_PAST = "timestamp_in_the_past"
    MISSING_TIMESTAMP = "missing_timestamp"
    UNKNOWN_EVENT = "unknown_event"
    MALFORMED_PAYLOAD = "malformed_payload"
    ACTIVITY_ENDED = "activity_ended"
    ROTATED_TOKEN = "rotated_token"  # noqa: S105 - a code, not a secret
    WRONG_TOKEN_KIND = "wrong_token_kind"  # noqa: S105 - a code, not a secret
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - a code, not a secret
    BROADCAST_START = "broadcast_start"
    """A broadcast updates and ends cards; it starts none (apple.md 5.1)."""
    NOT_LIVE_ACTIVITY = "not_live_activity"
    START_BUDGET = "start_budget"
    PRIORITY_BUDGET = "priority_budget"
    ACTIVITIES_DISABLED = "activities_disabled"
    OS_TOO_OLD = "os_too_old"
    APP_DELETED = "app_deleted"
    NOT_STORED = "not_stored"
    """The phone was offline and `apns-expiration` 0 forbids storing."""
    REPLACED_IN_STORAGE = "replaced_in_storage"
    """The phone was offline and a newer push of the app took the only place (apple.md 3.8)."""
    EXPIRED = "expired"

    @property
    def is_dropped(self) -> bool:
        """True where nothing of the push reached the screen, and nothing ever will."""
        return self not in {Verdict.STARTED, Verdict.SHOWN, Verdict.ENDED, Verdict.STORED}

    @property
    def is_final(self) -> bool:
        """False only while APNs still holds the push."""
        return self is not Verdict.STORED


@dataclass(frozen=True, slots=True)
class Dropped:
    """A decision against a push, before it is written into the record."""

    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True)
class PushRecord:
    """One push and what the phone did with it."""

    number: int
    """1, 2, 3 … in the order of arrival at this phone."""
    time: float
    """When APNs passed it on, UNIX seconds in simulated time."""
    decided_at: float
    """When the phone decided: later than `time` for a push that waited in storage."""
    apns_id: str
    """Of a broadcast: its `apns-request-id`."""
    token: str
    """Empty: it came by broadcast."""
    token_kind: TokenKind | None
    priority: int
    verdict: Verdict
    why: str
    event: str | None = None
    timestamp: float | None = None
    group_id: str | None = None
    card_id: str | None = None
    channel: str | None = None
    """The channel of a broadcast."""
    notes: tuple[str, ...] = ()
    """What a developer should know although the push was taken: milliseconds in `timestamp`, a date 31 years off."""

    @classmethod
    def of(cls, delivery: Delivery, kind: TokenKind | None, number: int, now: float) -> "PushRecord":
        """A push that has just arrived for a token of this kind."""
        return cls(
            number=number,
            time=delivery.accepted_at,
            decided_at=now,
            apns_id=delivery.apns_id,
            token=delivery.token,
            token_kind=kind,
            priority=delivery.priority,
            verdict=Verdict.STORED,
            why="",
        )

    @classmethod
    def of_broadcast(cls, broadcast: Broadcast, number: int, now: float) -> "PushRecord":
        """A broadcast that has just arrived."""
        return cls(
            number=number,
            time=broadcast.accepted_at,
            decided_at=now,
            apns_id=broadcast.request_id,
            token="",
            token_kind=None,
            priority=broadcast.priority,
            verdict=Verdict.STORED,
            why="",
            channel=broadcast.channel_id,
        )
