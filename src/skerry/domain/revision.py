"""A revision: one accepted change of an activity, numbered, with all that its pushes need."""

from dataclasses import dataclass
from enum import IntEnum

from skerry.domain.ids import ActivityId, Millis, NotificationKey, RevisionNumber, Seconds


class RevisionKind(IntEnum):
    """What a revision does to cards. The names on the wire are Apple's `event` values."""

    START = 1
    UPDATE = 2
    END = 3
    FAREWELL = 4
    """An end for cards whose activity goes on in newer ones (`activities.renewal`)."""

    @property
    def event(self) -> str:
        """Apple's `event` value."""
        return "end" if self is RevisionKind.FAREWELL else self.name.lower()


@dataclass(frozen=True, slots=True)
class Revision:
    """One accepted change. `state`, `attributes` and `alert` are raw JSON objects, kept byte for byte.

    `timestamp` is APNs' `timestamp`: whole seconds, strictly rising from revision to revision of one activity.
    `expiration` becomes `apns-expiration`. `notification_key` is set on starts that came through the drop-in API.
    """

    activity_id: ActivityId
    number: RevisionNumber
    kind: RevisionKind
    timestamp: Seconds
    created_at: Millis
    state: bytes | None = None
    attributes: bytes | None = None
    attributes_type: str | None = None
    alert: bytes | None = None
    priority: int = 10
    stale_date: Seconds | None = None
    dismissal_date: Seconds | None = None
    expiration: Seconds | None = None
    notification_key: NotificationKey | None = None
    relevance: float | None = None
    """Apple's `relevance-score`."""

    @property
    def supersedable(self) -> bool:
        """An unsent older update may be skipped; a start, an end, or an update that alerts may not."""
        return self.kind is RevisionKind.UPDATE and self.alert is None
