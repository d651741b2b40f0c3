"""Counts and results of starts, read from the verdicts beside their chunks."""

from skerry.domain.ids import AppId, Millis, NotificationKey
from skerry.domain.receipt import PushResult, PushStats, Slice
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
