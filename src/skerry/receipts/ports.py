"""What receipts read from the store."""

from collections.abc import Collection, Sequence
from typing import Protocol

from skerry.domain.activity import Activity
from skerry.domain.card import Card, CardStatus
from skerry.domain.desired import Standing
from skerry.domain.device import Device
from skerry.domain.event import EventFilter, EventId, EventPage, EventSpan
from skerry.domain.ids import ActivityId, AppId, CardNumber, DeviceId, GroupId, Millis, NotificationKey, RevisionNumber
from skerry.domain.receipt import CardReceipt, PushResult, PushStats, RevisionReceipt
from skerry.domain.schedule import ChangeState, ScheduledChange, ScheduleId
from skerry.domain.script import Script
from skerry.domain.timeline import OnPhone


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


class ActivityRecords(Protocol):
    """Activities by what they are called."""

    def get(self, activity_id: ActivityId) -> Activity | None: ...
    def by_group(self, app_id: AppId, group_id: GroupId) -> Activity | None: ...
    def names(self, activity_id: ActivityId) -> list[GroupId]: ...
    def newest_card(self, activity_id: ActivityId, device_id: DeviceId) -> Card | None: ...


class ActivityReceiptRecords(Protocol):
    """What became of activities, card by card."""

    def newest(self, app_id: AppId, limit: int, *, ended: bool) -> list[Activity]: ...
    def statuses(self, activity_id: ActivityId) -> tuple[dict[CardStatus, int], int]: ...
    def revisions(self, activity_id: ActivityId, limit: int) -> list[RevisionReceipt]: ...
    def revision(self, activity_id: ActivityId, number: RevisionNumber) -> RevisionReceipt | None: ...
    def cards(self, activity: Activity, after: CardNumber, limit: int) -> list[CardReceipt]: ...
    def on_device(
        self, activity_id: ActivityId, device_id: DeviceId, revisions: Collection[RevisionNumber]
    ) -> dict[RevisionNumber, OnPhone]: ...
    def last_missed(self, activity_id: ActivityId, device_id: DeviceId) -> str | None: ...


class DeviceRecords(Protocol):
    """Devices by their installation."""

    def find(self, app_id: AppId, installation_id: str) -> Device | None: ...


class AudienceRecords(Protocol):
    """Who can be started."""

    def startable(self, app_id: AppId, devices: Sequence[DeviceId], attributes_type: str) -> set[DeviceId]: ...


class DesiredRecords(Protocol):
    """What callers want activities to be."""

    def get(self, activity_id: ActivityId) -> Standing | None: ...


class ScriptRecords(Protocol):
    """Scripts that are under way."""

    def get(self, activity_id: ActivityId) -> Script | None: ...


class ScheduleRecords(Protocol):
    """Changes that wait for their time."""

    def page(
        self, app_id: AppId, group_id: GroupId | None, state: ChangeState, after: ScheduleId, limit: int
    ) -> list[ScheduledChange]: ...  # fmt: skip


class EventRecords(Protocol):
    """What happened."""

    def span(self) -> EventSpan: ...
    def page(self, app_id: AppId, wanted: EventFilter, after: EventId, limit: int) -> EventPage: ...


class Transaction(Protocol):
    """The part of the store's transaction that this room uses."""

    @property
    def receipts(self) -> ReceiptRecords: ...

    @property
    def activities(self) -> ActivityRecords: ...

    @property
    def activity_receipts(self) -> ActivityReceiptRecords: ...

    @property
    def devices(self) -> DeviceRecords: ...

    @property
    def audiences(self) -> AudienceRecords: ...

    @property
    def desired(self) -> DesiredRecords: ...

    @property
    def scripts(self) -> ScriptRecords: ...

    @property
    def schedule(self) -> ScheduleRecords: ...

    @property
    def events(self) -> EventRecords: ...
