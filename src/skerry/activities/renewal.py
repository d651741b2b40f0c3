"""Life beyond eight hours: shortly before Apple's limit new cards are started; once they are there the old ones end.

Apple ends an activity after eight hours and a start push makes a new one (apple.md 4.5), so an activity that goes on
moves from card to card. New card first: a phone that cannot be started keeps the old one for as long as Apple lets it.
A card that a person has swiped away is not renewed: there is nothing of it left.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skerry.activities.ports import Delivery, Transaction
from skerry.domain import activity as rules
from skerry.domain.activity import Activity, Phase, Start
from skerry.domain.card import CardStatus
from skerry.domain.desired import QUIET_ALERT, Standing
from skerry.domain.event import renewed
from skerry.domain.ids import CardNumber, DeviceId, Millis, RevisionNumber
from skerry.domain.timer import Timer, TimerKind

SLICE = 5_000
"""Devices that one transaction renews: some 20 ms of the only writer."""


@dataclass(frozen=True, slots=True)
class RenewalSettings:
    """Times in milliseconds."""

    after: Millis = Millis(27_000_000)
    """Age of a card at which it is renewed: seven and a half hours."""
    jitter: Millis = Millis(600_000)
    """Earlier by up to this, so that not all activities of an evening are renewed in one minute."""
    farewell: Millis = Millis(60_000)
    """Between the new cards and the end of the old ones: the phones have to show the new ones first."""
    patience: Millis = Millis(900_000)
    """For new cards without a verdict; then the old ones end without waiting for the rest."""


class Renewal:
    """Handlers of two timers, in the transaction that forgets them."""

    def __init__(
        self, delivery: Delivery, settings: RenewalSettings, *, jitter: Callable[[], float] = random.random
    ) -> None:
        self._delivery = delivery
        self._settings = settings
        self._jitter = jitter

    def arm(self, tx: Transaction, activity: Activity, now: Millis, *, renew: bool) -> None:
        """An activity begins, or its policy has changed: look at its cards when the oldest is due."""
        tx.timers.cancel(TimerKind.RENEWAL, activity.activity_id)
        if renew:
            cursor = CardNumber(activity.first_card - 1)
            oldest = tx.activities.oldest_live(activity.activity_id, cursor)
            self._look_again(tx, activity, cursor, oldest if oldest is not None else now, now)

    def renew(self, tx: Transaction, timer: Timer, now: Millis) -> None:
        """Start newer cards for those whose time has come."""
        activity, standing = tx.activities.get(timer.activity_id), tx.desired.get(timer.activity_id)
        if activity is None or standing is None or activity.phase is not Phase.RUNNING or not standing.policies.renew:
            return
        # Listeners of one channel end with one broadcast: they are renewed together, whatever their age.
        until = now if standing.uses_channel else Millis(now - self._settings.after + self._settings.jitter)
        cursor = CardNumber(max(timer.subject, activity.first_card - 1))
        due = tx.activities.aged(activity.activity_id, cursor, until, SLICE)
        if due:
            cursor = due[-1][0]
            self._start(tx, activity, [device_id for _, device_id in due], now)
        if len(due) == SLICE:
            tx.timers.set(TimerKind.RENEWAL, activity.activity_id, cursor, now)
        else:
            oldest = tx.activities.oldest_live(activity.activity_id, cursor)
            self._look_again(tx, activity, cursor, now if oldest is None else oldest, now)

    def retry(
        self, tx: Transaction, activity: Activity, standing: Standing, device_id: DeviceId, now: Millis
    ) -> None:  # fmt: skip
        """The device can be started: renew its card where that is overdue, for want of a start token that was alive."""
        if not standing.policies.renew:
            return
        card = tx.activities.newest_card(activity.activity_id, device_id)
        if card is not None and card.status is CardStatus.LOST:  # the renewal was refused
            card = tx.activities.older_open(activity.activity_id, device_id, card.number)
        if card is None or card.status is not CardStatus.LIVE or card.number < activity.first_card:
            return
        if card.created_at + self._settings.after <= now:
            self._start(tx, activity, [device_id], now)

    def say_farewell(self, tx: Transaction, timer: Timer, now: Millis) -> None:
        """The new cards have had their time to appear: end those that they have taken over."""
        activity = tx.activities.get(timer.activity_id)
        farewell = tx.activities.revision(timer.activity_id, RevisionNumber(timer.subject))
        if activity is None or farewell is None or activity.phase is not Phase.RUNNING:
            return
        start = RevisionNumber(farewell.number - 1)
        patient = now - farewell.created_at < self._settings.patience
        if patient and not self._delivery.is_settled(tx, activity, start):
            again = Millis(now + self._settings.farewell // 2)
            tx.timers.set(TimerKind.FAREWELL, activity.activity_id, farewell.number, again)
            return
        span = self._delivery.span(tx, activity, start)
        if span is None:
            return
        taken = tx.activities.take_over(activity.activity_id, activity.first_card, *span)
        # One broadcast ends all who listen on a channel: it waits until the last of them has been renewed.
        listened = any(on_channel for _, on_channel in taken)
        waits = listened and tx.activities.is_any_listening(
            activity.activity_id, activity.first_card, farewell.created_at
        )
        numbers = [number for number, on_channel in taken if not on_channel]
        self._delivery.plan_farewell(tx, activity, farewell, numbers, channels=listened and not waits)

    def _start(self, tx: Transaction, activity: Activity, devices: Sequence[DeviceId], now: Millis) -> None:
        kind = activity.attributes_type or ""
        startable = tx.audiences.startable(activity.app_id, devices, kind)
        if activity.attributes is None or activity.state is None or not startable:
            return
        tx.channels.close(activity.activity_id, now)
        command = Start(
            attributes_type=kind,
            attributes=activity.attributes,
            state=activity.state,
            alert=QUIET_ALERT,
            ends_at=activity.ends_at,
        )
        activity, start = rules.start(activity, command, now)
        tx.activities.add_revision(start)
        activity, farewell = rules.farewell(activity, now)
        tx.activities.add_revision(farewell)
        tx.activities.save(activity)
        tx.events.add(renewed(activity.app_id, start))
        self._delivery.plan_renewal(tx, activity, start, [one for one in devices if one in startable])
        due = Millis(now + self._settings.farewell)
        tx.timers.set(TimerKind.FAREWELL, activity.activity_id, farewell.number, due)

    def _look_again(
        self, tx: Transaction, activity: Activity, cursor: CardNumber, made: Millis, now: Millis
    ) -> None:  # fmt: skip
        due = Millis(made + self._settings.after - int(self._jitter() * self._settings.jitter))
        tx.timers.set(TimerKind.RENEWAL, activity.activity_id, cursor, max(due, Millis(now + 1_000)))
