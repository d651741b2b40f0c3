"""What became of starts, activities and cards, read from the verdicts beside their chunks."""

from skerry.domain.activity import Activity
from skerry.domain.desired import Standing
from skerry.domain.event import EventFilter, EventId, RecordedEvent
from skerry.domain.ids import ActivityId, AppId, CardNumber, GroupId, Millis, NotificationKey, RevisionNumber
from skerry.domain.receipt import (
    ActivityReceipt,
    CardReceipt,
    PushResult,
    PushStats,
    RevisionReceipt,
    Slice,
)
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
            return Slice(tuple(found[:maximum]), len(found) > maximum)

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

    async def timeline(self, activity: Activity, *, after: EventId, maximum: int) -> Slice[RecordedEvent]:
        """What happened to an activity and its cards after an event, the oldest first, as far as it is kept."""

        def work(tx: Transaction) -> Slice[RecordedEvent]:
            wanted = EventFilter(activity_id=activity.activity_id)
            found = tx.events.page(activity.app_id, wanted, after, maximum + 1).events
            return Slice(tuple(found[:maximum]), len(found) > maximum)

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

    async def cards(self, activity: Activity, *, after: CardNumber, maximum: int) -> Slice[CardReceipt]:
        """Cards of an activity numbered above `after`, in order."""

        def work(tx: Transaction) -> Slice[CardReceipt]:
            found = tx.activity_receipts.cards(activity, after, maximum + 1)
            return Slice(tuple(found[:maximum]), len(found) > maximum)

        return await self._store.read(work)


def activity_called(tx: Transaction, app_id: AppId, name: str) -> Activity | None:
    """An app's activity by its group id, or by its number as `#12`."""
    found = tx.activities.by_group(app_id, GroupId(name))
    if found is None and name.startswith("#") and name[1:].isdecimal():
        found = tx.activities.get(ActivityId(int(name[1:19])))
    return None if found is None or found.app_id != app_id else found


def _receipt(tx: Transaction, activity: Activity) -> ActivityReceipt:
    names = tx.activities.names(activity.activity_id)
    return ActivityReceipt(activity, tuple(names), tx.activity_receipts.statuses(activity.activity_id))
