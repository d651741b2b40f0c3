"""The activity: one Live Activity as the caller names it, and how commands change it.

Pure: a function takes the activity as it is, what is asked and the time, and gives the activity as it will be and the
revision to push. Committing both, and deciding which cards are concerned, is the service's work.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from msgspec import Struct

from skerry.domain.ids import ActivityId, AppId, CardNumber, Millis, NotificationKey, RevisionNumber, Seconds
from skerry.domain.revision import Revision, RevisionKind

OLD_STAMP = 30
"""Seconds after which a stamp is too old to send: a phone may ignore a push that looks a minute old (apple.md 4.5)."""


class Phase(IntEnum):
    """Where an activity is in its life."""

    RUNNING = 1
    ENDED = 2


@dataclass(frozen=True, slots=True)
class Activity:
    """One activity.

    Cards carry numbers from 1, given once. `first_card` is the first number of the present run: cards below it
    were ended by `end_revision`, and a group that is used again goes on with new numbers (so a group may be reopened
    while its last end is still on its way to slow phones).
    """

    activity_id: ActivityId
    app_id: AppId
    created_at: Millis
    phase: Phase = Phase.RUNNING
    named: bool = False
    """Whether a group id leads here. A start without one waits for a device to say its name."""
    attributes_type: str | None = None
    attributes: bytes | None = None
    state: bytes | None = None
    """What an end without a state of its own leaves on all cards: the newest state that was meant for all of them.

    An update's is; a start's only until the run's first update: later ones are for cards that join, and begin perhaps
    with the fixed state of a definition.
    """
    newest: RevisionNumber = RevisionNumber(0)
    newest_state: RevisionNumber = RevisionNumber(0)
    """The newest revision that every card of the present run must show (an update); 0: what it was started with."""
    end_revision: RevisionNumber = RevisionNumber(0)
    """The newest end; what every card below `first_card` must get."""
    last_timestamp: Seconds = Seconds(0)
    first_card: CardNumber = CardNumber(1)
    next_card: CardNumber = CardNumber(1)
    ends_at: Seconds | None = None
    ended_at: Millis | None = None

    def target_of(self, number: CardNumber) -> RevisionNumber:
        """The newest revision that the card with this number must end on; 0: what it was started with."""
        return self.end_revision if number < self.first_card else self.newest_state

    def channel_target_of(self, revision: RevisionNumber) -> RevisionNumber:
        """The newest revision that whoever hears this one on the activity's channel must end on.

        One from before an end is for listeners of a run that is over.
        """
        over = self.phase is Phase.ENDED or revision < self.end_revision
        return self.end_revision if over else self.newest_state


@dataclass(frozen=True, slots=True)
class Start:
    """What a start asks for. `attributes` has `netmeraGroupId` in it already where it belongs."""

    attributes_type: str
    attributes: bytes
    state: bytes
    alert: bytes
    priority: int = 10
    ends_at: Seconds | None = None
    notification_key: NotificationKey | None = None
    stale_date: Seconds | None = None
    relevance: float | None = None


class Update(Struct, frozen=True):
    """What an update asks for: the whole new state."""

    state: bytes
    priority: int = 10
    stale_date: Seconds | None = None
    alert: bytes | None = None
    relevance: float | None = None


@dataclass(frozen=True, slots=True)
class End:
    """What an end asks for. Without a state the last known one is sent: a card must not end on an older one."""

    state: bytes | None = None
    priority: int = 10
    dismissal_date: Seconds | None = None
    alert: bytes | None = None


def start(activity: Activity, command: Start, now: Millis) -> tuple[Activity, Revision]:
    """A start joins a running activity or reopens an ended one; it never changes cards that are there."""
    stamp = next_stamp(activity.last_timestamp, now)
    revision = Revision(
        activity_id=activity.activity_id,
        number=RevisionNumber(activity.newest + 1),
        kind=RevisionKind.START,
        timestamp=stamp,
        created_at=now,
        state=command.state,
        attributes=command.attributes,
        attributes_type=command.attributes_type,
        alert=command.alert,
        priority=command.priority,
        expiration=command.ends_at,
        notification_key=command.notification_key,
        stale_date=command.stale_date,
        relevance=command.relevance,
    )
    running = reopen(activity)
    return (
        replace(
            running,
            attributes_type=command.attributes_type,
            attributes=command.attributes,
            state=running.state if running.newest_state else command.state,
            newest=revision.number,
            last_timestamp=stamp,
            ends_at=command.ends_at if command.ends_at is not None else running.ends_at,
        ),
        revision,
    )


def update(activity: Activity, command: Update, now: Millis) -> tuple[Activity, Revision]:
    """An update gives every card of the present run a new state.

    On an ended activity it is accepted and reaches nobody: `end` cannot be undone (apple.md 4.5), and a card that
    joins late must get the end, not this.
    """
    stamp = next_stamp(activity.last_timestamp, now)
    revision = Revision(
        activity_id=activity.activity_id,
        number=RevisionNumber(activity.newest + 1),
        kind=RevisionKind.UPDATE,
        timestamp=stamp,
        created_at=now,
        state=command.state,
        alert=command.alert,
        priority=command.priority,
        stale_date=command.stale_date,
        relevance=command.relevance,
    )
    return (
        replace(
            activity,
            state=command.state,
            newest=revision.number,
            newest_state=revision.number,
            last_timestamp=stamp,
        ),
        revision,
    )


def end(activity: Activity, command: End, now: Millis) -> tuple[Activity, Revision]:
    """An end closes the present run: its cards, and those that still join it, get this revision last."""
    stamp = next_stamp(activity.last_timestamp, now)
    state = command.state if command.state is not None else activity.state
    revision = Revision(
        activity_id=activity.activity_id,
        number=RevisionNumber(activity.newest + 1),
        kind=RevisionKind.END,
        timestamp=stamp,
        created_at=now,
        state=state,
        alert=command.alert,
        priority=command.priority,
        dismissal_date=command.dismissal_date,
    )
    return (
        replace(
            activity,
            phase=Phase.ENDED,
            state=state,
            newest=revision.number,
            end_revision=revision.number,
            last_timestamp=stamp,
            first_card=activity.next_card,
            ends_at=None,
            ended_at=now,
        ),
        revision,
    )


def farewell(activity: Activity, now: Millis) -> tuple[Activity, Revision]:
    """An end for cards that newer ones have taken over: they leave at once, the activity goes on."""
    stamp = next_stamp(activity.last_timestamp, now)
    revision = Revision(
        activity_id=activity.activity_id,
        number=RevisionNumber(activity.newest + 1),
        kind=RevisionKind.FAREWELL,
        timestamp=stamp,
        created_at=now,
        state=activity.state,
        dismissal_date=Seconds(now // 1000),
    )
    return replace(activity, newest=revision.number, last_timestamp=stamp), revision


def reopen(activity: Activity) -> Activity:
    """A group that has ended runs again under the same name, with fresh card numbers and no state to catch up to."""
    if activity.phase is Phase.RUNNING:
        return activity
    return replace(activity, phase=Phase.RUNNING, newest_state=RevisionNumber(0), ended_at=None, ends_at=None)


def framing_stamp(
    revision: Revision, now: Millis, floor: Seconds = Seconds(0), newer: Revision | None = None
) -> Seconds:  # fmt: skip
    """The `timestamp` to put on a push of this revision now.

    The revision's own, unless it has grown old in the queue (a phone may ignore it) or the card has seen a later one
    (`floor`, when a card came over from another activity). Whoever uses one that was made anew commits it as the
    revision's own and as "last used", so that later revisions rise above it.

    `newer`: a revision that the same cards get after this one. It stays below that one's stamp, or the phones would
    drop the newer one.
    """
    seconds = now // 1000
    stamp = revision.timestamp if seconds - revision.timestamp <= OLD_STAMP else seconds
    if newer is not None:
        stamp = max(revision.timestamp, min(stamp, newer.timestamp - 1))
    return Seconds(max(stamp, floor))


def next_stamp(last_timestamp: Seconds, now: Millis) -> Seconds:
    """The stamp of a new revision: the time, and above the last one in any case."""
    return Seconds(max(now // 1000, last_timestamp + 1))
