"""A round: updates of many activities, one of each, that share their statements.

What an update of one activity takes is a handful of statements, each of which costs more around it than in it. A round
looks at all its activities with one statement, decides by the same rules, and writes with three more.
"""

from msgspec import Struct

from skerry.domain.chunk import Recipient
from skerry.domain.ids import ActivityId, AppId, CardNumber, Millis, RevisionNumber, Seconds


class Wanted(Struct, array_like=True):
    """What is kept of an activity's last desired state, as far as a round needs it."""

    digest: str
    """In hexadecimal."""
    simple: bool
    """Without audience, script and policies of its own: an update is all it can come to."""
    version: int | None
    pushed_at: Millis
    spent: float
    spent_at: Millis


class Seen(Struct, array_like=True):
    """What a round needs to know of an activity."""

    place: int
    """Where its name stands among those that were asked for."""
    activity_id: ActivityId
    phase: int
    newest: RevisionNumber
    last_timestamp: Seconds
    first_card: CardNumber
    next_card: CardNumber
    ends_at: Seconds | None
    waits: bool
    """An unsent chunk waits, which an update may supersede."""
    on_channel: bool
    recipient: Recipient | None = None
    """The card of the present run, where there is just one."""
    wanted: Wanted | None = None

    @property
    def cards(self) -> int:
        """How many card numbers the present run has."""
        return self.next_card - self.first_card


class Change(Struct):
    """An accepted update of a round."""

    app_id: AppId
    seen: Seen
    number: RevisionNumber
    timestamp: Seconds
    state: bytes
    priority: int
    stale_date: Seconds | None
    alert: bytes | None
    relevance: float | None
    due_at: Millis


class Wish(Struct):
    """What is kept of a desired state of a round, beside audience and policies, which stay."""

    activity_id: ActivityId
    digest: bytes
    version: int | None
    alerted_at: Millis
    """0: it does not alert."""
    revised_at: Millis
    """0: it was so already."""
    pushed_at: Millis
    spent: float
    spent_at: Millis
