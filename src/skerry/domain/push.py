"""A push, and the four things that can become of it.

The words are Apple's. A verdict is a value: nothing above the wire catches network errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Generic, TypeAlias, TypeVar

from skerry.domain.ids import Millis

ValueT = TypeVar("ValueT")


class Environment(StrEnum):
    """Apple's two worlds. Tokens, channels and (new-style) keys of one do not work in the other."""

    PRODUCTION = "production"
    SANDBOX = "sandbox"

    @property
    def other(self) -> "Environment":
        """The world to try once when a token turns out not to belong to this one."""
        return Environment.SANDBOX if self is Environment.PRODUCTION else Environment.PRODUCTION


class Outcome(IntEnum):
    """One byte per push, as the wire reports it. `PENDING` never leaves the wire."""

    PENDING = 0
    ACCEPTED = 1
    """Apple answered 200: taken, nothing more."""
    REJECTED = 2
    """Apple answered anything else; the reason is in `Outcomes.rejections`."""
    NOT_PROCESSED = 3
    """Certainly not processed: never written, `REFUSED_STREAM`, or above GOAWAY's last stream id."""
    UNKNOWN = 4
    """Written, and no answer: it may have been delivered."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """What Apple said instead of 200."""

    status: int
    reason: str
    """Apple's reason string; the raw text (at most 200 characters) where the body was not Apple's JSON."""
    invalid_since: Millis | None = None
    """Only with 410: when APNs confirmed that the token was no longer valid for the topic."""
    retry_after: float | None = None
    """Seconds, where a `Retry-After` header came with it."""
    said_at: float | None = field(default=None, compare=False)
    """When Apple's server said so, by its own clock (UNIX seconds), where a `Date` header came with it."""


@dataclass(frozen=True, slots=True)
class Accepted(Generic[ValueT]):
    """Apple did it. `value` is what came of it."""

    value: ValueT


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """Certainly not done: it may be asked again. The causes are those of `Outcomes.causes`."""

    cause: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Written, and no answer, or none that could be read: it may have been done."""

    cause: str


Result: TypeAlias = Accepted[ValueT] | Rejected | NotProcessed | Unknown
"""What becomes of a single request: the four outcomes of a push, as values."""


@dataclass(frozen=True, slots=True)
class PushBatch:
    """The same push to many tokens: shared headers, shared body (or `bodies`), one token each.

    `tokens` are lower-case hexadecimal strings. `expiration` is UNIX seconds, 0 for "try once, do not
    store", or None to leave the header out.
    """

    topic: str
    body: bytes
    tokens: Sequence[str]
    priority: int = 10
    expiration: int | None = None
    push_type: str = "liveactivity"
    urgent: bool = False
    """Goes before batches that are not: a courier's single card does not wait behind a final with a million."""
    deadline: float = 30.0
    """Seconds from submission after which a push that is not answered is `UNKNOWN` (written) or
    `NOT_PROCESSED` (not written)."""
    bodies: Sequence[bytes] | None = None
    """One for each token, instead of `body`: pushes of many activities that share their headers."""

    def body_of(self, place: int) -> bytes:
        """The body that the token at this place gets."""
        return self.body if self.bodies is None else self.bodies[place]


@dataclass(slots=True)
class Outcomes:
    """What became of each push of a batch, by its place in `PushBatch.tokens`. One `Outcome` each."""

    codes: bytearray
    rejections: dict[int, Rejected] = field(default_factory=dict)
    causes: dict[int, str] = field(default_factory=dict)
    """Why a push is `NOT_PROCESSED` or `UNKNOWN`, where that is known: `goaway`, `refused_stream`, `timeout`,
    `connection_lost`, `connect_failed`, `deadline`, `shutdown`, `credential`."""
    waits: list[tuple[float, int]] = field(default_factory=list)
    """How many pushes were written for the first time how many seconds after they were handed over."""

    def counts(self) -> Mapping[Outcome, int]:
        """How many of each outcome."""
        return {outcome: self.codes.count(int(outcome)) for outcome in Outcome}


@dataclass(frozen=True, slots=True)
class Credential:
    """One APNs key of one team. Equal credentials share a provider token and connections."""

    team_id: str
    key_id: str
    private_key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host that speaks one of APNs' protocols (pushes, or channel management), and whom to trust there."""

    host: str
    port: int = 443
    ca_file: str | None = None
    """PEM bundle to verify the server with; None: the system's roots."""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """Which pool a batch goes through: a credential at an endpoint."""

    credential: Credential
    endpoint: Endpoint
