"""What became of one push to one card, one byte each beside its chunk, and what a refusal asks the sender to do.

Retry rules: Apple's "Handling notification responses from APNs" as collected in apple.md 3.7.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum

from skerry.domain.push import Rejected


class Verdict(IntEnum):
    """One byte per card of a chunk. The first five are not final; the chunk is settled when none of them is left."""

    PENDING = 0
    """Not tried yet."""
    IN_FLIGHT = 1
    """A start whose window was committed before sending: after a crash, nobody knows."""
    RETRY = 2
    """To be sent again when the chunk is due."""
    NO_CARD = 3
    """No card has this number (any more)."""
    ACCEPTED = 4
    REJECTED = 5
    NOT_PROCESSED = 6
    """Certainly not processed, and given up at its deadline."""
    UNKNOWN = 7
    """Written, and no answer."""
    HELD = 8
    """The card's update token has not arrived; the newest state goes out the moment it does."""
    SUPERSEDED = 9
    """A newer revision reaches the card instead."""
    OVER = 10
    """The card was ended, dismissed or lost before its turn."""
    DEFERRED = 11
    """Goes on in a later chunk of the same revision, because it has to wait longer or shorter than the rest."""
    ON_CHANNEL = 12
    """The activity's broadcast channel carries it to this card; the revision says what became of the broadcast."""

    @property
    def is_open(self) -> bool:
        """Whether the push still has to be decided."""
        return self in OPEN


OPEN = frozenset({Verdict.PENDING, Verdict.IN_FLIGHT, Verdict.RETRY})


class Cure(Enum):
    """What a refusal asks for."""

    GIVE_UP = "give_up"
    """Refused for good; the token may be fine."""
    DROP_TOKEN = "drop_token"  # noqa: S105 - a remedy, not a secret
    """The token is dead for this topic."""
    OTHER_ENVIRONMENT = "other_environment"
    """Try Apple's other world once, and remember which one took it."""
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays in seconds. Each grows with the attempts, gets jitter from the caller, and ends at `max_age`."""

    server_error: float = 900.0
    """5xx: Apple asks for fifteen minutes."""
    shutdown: float = 5.0
    """503 `Shutdown`: this server goes away; another connection leads to another one."""
    too_many_requests: float = 30.0
    """429 for one token: only that token waits."""
    credential: float = 300.0
    """403 about the provider token: somebody has to mend the key first."""
    not_processed: float = 2.0
    unknown: float = 5.0
    """An update or end without an answer may be repeated; a start may not."""
    unknown_attempts: int = 3
    max_age: float = 8 * 3600.0
    """After Apple's limit for an activity there is nothing left to say to it."""
    ceiling: float = 3600.0


DROP_REASONS = frozenset({"ExpiredToken", "Unregistered", "DeviceTokenNotForTopic"})
CREDENTIAL_REASONS = frozenset(
    {
        "ExpiredProviderToken",
        "InvalidProviderToken",
        "MissingProviderToken",
        "UnrelatedKeyIdInToken",
        "BadEnvironmentKeyIdInToken",
        "BadEnvironmentKeyInToken",
        "BadCertificate",
        "BadCertificateEnvironment",
    }
)


@dataclass(frozen=True, slots=True)
class Treatment:
    """The cure for a refusal, and for `RETRY` the seconds to wait before jitter."""

    cure: Cure
    delay: float = 0.0


def treat(rejected: Rejected, attempt: int, policy: RetryPolicy, *, other_environment_tried: bool) -> Treatment:
    """What to do about a refusal.

    Args:
        rejected: what APNs answered.
        attempt: how often this push has been sent before, from 0.
        policy: the delays.
        other_environment_tried: whether the device's other environment has refused it too.
    """
    reason = rejected.reason
    if reason == "BadDeviceToken":
        return Treatment(Cure.DROP_TOKEN if other_environment_tried else Cure.OTHER_ENVIRONMENT)
    if reason in DROP_REASONS or rejected.status == 410:  # noqa: PLR2004 - HTTP 410 Gone
        return Treatment(Cure.DROP_TOKEN)
    base = _retry_base(rejected, policy)
    if base is None:
        return Treatment(Cure.GIVE_UP)
    delay = min(grown(base, attempt), max(policy.ceiling, base))
    return Treatment(Cure.RETRY, max(delay, rejected.retry_after or 0.0))


def grown(base: float, attempt: int) -> float:
    """A delay doubled with every attempt, up to a number that floats can hold: a push may be tried for days."""
    return base * 2.0 ** min(attempt, 64)


def _retry_base(rejected: Rejected, policy: RetryPolicy) -> float | None:
    if rejected.reason == "Shutdown":
        return policy.shutdown
    if rejected.status >= 500:  # noqa: PLR2004 - HTTP's class of server errors
        return policy.server_error
    if rejected.reason in CREDENTIAL_REASONS or rejected.reason == "TooManyProviderTokenUpdates":
        return policy.credential
    if rejected.status == 429:  # noqa: PLR2004 - HTTP 429 Too Many Requests
        return policy.too_many_requests
    if rejected.reason == "IdleTimeout":
        return policy.not_processed
    return None
