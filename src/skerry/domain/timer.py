"""Everything that happens later is a row with `due_at`."""

from dataclasses import dataclass
from enum import IntEnum

from skerry.domain.ids import ActivityId, Millis


class TimerKind(IntEnum):
    """What is to happen."""

    PLANNED_END = 1
    """End the activity (`liveActEndDate`)."""
    UNKNOWN_START = 2
    """Look again at a start whose answer was lost; the subject is the chunk."""
    RENEWAL = 4
    """Start newer cards for those that come near Apple's limit; the subject is the last card that was seen to."""
    FAREWELL = 5
    """End the cards that newer ones have taken over; the subject is the farewell's revision."""
    NO_TOKEN = 9
    """Look at starts that APNs has taken: whose device has said no update token? The subject is the chunk."""
    SILENCE = 3
    """End the activity: its caller has said nothing for as long as it allowed itself."""


@dataclass(frozen=True, slots=True)
class Timer:
    """One thing that is to happen at `due_at`."""

    timer_id: int
    kind: TimerKind
    activity_id: ActivityId
    subject: int
    due_at: Millis
