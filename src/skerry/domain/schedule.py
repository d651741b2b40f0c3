"""Scheduled changes: what an activity is to be at a later time, kept until then, and what came of it.

Pure. A change is the same wish or end that a caller could send at that time, checked in advance as far as it can be.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import NewType, TypeAlias
from zoneinfo import ZoneInfo

from skerry.domain.activity import End
from skerry.domain.desired import Desired
from skerry.domain.errors import (
    ChangedMeanwhileError,
    FieldRefusedError,
    FixedAttributesError,
    NothingToStartError,
    OutdatedError,
    PayloadTooLargeError,
    RefusedError,
)
from skerry.domain.ids import AppId, GroupId, Millis, RevisionNumber

ScheduleId = NewType("ScheduleId", int)
"""Rising over all apps; never used again."""

MOST_WAITING = 500
"""Changes of one activity that may wait."""


class ChangeState(IntEnum):
    """Where a scheduled change is in its life."""

    WAITING = 1
    DONE = 2
    FAILED = 3
    """It could not be done at its time; `problem` says why. Nothing was changed."""
    CANCELLED = 4


class Action(IntEnum):
    """What a change does."""

    PUT = 1
    END = 2


@dataclass(frozen=True, slots=True)
class Ending:
    """An end with the caller's version."""

    command: End
    version: int | None = None


Said: TypeAlias = Desired | Ending
"""What a scheduled change says."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a change could not be done: a word for machines and a sentence for people."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class ScheduledChange:
    """One change of one activity, and what came of it. What it says is kept beside it: a list need not read it."""

    schedule_id: ScheduleId
    app_id: AppId
    group_id: GroupId
    action: Action
    at: Millis
    made_at: Millis
    state: ChangeState = ChangeState.WAITING
    settled_at: Millis | None = None
    """When it was done, failed or was cancelled."""
    revision: RevisionNumber | None = None
    """The activity's newest revision after it was done."""
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class LocalTime:
    """A time as a clock on the wall of some place shows it. `zone` is an IANA name."""

    time: datetime
    """Without an offset."""
    zone: str


class UnknownActivityError(RefusedError):
    """There is no activity that could end."""


class NotRunningError(RefusedError):
    """The activity does not run, and a change without an audience starts nothing."""


class TooLateError(RefusedError):
    """A start whose time is too long ago: nobody wants a card for what may be over."""


class OvertakenError(RefusedError):
    """A start whose activity was to end meanwhile."""


class TooManyChangesError(RefusedError):
    """As many changes wait for the activity as may."""

    def __init__(self) -> None:
        super().__init__(f"{MOST_WAITING} changes of the activity wait already")


class HasRunError(RefusedError):
    """The change has been done, or has failed: there is nothing to cancel."""


def instant(when: Millis | LocalTime) -> Millis:
    """The moment that is meant, as RFC 5545 (3.3.5) reads local times.

    A time that clocks skip (spring) is read with the offset before the gap, so 02:30 becomes 03:30; of a time that
    clocks show twice (autumn) the first is meant. The rules of the zone are those of now.

    Raises:
        FieldRefusedError: if there is no such zone, or no such time in it.
    """
    if not isinstance(when, LocalTime):
        return when
    try:
        zone = ZoneInfo(when.zone)
    except (ValueError, OSError, LookupError) as error:
        fix = "send an IANA name such as Europe/Istanbul"
        raise FieldRefusedError("time_zone", f"is not a time zone: {when.zone[:64]!r}", fix) from error
    try:
        # `fold` 0 is both: the offset before a gap, and the first of two.
        found = Millis(int(when.time.replace(tzinfo=zone, fold=0).astimezone(UTC).timestamp() * 1000))
    except (ValueError, OverflowError) as error:
        raise FieldRefusedError("at", "is beyond what can be told in the zone", "send a time to come") from error
    return found


_CODES: tuple[tuple[type[RefusedError], str], ...] = (
    (OutdatedError, "outdated"),
    (ChangedMeanwhileError, "changed_meanwhile"),
    (FixedAttributesError, "attributes_fixed"),
    (NothingToStartError, "nothing_to_start"),
    (PayloadTooLargeError, "payload_too_large"),
    (FieldRefusedError, "invalid_field"),
    (UnknownActivityError, "not_found"),
    (NotRunningError, "not_running"),
    (TooLateError, "too_late"),
    (OvertakenError, "overtaken"),
)


def problem_of(error: RefusedError) -> Problem:
    """A refusal as it is kept; audiences' own refusals bring their codes."""
    own = getattr(error, "code", None)
    code = own or next((code for kind, code in _CODES if isinstance(error, kind)), "refused")
    return Problem(code, str(error))
