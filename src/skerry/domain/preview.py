"""A preview of a start: how many devices an audience has, how many can be started, and why the others cannot.

The words of `NotStartable` are in the order in which a device is asked: it counts under the first that holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from skerry.domain.ids import ActivityId, CardNumber, Millis

MOST_SAMPLES = 10

_FIRST_WITH_START_TOKENS = (17, 2)


class NotStartable(StrEnum):
    """Why a start does not reach a device."""

    NOT_IOS = "not_ios"
    TOKEN_DEAD = "token_dead"  # noqa: S105 - a reason
    """APNs has called its start token dead, and it has reported no newer one."""
    WRONG_TYPE = "wrong_type"
    """It has start tokens, for other attributes types only."""
    IOS_TOO_OLD = "ios_too_old"
    """It says an iOS before 17.2, which cannot be started from afar (apple.md 8)."""
    NO_START_TOKEN = "no_start_token"  # noqa: S105 - a reason
    ALREADY_RUNNING = "already_running"
    """A card of the activity runs on it, or is being started: it gets updates, not a second card."""
    SWIPED_AWAY = "swiped_away"
    """A person swiped the activity away on it, and its policy takes that for an answer."""
    MISSING_VALUE = "missing_value"
    """A placeholder has no default, and the profile of its user no value for it: nothing would be pushed to it."""


class Doubt(StrEnum):
    """What may still go wrong with a device that can be started. A device may count under both."""

    ENVIRONMENT_UNKNOWN = "environment_unknown"
    """It has not said whether it is a production or a sandbox build: the app's default is tried, then the other."""
    PUSH_OFF = "push_off"
    """Ordinary notifications are off. iOS starts Live Activities all the same, unless they are off as well."""


@dataclass(frozen=True, slots=True)
class Run:
    """The activity that would be started, as far as it keeps starts from devices by its cards from `first` on.

    Those that start or are live, and were heard of since `running_since`; and those swiped away since `swiped_since`.
    """

    activity_id: ActivityId
    first: CardNumber
    running_since: Millis
    swiped_since: Millis | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A device, for a person to look up."""

    installation_id: str
    ext_id: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many, and up to `MOST_SAMPLES` of them."""

    count: int
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """Names in the audience that stand for nothing: how many, and the first of them."""

    count: int
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """`matched` is `startable` and all of `not_startable`; `doubts` are among the startable."""

    matched: int
    startable: int
    not_startable: Mapping[NotStartable, Count]
    doubts: Mapping[Doubt, Count]
    users_without_device: Missing = Missing(0)
    """External ids in the audience that have no iOS device."""
    unknown_devices: Missing = Missing(0)
    """Installation ids in the audience that have never reported."""


def is_too_old(os_version: str | None) -> bool:
    """Whether a version is known, and before iOS 17.2, the first with start tokens."""
    major, _, rest = (os_version or "").partition(".")
    minor = rest.partition(".")[0] or "0"
    if not (_is_number(major) and _is_number(minor)):
        return False
    return (int(major), int(minor)) < _FIRST_WITH_START_TOKENS


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10  # noqa: PLR2004 - what any integer holds
