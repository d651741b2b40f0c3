"""Device events in: how an update token or a close finds its card, and what that sets off.

The rules for finding it (netmera.md sections 0.3, 4, 6 and Q4, Q14–Q16):

1. the activity that has the group id as its name, and the device's newest card in it;
2. a start without a group id: the device's starting card whose attributes carry the value, or else its only
   starting card;
3. otherwise the app has started the activity by itself, and the group appears with this report.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from skerry.activities.acceptance import accept
from skerry.activities.ports import Delivery, Transaction
from skerry.activities.renewal import Renewal
from skerry.activities.service import adopt
from skerry.domain import activity as rules
from skerry.domain.activity import Activity, End, Phase
from skerry.domain.card import Card, CardStatus, TokenReport, close, has_left, miss_start, report_token
from skerry.domain.device import Device, DeviceEvent
from skerry.domain.errors import RefusedError
from skerry.domain.event import Event, EventKind, of_card
from skerry.domain.ids import AppId, CardNumber, DeviceId, GroupId, Millis, RevisionNumber, Seconds
from skerry.domain.revision import RevisionKind
from skerry.domain.timer import TimerKind

ACCEPTED = "accepted"
REPEATED = "repeated"
STALE = "stale"


@dataclass(frozen=True, slots=True)
class _Place:
    """The card an event speaks of. `floor`: a stamp that pushes to it must reach, where it was started elsewhere."""

    activity: Activity
    card: Card
    floor: Seconds = Seconds(0)
    caught_up: bool = False
    """The card was started with something newer than the activity's newest update."""


class CardEvents:
    """What the activities room does with device events, inside the registry's transaction."""

    def __init__(self, delivery: Delivery, renewal: Renewal) -> None:
        self._delivery = delivery
        self._renewal = renewal

    def wake(self) -> None:
        """There may be work: called after the commit."""
        self._delivery.wake()

    def on_update_token(self, tx: Transaction, device: Device, event: DeviceEvent, now: Millis) -> str:
        """A card's update token. Returns `accepted`, `repeated` or `stale`."""
        if event.group_id is None or event.token is None:
            return STALE
        if _is_of_the_past(tx, device, event.group_id, event.token):
            return STALE
        place = _held(tx, device, event) or self._place(tx, device, event, event.group_id, now)
        card, meaning = report_token(place.card, event.token, event.time, now)
        if meaning is TokenReport.STALE:
            return STALE
        if meaning is TokenReport.REPEATED:
            return REPEATED
        tx.activities.save_card(card)
        kind = EventKind.CARD_JOINED if meaning is TokenReport.JOINED else EventKind.CARD_ROTATED
        tx.events.add(of_card(device.app_id, kind, card, now))
        target = place.activity.target_of(card.number)
        if target > card.started_by and not place.caught_up and not self._started_with(tx, place.activity, card):
            self._delivery.plan_card(tx, place.activity, card, place.floor)
        return ACCEPTED

    def on_reachable(self, tx: Transaction, device: Device, now: Millis) -> None:
        """The device can be started, or belongs to other audiences than before: it may have joined a live one."""
        for activity_id in tx.desired.followed_by(device.app_id, device.device_id):
            activity, standing = tx.activities.get(activity_id), tx.desired.get(activity_id)
            if activity is None or standing is None or standing.audience is None or not standing.start:
                continue
            over = activity.ends_at is not None and activity.ends_at * 1000 <= now
            if activity.phase is not Phase.RUNNING or over:
                continue
            kind = activity.attributes_type or ""
            try:
                whom = self._delivery.looked_up(tx, activity, standing.audience)
            except RefusedError:
                continue  # a segment has been deleted since: nobody joins by it
            if not tx.audiences.includes(device.app_id, whom, device.device_id, kind):
                continue
            if not self._delivery.plan_late_start(tx, activity, standing.start, device.device_id):
                self._renewal.retry(tx, activity, standing, device.device_id, now)

    def on_replaced_start_token(
        self, tx: Transaction, device: Device, token: str, since: Millis, now: Millis
    ) -> None:  # fmt: skip
        """The device has had another start token since that time, in place of the one we knew.

        A start that APNs has taken for the old one after that has reached nobody (apple.md 3.6). It is given up; the
        device is reachable, and so started anew.
        """
        for activity_id in tx.desired.followed_by(device.app_id, device.device_id):
            activity = tx.activities.get(activity_id)
            card = tx.activities.newest_card(activity_id, device.device_id)
            if activity is None or card is None or card.number < activity.first_card or card.created_at <= since:
                continue
            missed = miss_start(card, now)
            if missed != card and self._delivery.was_started_before(tx, activity, card, token):
                tx.activities.save_card(missed)
                tx.events.add(of_card(device.app_id, EventKind.CARD_LOST, missed, now, reason=missed.reason))

    def on_close(self, tx: Transaction, device: Device, event: DeviceEvent, now: Millis) -> str:
        """The app says that the activity is over on this device; an unknown group is accepted and changes nothing."""
        if event.group_id is None:
            return STALE
        card = self._named_card(tx, device.app_id, device.device_id, event.group_id)
        if card is None:
            group = tx.activities.by_group(device.app_id, event.group_id)
            if group is None:
                return ACCEPTED
            # It has overtaken the card's token, which must not open the card again when it comes.
            _, card = _join(tx, group, device.device_id, now)
        if tx.activities.was_closed_at(card.activity_id, device.device_id, event.time) or _is_leaving(
            tx, card, event.time
        ):
            return REPEATED  # and not the close of another card
        card = _closed_by(tx, card, event)
        activity = tx.activities.get(card.activity_id)
        older = tx.activities.older_open(card.activity_id, device.device_id, card.number)
        if older is not None and activity is not None:
            # The app cannot say which of its two cards is gone. Mostly it is the older one: we end it, or Apple does
            # after eight hours. Where our end has not reached it yet it is sent all the same: should it be the newer
            # one that is gone, the older one's close comes with that end.
            over = replace(older, closed_at=event.time)
            reached = older.token is None or self._delivery.was_delivered(tx, activity, older.number)
            if older.number < activity.first_card and reached:
                over = replace(over, status=CardStatus.ENDED, token=None)
            tx.activities.save_card(over)
            tx.events.add(of_card(device.app_id, EventKind.CARD_ENDED, over, now))
            return ACCEPTED
        ended = activity is not None and (activity.phase is Phase.ENDED or card.number < activity.first_card)
        time = _exchanged(tx, card, event)
        closed = close(card, time, activity_ended=ended)
        if closed == card:
            return REPEATED if card.status.is_over else STALE
        if card.started_by:  # the phone's clock may be behind: no swipe is older than the card that we started
            closed = replace(closed, closed_at=max(time, card.created_at))
        tx.activities.save_card(closed)
        kind = EventKind.CARD_ENDED if closed.status is CardStatus.ENDED else EventKind.CARD_DISMISSED
        tx.events.add(of_card(device.app_id, kind, closed, now))
        if closed.status is CardStatus.DISMISSED:
            self.on_reachable(tx, device, now)  # it may come late: what has been said since may bring the card back
        return ACCEPTED

    def expecting(
        self, tx: Transaction, app_id: AppId, devices: Sequence[DeviceId], group_id: GroupId
    ) -> DeviceId | None:
        """Which of these devices has a card of the group, or waits for a name; the first that fits best."""
        for device_id in devices:
            card = self._named_card(tx, app_id, device_id, group_id)
            if card is not None and (card.awaits_token or not card.status.is_over):
                return device_id
        waiting = [one for one in devices if len(tx.activities.nameless_starting(app_id, one)) == 1]
        return waiting[0] if len(waiting) == 1 else None

    def _named_card(self, tx: Transaction, app_id: AppId, device_id: DeviceId, group_id: GroupId) -> Card | None:
        activity = tx.activities.by_group(app_id, group_id)
        if activity is not None:
            card = tx.activities.newest_card(activity.activity_id, device_id)
            if card is not None:
                return card
        return next(iter(_carrying(tx, tx.activities.nameless_starting(app_id, device_id), group_id)), None)

    def _place(
        self, tx: Transaction, device: Device, event: DeviceEvent, group_id: GroupId, now: Millis
    ) -> _Place:  # fmt: skip
        activity = tx.activities.by_group(device.app_id, group_id)
        starting = tx.activities.nameless_starting(device.app_id, device.device_id)
        carrying = _carrying(tx, starting, group_id)
        if activity is None:
            return self._place_in_new_group(tx, device, group_id, starting, carrying, now)
        card = tx.activities.newest_card(activity.activity_id, device.device_id)
        if carrying:
            return self._move(tx, activity, carrying[0], card, now)
        if card is not None and (earlier := self._owner_before(tx, card, event)) is not None:
            return _Place(activity, earlier)
        if card is not None and not self._is_another(tx, activity, card, event):
            return _Place(activity, card)
        if card is None and len(starting) == 1:
            return self._move(tx, activity, starting[0], None, now)
        if activity.phase is Phase.ENDED and activity.ended_at is not None and event.time > activity.ended_at:
            activity = rules.reopen(activity)
        return _Place(*_join(tx, activity, device.device_id, now))

    def _place_in_new_group(
        self,
        tx: Transaction,
        device: Device,
        group_id: GroupId,
        starting: Sequence[Card],
        carrying: Sequence[Card],
        now: Millis,
    ) -> _Place:
        if carrying:
            adopted = adopt(tx, device.app_id, group_id)
            if adopted is not None and adopted.activity_id == carrying[0].activity_id:
                return _Place(adopted, carrying[0])
            if adopted is not None:
                return self._move(tx, adopted, carrying[0], None, now)
        fresh = tx.activities.create(device.app_id, now)
        tx.activities.add_name(fresh.activity_id, device.app_id, group_id)
        fresh = replace(fresh, named=True)
        if len(starting) == 1:
            return self._found(tx, fresh, starting[0], now)
        tx.events.add(Event(device.app_id, EventKind.ACTIVITY_APPEARED, now, fresh.activity_id))
        return _Place(*_join(tx, fresh, device.device_id, now))

    def _owner_before(self, tx: Transaction, card: Card, event: DeviceEvent) -> Card | None:
        """The card before this one, where a report can only speak of that: the token is older than this card.

        Clocks of phones may be wrong. But a phone's own events keep their order, so a token that is later than the
        close of the card before is this card's, whatever the clock says. A token of any time is not this card's where
        it listens on a channel, and one before it still awaits its own.
        """
        if event.time >= card.created_at:
            return tx.activities.awaiting_before_listener(card.activity_id, card.device_id, card.number)
        before = _before(tx, card, event)
        if before is None or (before.closed_at is not None and before.closed_at < event.time):
            return None
        return before

    def _is_another(self, tx: Transaction, activity: Activity, card: Card, event: DeviceEvent) -> bool:
        """Whether the report speaks of a new card: the one we know has ended for good, and this came later.

        A card that still waits for its end, or for a token to send it to, is the one the report speaks of.
        """
        if card.number >= activity.first_card or card.awaits_token or card.token == event.token:
            return False
        if card.status.is_over:
            return event.time > (card.closed_at or 0)
        later = event.time > (activity.ended_at or event.time)
        return later and self._delivery.was_delivered(tx, activity, card.number)

    def _started_with(self, tx: Transaction, activity: Activity, card: Card) -> bool:
        """Whether the card was made after the revision that it must end on, and so started with its state."""
        target = activity.target_of(card.number)
        revision = tx.activities.revision(activity.activity_id, target) if card.started_by else None
        if revision is None or revision.kind is not RevisionKind.UPDATE:
            return False
        return self._delivery.started_with_newest(tx, activity, card)

    def _found(self, tx: Transaction, group: Activity, source: Card, now: Millis) -> _Place:
        """A new group takes type, attributes and state from the nameless start that its first card came from."""
        origin = tx.activities.get(source.activity_id)
        if origin is None:
            return _Place(*_join(tx, group, source.device_id, now))
        start = tx.activities.revision(origin.activity_id, source.started_by)
        group = replace(
            group,
            attributes_type=start.attributes_type if start else origin.attributes_type,
            attributes=start.attributes if start else origin.attributes,
            state=origin.state,
            last_timestamp=origin.last_timestamp,
            ends_at=origin.ends_at,
        )
        if group.ends_at is not None:
            tx.timers.set(TimerKind.PLANNED_END, group.activity_id, 0, Millis(group.ends_at * 1000))
        place = self._move(tx, group, source, None, now)
        if origin.phase is Phase.RUNNING:
            return place
        ended, revision = rules.end(place.activity, End(), now)
        accept(tx, ended, revision)
        return replace(place, activity=ended, caught_up=False)

    def _move(self, tx: Transaction, group: Activity, source: Card, card: Card | None, now: Millis) -> _Place:
        """The device's starting card of a nameless start lives on in the group."""
        start = tx.activities.revision(source.activity_id, source.started_by)
        tx.activities.save_card(replace(source, status=CardStatus.MOVED, closed_at=now))
        tx.events.add(of_card(group.app_id, EventKind.CARD_MOVED, source, now, to=f"#{group.activity_id}"))
        floor = Seconds(start.timestamp + 1) if start else Seconds(0)
        if card is None or card.status.is_over:
            group, card = _join(tx, group, source.device_id, now)
        newest = tx.activities.revision(group.activity_id, group.target_of(card.number))
        caught_up = start is not None and newest is not None and newest.created_at < start.created_at
        return _Place(group, card, floor, caught_up and card.number >= group.first_card)


def _is_of_the_past(tx: Transaction, device: Device, group_id: GroupId, token: str) -> bool:
    """Whether a token is that of a card which is over and has a successor: apps that start anew say all they know."""
    activity = tx.activities.by_group(device.app_id, group_id)
    newest = None if activity is None else tx.activities.newest_card(activity.activity_id, device.device_id)
    return newest is not None and tx.activities.was_held_before(newest, token)


def _is_leaving(tx: Transaction, card: Card, time: Millis) -> bool:
    """Whether a close is that of the card before, of a run that has ended: it was said at its end, and when it leaves.

    Reports name the activity and not the card, and a group that runs again may have its next card by then. A swipe of
    that one in those very minutes is taken for this: should it be one, updates go to a card that is gone.
    """
    activity = tx.activities.get(card.activity_id)
    before = tx.activities.ended_before(card.activity_id, card.device_id, card.number)
    if activity is None or before is None or before.number >= activity.first_card:
        return False
    end = tx.activities.revision(activity.activity_id, activity.end_revision)
    return has_left(before, None if end is None else end.dismissal_date, time, card.created_at)


def _held(tx: Transaction, device: Device, event: DeviceEvent) -> _Place | None:
    """The card that has the token already, which need not be the device's newest.

    An app that starts anew says all its tokens again, those of cards that another one has come after among them. Where
    that overtook the first report of such a token, it passed for the newer card's: until that first report comes, which
    is older than the newer card. Then it is of the one before, which awaits it, and the newer one awaits its own.
    """
    activity = tx.activities.by_group(device.app_id, event.group_id) if event.group_id is not None else None
    if activity is None or event.token is None:
        return None
    card = tx.activities.holding(activity.activity_id, device.device_id, event.token)
    if card is None:
        return None
    before = _before(tx, card, event)
    if before is None or not before.awaits_token or card.status is not CardStatus.LIVE or not card.started_by:
        return _Place(activity, card)
    tx.activities.save_card(
        replace(card, status=CardStatus.STARTING, token=None, token_time=None, registered_at=None)
    )  # fmt: skip
    return _Place(activity, before)


def _before(tx: Transaction, card: Card, event: DeviceEvent) -> Card | None:
    """The card before this one, as of an event that is older than this one."""
    if event.time >= card.created_at:
        return None
    return tx.activities.card_before(card.activity_id, card.device_id, card.number, event.time)


def _closed_by(tx: Transaction, card: Card, event: DeviceEvent) -> Card:
    """The card that a close speaks of: where it comes late, a newer one may have been started since."""
    before = _before(tx, card, event)
    return card if before is None or before.status.is_over or before.closed_at is not None else before


def _exchanged(tx: Transaction, card: Card, event: DeviceEvent) -> Millis:
    """When the card was closed that a close is taken for: where two came in the wrong order, as the other one says.

    The first to come was taken for the older card's. The second is older than the newer card: so it is the older one's,
    and the first was the newer one's. Each card has the time of its own from then on, by which its repeats are known.
    """
    before = _before(tx, card, event)
    if before is None or before.closed_at is None or before.closed_at < card.created_at:
        return event.time
    tx.activities.save_card(replace(before, closed_at=event.time))
    return before.closed_at


def _carrying(tx: Transaction, starting: Sequence[Card], group_id: GroupId) -> list[Card]:
    return [card for card in starting if group_id in tx.activities.values_of(card.activity_id)]


def _join(tx: Transaction, activity: Activity, device_id: DeviceId, now: Millis) -> tuple[Activity, Card]:
    """A new card of an activity. In one that has ended it belongs to the run that ended, and will get the end."""
    number = activity.next_card
    following = CardNumber(number + 1)
    first = following if activity.phase is Phase.ENDED else activity.first_card
    activity = replace(activity, next_card=following, first_card=first)
    card = Card(
        activity_id=activity.activity_id,
        number=number,
        device_id=device_id,
        status=CardStatus.STARTING,
        started_by=RevisionNumber(0),
        created_at=now,
    )
    tx.activities.save(activity)
    tx.activities.add_card(card)
    return activity, card
