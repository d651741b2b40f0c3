"""What the activities room needs from the store and from delivery."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from skerry.domain.activity import Activity
from skerry.domain.audience import Audience
from skerry.domain.card import Card
from skerry.domain.commands import Idempotency, Notification, Pace, Template
from skerry.domain.desired import Standing
from skerry.domain.event import Event, EventKind
from skerry.domain.ids import (
    ActivityId,
    AppId,
    CardNumber,
    DeviceId,
    GroupId,
    Millis,
    NotificationKey,
    RevisionNumber,
    Seconds,
)
from skerry.domain.parcel import Planned
from skerry.domain.revision import Revision
from skerry.domain.round import Change, Seen, Wish
from skerry.domain.schedule import Action, ChangeState, Problem, Said, ScheduledChange, ScheduleId
from skerry.domain.script import Script
from skerry.domain.timer import Timer, TimerKind


class ActivityRecords(Protocol):
    """Activities, their names, revisions and cards."""

    def create(self, app_id: AppId, now: Millis) -> Activity:
        """A new activity without a name; its row exists from here on."""

    def get(self, activity_id: ActivityId) -> Activity | None:
        """The activity."""

    def by_group(self, app_id: AppId, group_id: GroupId) -> Activity | None:
        """The activity that has this name."""

    def add_name(self, activity_id: ActivityId, app_id: AppId, group_id: GroupId) -> None:
        """Give it one more name; does nothing where the name is taken (by itself or another). Sets `named`."""

    def names(self, activity_id: ActivityId) -> list[GroupId]:
        """Its names, oldest first."""

    def save(self, activity: Activity) -> None:
        """Store all of it."""

    def add_revision(self, revision: Revision) -> None:
        """Store a new revision."""

    def revision(self, activity_id: ActivityId, number: RevisionNumber) -> Revision | None:
        """One revision."""

    def remember_values(self, activity_id: ActivityId, app_id: AppId, values: Iterable[str]) -> None:
        """The strings that the attributes of a nameless start carry: one of them may turn out to be its name."""

    def nameless_carrying(self, app_id: AppId, value: str) -> Activity | None:
        """The newest nameless activity whose attributes carry this string."""

    def values_of(self, activity_id: ActivityId) -> set[str]:
        """The remembered strings of an activity."""

    def add_card(self, card: Card) -> None:
        """Store a new card; its number came from the activity's `next_card`."""

    def add_cards(
        self,
        activity_id: ActivityId,
        first: CardNumber,
        started_by: RevisionNumber,
        devices: Sequence[DeviceId],
        now: Millis,
    ) -> None:
        """Store new cards in `STARTING`, numbered from `first` in the order of `devices`."""

    def card(self, activity_id: ActivityId, number: CardNumber) -> Card | None:
        """One card."""

    def save_card(self, card: Card) -> None:
        """Store what has changed of a card."""

    def newest_card(self, activity_id: ActivityId, device_id: DeviceId) -> Card | None:
        """The card with the highest number that the device has in this activity, `MOVED` ones left out."""

    def holding(self, activity_id: ActivityId, device_id: DeviceId, token: str) -> Card | None:
        """The device's card in this activity that has this update token."""

    def was_held_before(self, card: Card, token: str) -> bool:
        """Whether a card of the same device and activity before this one had this token, and is over."""

    def card_before(
        self, activity_id: ActivityId, device_id: DeviceId, below: CardNumber, made_until: Millis
    ) -> Card | None:
        """The device's newest card numbered below `below` and made until then, `MOVED` ones left out."""

    def awaiting_before_listener(self, activity_id: ActivityId, device_id: DeviceId, below: CardNumber) -> Card | None:
        """The device's newest card that awaits its token, numbered below `below`, where that listens on a channel."""

    def nameless_starting(self, app_id: AppId, device_id: DeviceId) -> list[Card]:
        """The device's cards in `STARTING` in activities that have no name, newest first."""

    def running_on(
        self, activity_id: ActivityId, first: CardNumber, devices: Sequence[DeviceId], since: Millis
    ) -> set[DeviceId]:
        """Which of the devices have a card numbered from `first` that starts or is live, and was heard of since."""

    def aged(
        self, activity_id: ActivityId, above: CardNumber, until: Millis, limit: int
    ) -> list[tuple[CardNumber, DeviceId]]:
        """Live cards numbered above `above` that were made until then and have no successor, the oldest first."""

    def oldest_live(self, activity_id: ActivityId, above: CardNumber) -> Millis | None:
        """When the oldest live card numbered above `above` was made."""

    def take_over(
        self, activity_id: ActivityId, lowest: CardNumber, first: CardNumber, last: CardNumber
    ) -> list[tuple[CardNumber, bool]]:
        """Cards from `lowest` on whose device goes on in one of the cards from `first` to `last` become `RENEWED`."""

    def is_any_listening(self, activity_id: ActivityId, first: CardNumber, before: Millis) -> bool:
        """Whether a live card that was made before then listens on a channel."""

    def older_open(self, activity_id: ActivityId, device_id: DeviceId, below: CardNumber) -> Card | None:
        """The oldest card on the device, numbered below `below`, that has not been closed yet."""

    def ended_before(self, activity_id: ActivityId, device_id: DeviceId, below: CardNumber) -> Card | None:
        """The newest card on the device, numbered below `below`, that has ended with its activity."""

    def was_closed_at(self, activity_id: ActivityId, device_id: DeviceId, time: Millis) -> bool:
        """Whether a card of the device was closed at exactly that time: the same close again."""

    def is_any_startable_again(self, activity_id: ActivityId, first: CardNumber, before: Millis) -> bool:
        """Whether a card numbered from `first` was swiped away before that time, or its start given up unanswered."""


class RoundRecords(Protocol):
    """Updates of many activities at a time."""

    def look(self, app_id: AppId, group_ids: Sequence[GroupId], *, wanted: bool = False) -> list[Seen]:
        """The activities of these names, where there are any; what is wanted of them only if asked for."""

    def advance(self, changes: Sequence[Change], now: Millis) -> None:
        """Store the updates: each is its activity's newest revision and state from here on."""

    def want(self, wishes: Sequence[Wish]) -> None:
        """Store what is wanted of activities whose audience and policies stay as they are."""


class DesiredRecords(Protocol):
    """What callers want activities to be, and who follows them."""

    def get(self, activity_id: ActivityId) -> Standing | None:
        """What is wanted; None: only commands have made the activity."""

    def save(self, standing: Standing) -> None:
        """Store all of it."""

    def follow(self, app_id: AppId, activity_id: ActivityId, keys: Iterable[str]) -> None:
        """Devices that answer to one of these keys are looked at when they become reachable; replaces the keys."""

    def followed_by(self, app_id: AppId, device_id: DeviceId) -> list[ActivityId]:
        """The activities that may have to be started on this device; whether it matches is for the audience to say."""


class AudienceRecords(Protocol):
    """Who is in an audience."""

    def includes(self, app_id: AppId, audience: Audience, device_id: DeviceId, attributes_type: str) -> bool:
        """Whether this iOS device belongs to the audience and has a live start token for the type."""

    def startable(self, app_id: AppId, devices: Sequence[DeviceId], attributes_type: str) -> set[DeviceId]:
        """Which of these devices have a live start token for the type."""


class ChannelRecords(Protocol):
    """Broadcast channels of activities."""

    def close(self, activity_id: ActivityId, now: Millis) -> None:
        """A renewal begins: whoever is started from now on listens on a newer channel."""

    def is_listened_to(self, activity_id: ActivityId, first: CardNumber) -> bool:
        """Whether a card numbered from `first` listens, or is being started to."""


class NotificationRecords(Protocol):
    """Definitions and bulk starts, under one sequence of keys."""

    def add(self, app_id: AppId, kind: str, template: Template, now: Millis) -> NotificationKey:
        """Store it under the next key."""

    def get(self, app_id: AppId, key: NotificationKey) -> Notification | None:
        """What the key stands for in this app."""

    def recall(self, app_id: AppId, idempotency: Idempotency) -> str | None:
        """The answer that was remembered for this idempotency key, or None.

        Raises:
            IdempotencyConflictError: if the key was used with another digest.
        """

    def remember(self, app_id: AppId, idempotency: Idempotency, answer: str, now: Millis) -> None:
        """Remember the answer for a repeat of the request."""


class TimerRecords(Protocol):
    """What is to happen later."""

    def set(self, kind: TimerKind, activity_id: ActivityId, subject: int, due_at: Millis) -> None:
        """Have it happen at `due_at`; replaces the timer with the same kind, activity and subject."""

    def cancel(self, kind: TimerKind, activity_id: ActivityId) -> None:
        """Forget all timers of this kind of an activity."""

    def due(self, now: Millis, limit: int) -> list[Timer]:
        """Timers whose time has come, earliest first."""

    def done(self, timer: Timer) -> None:
        """Forget one timer."""

    def next_due(self) -> Millis | None:
        """When the earliest timer is due."""


class ScriptRecords(Protocol):
    """Scripts that are under way, at most one for an activity."""

    def get(self, activity_id: ActivityId) -> Script | None:
        """The activity's script."""

    def save(self, script: Script) -> None:
        """Store it in place of what was there."""

    def remove(self, activity_id: ActivityId) -> None:
        """The activity has none any more."""

    def due(self, now: Millis, limit: int) -> list[ActivityId]:
        """Activities whose script goes on, the longest due first."""

    def next_due(self) -> Millis | None:
        """When the next one does."""


class ScheduleRecords(Protocol):
    """Changes that wait for their time, and for a while what came of them."""

    def add(self, change: ScheduledChange, said: Said) -> ScheduleId:
        """Store a new one; its id is given by the store."""

    def get(self, schedule_id: ScheduleId) -> ScheduledChange | None:
        """One change."""

    def said(self, schedule_id: ScheduleId) -> Said | None:
        """What a change says."""

    def page(
        self, app_id: AppId, group_id: GroupId | None, state: ChangeState, after: ScheduleId, limit: int
    ) -> list[ScheduledChange]:
        """Changes of an app or of one activity in a state, numbered above `after`, in order."""

    def waiting(self, app_id: AppId, group_id: GroupId) -> int:
        """How many wait for an activity."""

    def settle(
        self,
        schedule_id: ScheduleId,
        state: ChangeState,
        now: Millis,
        *,
        problem: Problem | None = None,
    ) -> bool:
        """It waits no more; False: it did not any more."""

    def note(self, schedule_id: ScheduleId, revision: RevisionNumber) -> None:
        """The activity's newest revision after the change was done."""

    def overtaking(self, change: ScheduledChange, now: Millis) -> set[Action]:
        """What later changes of the same activity do whose time has come as well."""

    def due(self, now: Millis, limit: int) -> list[ScheduleId]:
        """Changes whose time has come, the longest due first."""

    def next_due(self) -> Millis | None:
        """When the next one's time comes."""


class EventRecords(Protocol):
    """What callers are told."""

    def add(self, event: Event) -> None:
        """Tell of something that this transaction does."""

    def add_many(self, kind: EventKind, at: Millis, activities: Iterable[tuple[AppId, ActivityId, str]]) -> None:
        """The same of many activities: the app, the activity, and the event's body as JSON."""


class Transaction(Protocol):
    """The parts of the store's transaction that this room uses."""

    def part(self) -> AbstractContextManager[None]:
        """A block that is undone by itself where it raises; what was done before it stays."""

    @property
    def activities(self) -> ActivityRecords: ...
    @property
    def rounds(self) -> RoundRecords: ...
    @property
    def notifications(self) -> NotificationRecords: ...
    @property
    def timers(self) -> TimerRecords: ...
    @property
    def desired(self) -> DesiredRecords: ...
    @property
    def scripts(self) -> ScriptRecords: ...
    @property
    def schedule(self) -> ScheduleRecords: ...
    @property
    def audiences(self) -> AudienceRecords: ...
    @property
    def channels(self) -> ChannelRecords: ...
    @property
    def events(self) -> EventRecords: ...


class Delivery(Protocol):
    """Delivery as this room sees it: what a decision sends on its way, within the same transaction."""

    def plan_start(
        self, tx: Transaction, activity: Activity, revision: Revision, audience: Audience, pace: Pace
    ) -> None:
        """Spread a start out over an audience: now where it is small, else slice by slice.

        Its segments are looked up now, once and for all (`domain.segment` says why).

        Raises:
            UnknownSegmentError: if the audience names a segment that there is not.
            AudienceTooComplexError: if it has too many conditions with those of its segments.
        """

    def looked_up(self, tx: Transaction, activity: Activity, audience: Audience) -> Audience:
        """The audience with what its segments stand for now, and its rollout drawn for the activity.

        Raises:
            UnknownSegmentError: if the audience names a segment that there is not.
            AudienceTooComplexError: if it has too many conditions with those of its segments.
        """

    def plan_late_start(self, tx: Transaction, activity: Activity, start: RevisionNumber, device_id: DeviceId) -> bool:
        """A start for one device that has come to match; False: it runs there, or a swipe keeps it away."""

    def plan_renewal(self, tx: Transaction, activity: Activity, start: Revision, devices: Sequence[DeviceId]) -> None:
        """A start of new cards for devices that run the activity already."""

    def plan_farewell(
        self, tx: Transaction, activity: Activity, farewell: Revision, numbers: Sequence[CardNumber], *, channels: bool
    ) -> None:
        """An end for these cards, and for whoever listens on channels that a renewal has closed."""

    def span(
        self, tx: Transaction, activity: Activity, revision: RevisionNumber
    ) -> tuple[CardNumber, CardNumber] | None:
        """The lowest and the highest card that a revision was planned for; None: it was for nobody."""

    def is_settled(self, tx: Transaction, activity: Activity, revision: RevisionNumber) -> bool:
        """Whether each push of a revision has its verdict."""

    def lacks(self, tx: Transaction, activity: Activity, audience: Audience, attributes_type: str) -> bool:
        """Whether anybody of a small audience could be started and does not run the activity."""

    def plan_revision(
        self, tx: Transaction, activity: Activity, revision: Revision, first: CardNumber, due_at: Millis = Millis(0)
    ) -> None:
        """An update or end for all cards from `first` on; older unsent updates are superseded."""

    def plan_round(self, tx: Transaction, changes: Sequence[Change]) -> Planned:
        """Updates for all cards of the present runs of many activities, none of which is on a channel."""

    def send_round(self, planned: Planned) -> None:
        """It is on disk: called after the commit."""

    def plan_card(self, tx: Transaction, activity: Activity, card: Card, floor: Seconds) -> None:
        """The newest revision for one card that has just become reachable."""

    def started_with_newest(self, tx: Transaction, activity: Activity, card: Card) -> bool:
        """Whether the card's start went out, and after the revision that it must end on: then it has shown that."""

    def was_started_before(self, tx: Transaction, activity: Activity, card: Card, token: str) -> bool:
        """Whether APNs had taken the card's start before its device told this start token, which starts use now."""

    def was_delivered(self, tx: Transaction, activity: Activity, number: CardNumber) -> bool:
        """Whether APNs has accepted the revision that this card must end on."""

    def wake(self) -> None:
        """There is work: called after the commit."""
