"""What receipts read from the store."""

from typing import Protocol

from skerry.domain.ids import AppId, Millis, NotificationKey
from skerry.domain.receipt import PushResult, PushStats


class ReceiptRecords(Protocol):
    """What became of starts."""

    def stats(self, app_id: AppId, key: NotificationKey) -> PushStats | None: ...
    def keys_between(self, app_id: AppId, start: Millis, end: Millis, limit: int) -> list[NotificationKey]: ...
    def results(
        self,
        app_id: AppId,
        key: NotificationKey | None,
        ext_id: str | None,
        token: str | None,
        start: Millis,
        end: Millis,
        limit: int,
        offset: int,
    ) -> list[PushResult]: ...


class Transaction(Protocol):
    """The part of the store's transaction that this room uses."""

    @property
    def receipts(self) -> ReceiptRecords: ...
