"""A plan: a start that is being spread out into cards and chunks, slice by slice, because its audience is large."""

from dataclasses import dataclass

from skerry.domain.audience import Audience
from skerry.domain.ids import ActivityId, AppId, DeviceId, Millis, RevisionNumber


@dataclass(frozen=True, slots=True)
class Plan:
    """How far the start has been spread out: devices up to and including `cursor` are done."""

    plan_id: int
    app_id: AppId
    activity_id: ActivityId
    revision: RevisionNumber
    audience: Audience
    due_at: Millis
    cursor: DeviceId = DeviceId(0)
    package: int | None = None
    interval: Millis = Millis(0)
    left: int | None = None
    """Devices that the present package still takes; None: all of `package`."""


@dataclass(frozen=True, slots=True)
class Reachable:
    """A device of an audience, and whether it can be started."""

    device_id: DeviceId
    has_start_token: bool


@dataclass(frozen=True, slots=True)
class AudienceSlice:
    """Some devices of an audience, by id. `through`: all up to here have been looked at; None: all there are."""

    reachable: list[Reachable]
    through: DeviceId | None
