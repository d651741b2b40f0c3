"""The timeline of an activity: what happened to it, in order; and seen from one phone, what became of it there."""

from dataclasses import dataclass

from skerry.domain.event import EventId, RecordedEvent
from skerry.domain.ids import CardNumber
from skerry.domain.receipt import CardReceipt
from skerry.domain.verdict import Verdict

NO_START_TOKEN = "NO_START_TOKEN"  # noqa: S105 - a reason
NOT_STARTED = "NOT_STARTED"
"""No start was for the phone: it is not in the audience, or its turn has not come."""


@dataclass(frozen=True, slots=True)
class OnPhone:
    """What has become of one revision on one phone, as of now."""

    card: CardNumber | None = None
    """None: the phone has no card that it concerned."""
    verdict: Verdict | None = None
    reason: str | None = None
    """Apple's reason for a refusal, or why the phone was not started."""


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that happened. `on_phone` is there where a phone was asked for and a revision was accepted."""

    event: RecordedEvent
    on_phone: OnPhone | None = None


@dataclass(frozen=True, slots=True)
class Phone:
    """Whether a phone shows what it should, and if not, why."""

    installation_id: str
    card: CardReceipt | None
    """Its newest card."""
    reason: str | None = None
    """Why it has none: what a start said of it, `NO_START_TOKEN` or `NOT_STARTED`."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A page of it, the oldest first."""

    entries: tuple[TimelineEntry, ...]
    following: EventId | None
    """Where the next page begins; None: this was the last."""
    phone: Phone | None = None
    """Where one was asked for."""
