"""What the caller is told about what it sent."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from skerry.domain.ids import Millis, NotificationKey

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PushStats:
    """The starts of one notification key, counted. `sent` and `failed` are APNs' answers."""

    notification_key: NotificationKey
    status: str
    """`STARTING` (nothing sent yet), `SENDING`, `FINISHED`; `ACTIVE` for a definition that was never sent."""
    started_at: Millis | None
    ended_at: Millis | None
    sent: int
    failed: int


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of one start on one device, or for one user who has none."""

    succeeded: bool
    error_code: str | None
    error: str | None
    """Apple's reason, or ours (`NO_DEVICE`, `NO_START_TOKEN`, …)."""
    installation_id: str | None
    ext_id: str | None
    at: Millis
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Some items of a list, and whether more follow."""

    items: tuple[T, ...]
    more: bool
