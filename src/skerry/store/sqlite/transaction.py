"""The store's transaction: the records of every room, over one connection."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

from skerry.domain.ids import Millis
from skerry.store.sqlite.activities import ActivityRecords
from skerry.store.sqlite.activity_receipts import ActivityReceiptRecords
from skerry.store.sqlite.apps import AppRecords
from skerry.store.sqlite.audiences import AudienceRecords
from skerry.store.sqlite.channels import ChannelRecords
from skerry.store.sqlite.desired import DesiredRecords
from skerry.store.sqlite.devices import DeviceRecords
from skerry.store.sqlite.events import EventRecords
from skerry.store.sqlite.notifications import NotificationRecords
from skerry.store.sqlite.outbox import OutboxRecords
from skerry.store.sqlite.parcels import ParcelRecords
from skerry.store.sqlite.receipts import ReceiptRecords
from skerry.store.sqlite.rejections import RejectionRecords
from skerry.store.sqlite.rounds import RoundRecords
from skerry.store.sqlite.schedule import ScheduleRecords
from skerry.store.sqlite.scripts import ScriptRecords
from skerry.store.sqlite.segments import SegmentRecords
from skerry.store.sqlite.senders import SenderRecords
from skerry.store.sqlite.timers import TimerRecords
from skerry.store.sqlite.users import UserRecords
from skerry.store.sqlite.webhooks import WebhookRecords


class SqliteTransaction:
    """What a unit of work gets. One per connection, used for one work after the other; not to be kept by a work."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], Millis]) -> None:
        self.connection = connection
        """For the store's own modules (`retention`); services know nothing of it."""
        self._clock = clock

    @contextmanager
    def part(self) -> Iterator[None]:
        """A block that is undone by itself where it raises; what was done before it stays."""
        mark = self.events.mark()
        self.connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self.connection.in_transaction:  # SQLite may have rolled all of it back, as it does on a full disk
                self.events.forget_since(mark)
                self.connection.execute("ROLLBACK TO part")
                self.connection.execute("RELEASE part")
            raise
        self.connection.execute("RELEASE part")

    @cached_property
    def activities(self) -> ActivityRecords:
        """Activities, their names, revisions and cards."""
        return ActivityRecords(self.connection)

    @cached_property
    def desired(self) -> DesiredRecords:
        """What callers want activities to be, and who follows them."""
        return DesiredRecords(self.connection)

    @cached_property
    def channels(self) -> ChannelRecords:
        """Broadcast channels."""
        return ChannelRecords(self.connection)

    @cached_property
    def notifications(self) -> NotificationRecords:
        """Definitions and bulk starts, and remembered answers."""
        return NotificationRecords(self.connection)

    @cached_property
    def timers(self) -> TimerRecords:
        """What is to happen later."""
        return TimerRecords(self.connection)

    @cached_property
    def schedule(self) -> ScheduleRecords:
        """Changes that wait for their time."""
        return ScheduleRecords(self.connection)

    @cached_property
    def scripts(self) -> ScriptRecords:
        """Scripts that are under way."""
        return ScriptRecords(self.connection)

    @cached_property
    def events(self) -> EventRecords:
        """What happened, to be told."""
        return EventRecords(self.connection)

    @cached_property
    def webhooks(self) -> WebhookRecords:
        """Who is told of it."""
        return WebhookRecords(self.connection, self.events)

    @cached_property
    def outbox(self) -> OutboxRecords:
        """Chunks and plans."""
        return OutboxRecords(self.connection, self._clock)

    @cached_property
    def senders(self) -> SenderRecords:
        """Processes that send beside the service."""
        return SenderRecords(self.connection)

    @cached_property
    def parcels(self) -> ParcelRecords:
        """Chunks of one card, many at a time."""
        return ParcelRecords(self.connection, self._clock)

    @cached_property
    def rounds(self) -> RoundRecords:
        """Updates of many activities at a time."""
        return RoundRecords(self.connection)

    @cached_property
    def rejections(self) -> RejectionRecords:
        """Refusals and misses."""
        return RejectionRecords(self.connection)

    @cached_property
    def apps(self) -> AppRecords:
        """Apps and their API keys."""
        return AppRecords(self.connection)

    @cached_property
    def users(self) -> UserRecords:
        """Users, tags and profiles."""
        return UserRecords(self.connection)

    @cached_property
    def devices(self) -> DeviceRecords:
        """Devices and start tokens."""
        return DeviceRecords(self.connection)

    @cached_property
    def audiences(self) -> AudienceRecords:
        """Who is in an audience."""
        return AudienceRecords(self.connection)

    @cached_property
    def segments(self) -> SegmentRecords:
        """Audiences under a name."""
        return SegmentRecords(self.connection)

    @cached_property
    def receipts(self) -> ReceiptRecords:
        """What became of starts."""
        return ReceiptRecords(self.connection)

    @cached_property
    def activity_receipts(self) -> ActivityReceiptRecords:
        """What became of activities, card by card."""
        return ActivityReceiptRecords(self.connection, self._clock)
