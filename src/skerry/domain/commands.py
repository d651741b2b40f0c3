"""What callers ask of activities, already checked for form: the API builds these, the services carry them out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from skerry.domain.audience import Audience
from skerry.domain.ids import AppId, GroupId, Millis, NotificationKey, Seconds


@dataclass(frozen=True, slots=True)
class Pace:
    """When a bulk start goes out, and how fast: `package` devices every `interval` milliseconds."""

    begins_at: Millis | None = None
    package: int | None = None
    interval: Millis = Millis(0)


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's key for a request, and a digest of the request to notice that the key is used for another one."""

    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Wording:
    """What an alert says in one language; None: as in the others."""

    title: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """The content of a start: of a bulk start, or of a definition that later sends fill in.

    `state` and `attributes` are raw JSON objects as the caller sent them.
    """

    title: str
    text: str
    attributes_type: str
    attributes: bytes
    state: bytes
    alert_title: str | None = None
    """What the phone shows, where it differs from `title`, the campaign's name (netmera.md 5.6)."""
    group_id: GroupId | None = None
    ends_at: Seconds | None = None
    priority: int = 10
    params: Mapping[str, str] = field(default_factory=dict)
    languages: Mapping[str, Wording] = field(default_factory=dict)
    """The alert in other languages, by tag."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a notification key stands for."""

    notification_key: NotificationKey
    app_id: AppId
    kind: str
    """`definition` or `bulk`."""
    template: Template
    created_at: Millis


@dataclass(frozen=True, slots=True)
class BulkStart:
    """`sendBulkNotification`: start for many."""

    template: Template
    audience: Audience
    pace: Pace = Pace()
    idempotency: Idempotency | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """One entry of `sendNotification`: a definition, whom for, and what differs this time."""

    notification_key: NotificationKey
    audience: Audience
    group_id: GroupId | None = None
    state: bytes | None = None
    """Merged over the definition's, member by member at the top level."""
    attributes: bytes | None = None
    ends_at: Seconds | None = None
    priority: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    title: str | None = None
    text: str | None = None
    alert_title: str | None = None


@dataclass(frozen=True, slots=True)
class ReportResult:
    """What a device report changed, event by event: `accepted`, `repeated`, `stale` or `refused: <why>`."""

    outcomes: tuple[str, ...]
