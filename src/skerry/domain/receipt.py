"""What the caller is told about what it sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from skerry.domain.activity import Activity
from skerry.domain.card import CardStatus
from skerry.domain.ids import CardNumber, GroupId, Millis, NotificationKey, RevisionNumber, Seconds
from skerry.domain.revision import RevisionKind
from skerry.domain.verdict import Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PushStats:
    """The starts of one notification key, counted. `sent` and `failed` are APNs' answers."""

    notification_key: NotificationKey
    status: str
    """`STARTING` (nothing sent yet), `SENDING`, `FINISHED`; `ACTIVE` for a definition that was never sent."""
    started_at: Millis | None
    ended_at: Millis | None
    sent: int
    failed: int


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of one start on one device, or for one user who has none."""

    succeeded: bool
    error_code: str | None
    error: str | None
    """Apple's reason, or ours (`NO_DEVICE`, `NO_START_TOKEN`, …)."""
    installation_id: str | None
    ext_id: str | None
    at: Millis
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class ActivityReceipt:
    """An activity with its names, the oldest first, and its cards counted."""

    activity: Activity
    names: tuple[GroupId, ...]
    cards: Mapping[CardStatus, int]
    held_starts: int = 0
    """Cards among the starting whose start waits for room in the phone's start budget."""


@dataclass(frozen=True, slots=True)
class RevisionReceipt:
    """What became of one revision."""

    number: RevisionNumber
    kind: RevisionKind
    timestamp: Seconds
    created_at: Millis
    priority: int
    verdicts: Mapping[Verdict, int]
    """Cards by what became of it on them; cards that it passed over are not counted."""
    refusals: Mapping[str, int]
    """Apple's reasons."""
    misses: Mapping[str, int]
    """Why people it was for could not be started."""
    unplanned: bool
    """A start whose audience has not been gone through to its end."""
    broadcast: Verdict | None = None
    """What became of it on the activity's channels; None: it was not broadcast."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A revision whose last open chunk has just settled."""

    verdicts: Mapping[Verdict, int]
    """Cards by what became of it on them; cards that it passed over are not counted."""
    misses: Mapping[str, int]
    """Why people it was for could not be started."""
    broadcast: Verdict | None = None
    """What became of it on the activity's channels; None: it was not broadcast."""
    refusals: Mapping[str, int] = field(default_factory=dict)
    """Apple's reasons."""


@dataclass(frozen=True, slots=True)
class CardReceipt:
    """Whether a phone shows what it should, and if not, why."""

    number: CardNumber
    installation_id: str | None
    """None: the device has been erased."""
    ext_id: str | None
    status: CardStatus
    target: RevisionNumber
    """The revision that it must show."""
    verdict: Verdict | None
    """What became of that revision on it; None: nothing is on its way, or the record is past its retention."""
    reason: str | None
    """Apple's reason for a refusal, or why the card is over, or why its start waits."""
    starts_at: Millis | None = None
    """When its start goes out, where that waits."""


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Some items of a list, and whether more follow."""

    items: tuple[T, ...]
    more: bool

    @classmethod
    def of(cls, found: Sequence[T], maximum: int) -> Self:
        """The first so many of what was found, where one more was asked for than is wanted."""
        return cls(tuple(found[:maximum]), len(found) > maximum)
