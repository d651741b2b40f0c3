"""The services as the API uses them; the real ones satisfy these by structure."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from skerry.domain.activity import Activity, End, Update
from skerry.domain.app import Address, KeyProblem, Network, Principal
from skerry.domain.audience import Audience
from skerry.domain.commands import BulkStart, Idempotency, ReportResult, Send, Template
from skerry.domain.desired import Desired, Outcome, Standing
from skerry.domain.device import DeviceEvent, DeviceReport
from skerry.domain.event import EventFilter, EventId, EventKind, EventPage
from skerry.domain.ids import AppId, CardNumber, GroupId, Millis, NotificationKey, RevisionNumber
from skerry.domain.line import Line, LineOutcome
from skerry.domain.personal import Blank
from skerry.domain.preview import Preview
from skerry.domain.receipt import ActivityReceipt, CardReceipt, PushResult, PushStats, RevisionReceipt, Slice
from skerry.domain.schedule import ChangeState, LocalTime, Said, ScheduledChange, ScheduleId
from skerry.domain.script import Script
from skerry.domain.segment import SegmentSize, SegmentUsers, StoredSegment
from skerry.domain.timeline import Timeline
from skerry.domain.user import DeviceInfo, Page, UserRegistration
from skerry.domain.webhook import Attempt, DeadLetter, WebhookState, WebhookWish


class Keys(Protocol):
    """Who is calling."""

    async def authenticate(self, text: str | None, address: Address | None) -> Principal | KeyProblem: ...


class Activities(Protocol):
    """Commands."""

    async def start_bulk(self, app_id: AppId, command: BulkStart) -> NotificationKey: ...
    async def define(self, app_id: AppId, template: Template) -> NotificationKey: ...
    async def send(
        self, app_id: AppId, sends: Sequence[Send], idempotency: Idempotency | None = None
    ) -> None: ...  # fmt: skip
    async def update(self, app_id: AppId, group_id: GroupId, command: Update) -> bool: ...
    async def end(self, app_id: AppId, group_id: GroupId, command: End) -> bool: ...


class DesiredState(Protocol):
    """What callers want activities to be."""

    async def put(
        self,
        app_id: AppId,
        desired: Desired,
        *,
        expected: RevisionNumber | None = None,
        idempotency: Idempotency | None = None,
    ) -> Outcome: ...
    async def end(
        self,
        app_id: AppId,
        group_id: GroupId,
        command: End,
        *,
        version: int | None = None,
        expected: RevisionNumber | None = None,
        idempotency: Idempotency | None = None,
    ) -> Outcome | None: ...
    def high_priority_left(self, standing: Standing) -> int: ...


class Batches(Protocol):
    """New states of many activities at once."""

    async def carry_out(
        self,
        app_id: AppId,
        lines: Sequence[Line],
        tell: Callable[[Sequence[LineOutcome]], str],
        idempotency: Idempotency | None = None,
    ) -> str: ...


class Schedule(Protocol):
    """Changes at a later time. None: the app has none of this number."""

    async def add(
        self,
        app_id: AppId,
        group_id: GroupId,
        change: Said,
        when: Millis | LocalTime,
        *,
        idempotency: Idempotency | None = None,
    ) -> ScheduledChange: ...
    async def get(
        self, app_id: AppId, schedule_id: ScheduleId
    ) -> tuple[ScheduledChange, Said] | None: ...  # fmt: skip
    async def page(
        self, app_id: AppId, group_id: GroupId | None, state: ChangeState, *, after: ScheduleId, maximum: int
    ) -> Slice[ScheduledChange]: ...
    async def cancel(
        self, app_id: AppId, schedule_id: ScheduleId, *, idempotency: Idempotency | None = None
    ) -> ScheduledChange | None: ...


class Registry(Protocol):
    """Users, devices and what devices report."""

    async def register_users(self, app_id: AppId, entries: Sequence[UserRegistration]) -> None: ...
    async def delete_users(self, app_id: AppId, ext_ids: Sequence[str]) -> None: ...
    async def erase_users(self, app_id: AppId, ext_ids: Sequence[str]) -> None: ...
    async def set_push(
        self, app_id: AppId, *, ext_id: str | None, device_token: str | None, enabled: bool
    ) -> None: ...  # fmt: skip
    async def tag_users(self, app_id: AppId, tags: Sequence[str], ext_ids: Sequence[str]) -> None: ...
    async def untag_users(self, app_id: AppId, tags: Sequence[str], ext_ids: Sequence[str]) -> None: ...
    async def set_profile(self, app_id: AppId, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> None: ...
    async def unset_profile(self, app_id: AppId, entries: Sequence[tuple[str, Sequence[str]]]) -> None: ...
    async def push_profile(self, app_id: AppId, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> None: ...
    async def pull_profile(self, app_id: AppId, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> None: ...
    async def delete_profile_attributes(self, app_id: AppId, attributes: Sequence[str]) -> None: ...
    async def delete_profile_value(self, app_id: AppId, key: str, value: Any) -> None: ...
    async def profile(self, app_id: AppId, ext_id: str) -> Mapping[str, Any] | None: ...
    async def devices(
        self, app_id: AppId, ext_id: str, push_permitted: bool | None
    ) -> list[DeviceInfo] | None: ...  # fmt: skip
    async def device_tokens(self, app_id: AppId, maximum: int, offset: int) -> Page: ...
    async def report(self, app_id: AppId, report: DeviceReport) -> ReportResult: ...
    async def fire(
        self, app_id: AppId, ext_id: str, event: DeviceEvent, *, installation_id: str | None, device_token: str | None
    ) -> None: ...  # fmt: skip


class Audiences(Protocol):
    """Questions about audiences."""

    async def preview(
        self,
        app_id: AppId,
        audience: Audience,
        attributes_type: str,
        activity: GroupId | None,
        gaps: Sequence[Blank] = (),
    ) -> Preview: ...


class Segments(Protocol):
    """Audiences under a name."""

    async def save(
        self, app_id: AppId, name: str, audience: Audience, *, idempotency: Idempotency | None = None
    ) -> StoredSegment: ...
    async def find(self, app_id: AppId, name: str) -> StoredSegment | None: ...
    async def all(self, app_id: AppId) -> list[StoredSegment]: ...
    async def remove(
        self, app_id: AppId, name: str, *, idempotency: Idempotency | None = None
    ) -> StoredSegment | None: ...
    async def sizes(self, app_id: AppId, platform: str) -> list[SegmentSize]: ...
    async def users(
        self, app_id: AppId, segment_id: int, platform: str, maximum: int, offset: int
    ) -> SegmentUsers | None: ...  # fmt: skip


class Receipts(Protocol):
    """What became of what was sent."""

    async def stats(self, app_id: AppId, notification_key: NotificationKey) -> PushStats | None: ...
    async def stats_between(self, app_id: AppId, start: Millis, end: Millis) -> list[PushStats]: ...
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
    ) -> Slice[PushResult] | None: ...
    async def activity(self, app_id: AppId, name: str) -> ActivityReceipt | None: ...
    async def revision(self, activity: Activity, number: RevisionNumber) -> RevisionReceipt | None: ...
    async def standing(self, activity: Activity) -> Standing | None: ...
    async def script(self, activity: Activity) -> Script | None: ...
    async def cards(self, activity: Activity, *, after: CardNumber, maximum: int) -> Slice[CardReceipt]: ...
    async def timeline(
        self,
        activity: Activity,
        *,
        after: EventId,
        maximum: int,
        kinds: Sequence[EventKind] = (),
        installation_id: str | None = None,
    ) -> Timeline | None: ...


class Webhooks(Protocol):
    """The caller's servers that are told what happens. None: the app has no webhook of this name."""

    async def put(
        self, app_id: AppId, name: str, wish: WebhookWish, *, idempotency: Idempotency | None = None
    ) -> tuple[WebhookState, str | None]: ...
    async def get(self, app_id: AppId, name: str) -> WebhookState | None: ...
    async def list(self, app_id: AppId) -> Sequence[WebhookState]: ...
    async def delete(self, app_id: AppId, name: str, *, idempotency: Idempotency | None = None) -> bool: ...
    async def rotate(self, app_id: AppId, name: str, *, idempotency: Idempotency | None = None) -> str | None: ...
    async def attempts(
        self, app_id: AppId, name: str, *, before: int, maximum: int
    ) -> Slice[tuple[int, Attempt]] | None: ...  # fmt: skip
    async def dead_letters(
        self, app_id: AppId, name: str, *, after: EventId, maximum: int
    ) -> Slice[DeadLetter] | None: ...  # fmt: skip
    async def resend(
        self, app_id: AppId, name: str, event_id: EventId, *, idempotency: Idempotency | None = None
    ) -> bool | None: ...
    async def replay(self, app_id: AppId, name: str, *, idempotency: Idempotency | None = None) -> int | None: ...


class Listener(Protocol):
    """Hears when there are new events."""

    async def wait(self, seconds: float) -> bool: ...


class Beginning(Protocol):
    """Where a reader of events begins."""

    @property
    def wanted(self) -> EventFilter: ...
    @property
    def cursor(self) -> EventId: ...
    @property
    def missed(self) -> bool: ...


class Feed(Protocol):
    """What happens, for the live stream."""

    @property
    def listen(self) -> Callable[[], AbstractContextManager[Listener]]: ...
    @property
    def closed(self) -> bool: ...
    async def begin(self, app_id: AppId, wanted: EventFilter, after: EventId | None) -> Beginning | None: ...
    async def page(self, app_id: AppId, wanted: EventFilter, after: EventId, limit: int) -> EventPage: ...


class Health(Protocol):
    """Whether the service can do its work."""

    def live(self) -> bool: ...
    async def ready(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Services:
    """All that the API calls."""

    keys: Keys
    activities: Activities
    desired: DesiredState
    batches: Batches
    registry: Registry
    receipts: Receipts
    webhooks: Webhooks
    feed: Feed
    health: Health
    audiences: Audiences
    segments: Segments
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """The live stream. Times in seconds."""

    per_key: int = 20
    """Streams that one key may have open."""
    heartbeat: float = 15.0
    """Between signs of life, and between looks at whether the key still holds."""
    slow_after: float = 30.0
    """A reader that takes nothing for so long is cut off."""


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What an operator may turn at the API."""

    max_body_bytes: int = 1 << 20
    trusted_proxies: tuple[Network, ...] = ()
    """Whose `X-Forwarded-For` is believed."""
    strict_notification_key: bool = False
    """Refuse an integer `notificationKey` as Netmera does (netmera.md Q22)."""
    timezone: str = "UTC"
    """For a `schedule.startTime`, which carries no zone."""
    version: str = "0"
    events_per_minute: Mapping[str, tuple[float, float]] = field(
        default_factory=lambda: {"installation": (120.0, 240.0), "address": (6_000.0, 20_000.0)}
    )
    """Device events: rate per minute and burst."""
    requests_per_minute: tuple[float, float] | None = None
    """Requests of one REST key: rate per minute and burst; None: no limit."""
    body_timeout: float = 30.0
    """Seconds that a request's body may take to arrive."""
    stream: StreamSettings = StreamSettings()
    answer_timeout: float = 60.0
    """Seconds after which a request that has no answer yet gets an error."""
