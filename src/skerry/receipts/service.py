"""What became of starts, activities and cards, read from the verdicts beside their chunks."""

from collections.abc import Sequence

from skerry.domain.activity import Activity
from skerry.domain.desired import Standing
from skerry.domain.device import Device
from skerry.domain.event import ACCEPTED, EventFilter, EventId, EventKind, RecordedEvent
from skerry.domain.ids import ActivityId, AppId, CardNumber, GroupId, Millis, NotificationKey, RevisionNumber
from skerry.domain.receipt import (
    ActivityReceipt,
    CardReceipt,
    PushResult,
    PushStats,
    RevisionReceipt,
    Slice,
)
from skerry.domain.schedule import MOST_WAITING, ChangeState, ScheduledChange, ScheduleId
from skerry.domain.script import Script
from skerry.domain.timeline import NO_START_TOKEN, NOT_STARTED, OnPhone, Phone, Timeline, TimelineEntry
from skerry.domain.unit_of_work import UnitOfWork
from skerry.receipts.ports import Transaction

MOST_MESSAGES = 1000
"""Notification keys that one window of statistics shows, the newest first."""


class Receipts:
    """What the caller is told about what it sent."""

    def __init__(self, store: UnitOfWork[Transaction]) -> None:
        self._store = store

    async def stats(self, app_id: AppId, notification_key: NotificationKey) -> PushStats | None:
        """The counts of one key; None: the app has no such key."""
        return await self._store.read(lambda tx: tx.receipts.stats(app_id, notification_key))

    async def stats_between(self, app_id: AppId, start: Millis, end: Millis) -> list[PushStats]:
        """The counts of the keys made in a window."""

        def work(tx: Transaction) -> list[PushStats]:
            keys = tx.receipts.keys_between(app_id, start, end, MOST_MESSAGES)
            return [found for key in keys if (found := tx.receipts.stats(app_id, key)) is not None]

        return await self._store.read(work)

    async def results(
        self,
        app_id: AppId,
        *,
        notification_key: NotificationKey | None,
        ext_id: str | None,
        token: str | None,
        start: Millis,
        end: Millis,
        maximum: int,
        offset: int,
    ) -> Slice[PushResult] | None:
        """What became of each start in a window; None: the app has no such key."""

        def work(tx: Transaction) -> Slice[PushResult] | None:
            if notification_key is not None and tx.receipts.stats(app_id, notification_key) is None:
                return None
            found = tx.receipts.results(app_id, notification_key, ext_id, token, start, end, maximum + 1, offset)
            return Slice.of(found, maximum)

        return await self._store.read(work)

    async def activities(self, app_id: AppId, *, ended: bool, maximum: int) -> Slice[ActivityReceipt]:
        """An app's activities, the newest first, with or without ended ones."""

        def work(tx: Transaction) -> Slice[ActivityReceipt]:
            found = tx.activity_receipts.newest(app_id, maximum + 1, ended=ended)
            return Slice(tuple(_receipt(tx, one) for one in found[:maximum]), len(found) > maximum)

        return await self._store.read(work)

    async def activity(self, app_id: AppId, name: str) -> ActivityReceipt | None:
        """An activity by its group id, or by its number as `#12`: one without a name has nothing else."""

        def work(tx: Transaction) -> ActivityReceipt | None:
            found = activity_called(tx, app_id, name)
            return None if found is None else _receipt(tx, found)

        return await self._store.read(work)

    async def timeline(
        self,
        activity: Activity,
        *,
        after: EventId,
        maximum: int,
        kinds: Sequence[EventKind] = (),
        installation_id: str | None = None,
    ) -> Timeline | None:
        """What happened to an activity and its cards after an event, the oldest first, as far as it is kept.

        Of one installation: what happened to it and to the activity as a whole, and what became of each revision on it.
        None: the app has no such installation.
        """

        def work(tx: Transaction) -> Timeline | None:
            device = None
            if installation_id is not None:
                device = tx.devices.find(activity.app_id, installation_id)
                if device is None:
                    return None
            wanted = EventFilter(
                tuple(kinds), activity.activity_id, device_id=None if device is None else device.device_id
            )
            found = tx.events.page(activity.app_id, wanted, after, maximum + 1).events
            events, following = found[:maximum], found[maximum - 1].event_id if len(found) > maximum else None
            if device is None:
                return Timeline(tuple(map(TimelineEntry, events)), following)
            return Timeline(_on_phone(tx, activity, device, events), following, _phone(tx, activity, device))

        return await self._store.read(work)

    async def revisions(self, activity: Activity, maximum: int) -> list[RevisionReceipt]:
        """The newest revisions of an activity, the newest first."""
        return await self._store.read(lambda tx: tx.activity_receipts.revisions(activity.activity_id, maximum))

    async def revision(self, activity: Activity, number: RevisionNumber) -> RevisionReceipt | None:
        """One revision of an activity; None: there is none, or it is past its retention."""
        return await self._store.read(lambda tx: tx.activity_receipts.revision(activity.activity_id, number))

    async def standing(self, activity: Activity) -> Standing | None:
        """What its caller wants it to be; None: only commands have made it."""
        return await self._store.read(lambda tx: tx.desired.get(activity.activity_id))

    async def script(self, activity: Activity) -> Script | None:
        """Its script; None: it has none."""
        return await self._store.read(lambda tx: tx.scripts.get(activity.activity_id))

    async def waiting(self, receipt: ActivityReceipt) -> list[ScheduledChange]:
        """The changes of an activity that wait for their time, the next one first."""
        app_id = receipt.activity.app_id

        def work(tx: Transaction) -> list[ScheduledChange]:
            pages = (
                tx.schedule.page(app_id, name, ChangeState.WAITING, ScheduleId(0), MOST_WAITING)
                for name in receipt.names
            )
            return sorted((change for page in pages for change in page), key=lambda change: change.at)

        return await self._store.read(work)

    async def cards(self, activity: Activity, *, after: CardNumber, maximum: int) -> Slice[CardReceipt]:
        """Cards of an activity numbered above `after`, in order."""

        def work(tx: Transaction) -> Slice[CardReceipt]:
            found = tx.activity_receipts.cards(activity, after, maximum + 1)
            return Slice.of(found, maximum)

        return await self._store.read(work)


def activity_called(tx: Transaction, app_id: AppId, name: str) -> Activity | None:
    """An app's activity by its group id, or by its number as `#12`."""
    found = tx.activities.by_group(app_id, GroupId(name))
    if found is None and name.startswith("#") and name[1:].isdecimal():
        found = tx.activities.get(ActivityId(int(name[1:19])))
    return None if found is None or found.app_id != app_id else found


def _on_phone(
    tx: Transaction, activity: Activity, device: Device, events: Sequence[RecordedEvent]
) -> tuple[TimelineEntry, ...]:
    revisions = {one.event_id: one.body["revision"] for one in events if one.kind in ACCEPTED}
    found = tx.activity_receipts.on_device(activity.activity_id, device.device_id, set(revisions.values()))
    return tuple(
        TimelineEntry(
            one, found.get(revisions[one.event_id], OnPhone()) if one.event_id in revisions else None
        )
        for one in events
    )  # fmt: skip


def _phone(tx: Transaction, activity: Activity, device: Device) -> Phone:
    card = tx.activities.newest_card(activity.activity_id, device.device_id)
    if card is not None:
        (receipt,) = tx.activity_receipts.cards(activity, CardNumber(card.number - 1), 1)
        return Phone(device.installation_id, receipt)
    reason = tx.activity_receipts.last_missed(activity.activity_id, device.device_id)
    if reason is None:
        kind = activity.attributes_type or ""
        startable = tx.audiences.startable(activity.app_id, [device.device_id], kind)
        reason = NOT_STARTED if startable else NO_START_TOKEN
    return Phone(device.installation_id, None, reason)


def _receipt(tx: Transaction, activity: Activity) -> ActivityReceipt:
    names = tx.activities.names(activity.activity_id)
    statuses, held = tx.activity_receipts.statuses(activity.activity_id)
    return ActivityReceipt(activity, tuple(names), statuses, held)
