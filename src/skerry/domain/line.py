"""A line of a batch: the new state of one activity among many, and what it came to. Pure."""

from enum import StrEnum

from msgspec import Struct

from skerry.domain import personal
from skerry.domain.activity import End
from skerry.domain.desired import Desired, Policies, Priority
from skerry.domain.ids import GroupId, RevisionNumber, Seconds


class Line(Struct):
    """One line of a batch: the new state of an activity that is there, or its end. What it does not say stays so."""

    group_id: GroupId
    state: bytes
    alert: bytes | None = None
    priority: Priority = Priority.AUTO
    important: bool = False
    relevance: float | None = None
    stale_at: Seconds | None = None
    version: int | None = None
    end: End | None = None
    """End the activity so, instead of all that but the version."""

    @property
    def is_personal(self) -> bool:
        """Whether cards differ in what they get of it."""
        return bool(personal.need(self.alert, self.state))

    def wish(self, policies: Policies, ends_at: Seconds | None) -> Desired:
        """The same as a desired state of an activity that lives by these policies and ends at that time."""
        return Desired(
            group_id=self.group_id,
            state=self.state,
            alert=self.alert,
            priority=self.priority,
            important=self.important,
            relevance=self.relevance,
            stale_at=self.stale_at,
            ends_at=ends_at,
            version=self.version,
            policies=policies,
        )


class LineResult(StrEnum):
    """What a line came to."""

    CHANGED = "changed"
    NOOP = "noop"
    """It was so already."""
    UNKNOWN = "unknown"
    """No activity has this id; a line makes none."""
    REFUSED = "refused"


class LineOutcome(Struct):
    """The same with the activity's newest revision, and with why not."""

    result: LineResult
    revision: RevisionNumber | None = None
    error: Exception | None = None
