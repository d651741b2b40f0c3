"""Whom a start is for: conditions on users and devices, AND-ed across members (netmera.md 5.2).

The store answers an audience with SQL; `matches` is the same meaning in plain Python, and the two are held against each
other by tests. Both want an audience whose segments have been looked up (`domain.segment.resolved`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from skerry.domain.ids import DeviceId
from skerry.domain.location import Circle, Place
from skerry.domain.rollout import Rollout


class Quantifier(StrEnum):
    """How several values in one condition combine."""

    ANY = "any"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TagCondition:
    """The user's tags against a list."""

    quantifier: Quantifier
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProfileCondition:
    """One profile attribute: any of the values (an array attribute matches by containment), or that it exists or not.

    Values are JSON scalars; numbers compare by value (1 matches 1.0), strings and booleans only their own kind.
    """

    attribute: str
    values: tuple[str | int | float | bool, ...] = ()
    exists: bool | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class ProfileGroup:
    """Conditions on profile attributes, combined; `NONE` means that not one of them holds."""

    quantifier: Quantifier
    conditions: tuple["ProfileCondition | ProfileGroup", ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored audience, by its name. `audience` None: it has not been looked up."""

    name: str
    audience: "Audience | None" = None


@dataclass(frozen=True, slots=True)
class SegmentCondition:
    """Whether a device belongs to segments."""

    quantifier: Quantifier
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Audience:
    """A conjunction; a member that is None says nothing. At least one member is set.

    Matches *devices*: conditions on users look at the device's user, and a device without one matches only `everyone`,
    what names or places the device itself, and conditions that ask for the absence of something.
    """

    everyone: bool = False
    ext_ids: tuple[str, ...] | None = None
    device_tokens: tuple[str, ...] | None = None
    """Ordinary device tokens, start tokens or update tokens of live cards; lower-case hexadecimal."""
    tags: TagCondition | None = None
    profile: ProfileGroup | None = None
    last_active_device: bool = False
    """Of each user, only the device that was active last."""
    installation_ids: tuple[str, ...] | None = None
    segments: SegmentCondition | None = None
    location: Circle | None = None
    """Where the device said it was; a device that never said is nowhere."""
    exclude: "Audience | None" = None
    """Whoever belongs to this one is left out. It excludes nobody and draws no share itself."""
    rollout: Rollout | None = None
    """Of those who belong, and are not excluded, a share."""

    @property
    def is_small(self) -> bool:
        """Whether it names its users or devices, so that it can be resolved within the request."""
        return not (self.ext_ids is None and self.device_tokens is None and self.installation_ids is None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What `matches` needs to know of a device."""

    ext_id: str | None
    tokens: frozenset[str]
    tags: frozenset[str]
    profile: Mapping[str, Any]
    is_last_active: bool = True
    device_id: DeviceId = DeviceId(0)
    installation_id: str = ""
    place: Place | None = None


def matches(audience: Audience, candidate: Candidate) -> bool:
    """Whether a device belongs to an audience."""
    return (
        (audience.ext_ids is None or candidate.ext_id in audience.ext_ids)
        and (audience.device_tokens is None or not candidate.tokens.isdisjoint(audience.device_tokens))
        and (audience.tags is None or _tags_match(audience.tags, candidate.tags))
        and (audience.profile is None or _group_matches(audience.profile, candidate.profile))
        and (not audience.last_active_device or candidate.is_last_active)
        and (audience.installation_ids is None or candidate.installation_id in audience.installation_ids)
        and (audience.segments is None or _segments_match(audience.segments, candidate))
        and (audience.location is None or (candidate.place is not None and audience.location.holds(candidate.place)))
        and not (audience.exclude is not None and matches(audience.exclude, candidate))
        and (audience.rollout is None or audience.rollout.holds(candidate.device_id))
    )


def _segments_match(condition: SegmentCondition, candidate: Candidate) -> bool:
    return _combine(
        condition.quantifier,
        [one.audience is not None and matches(one.audience, candidate) for one in condition.segments],
    )


def _tags_match(condition: TagCondition, tags: frozenset[str]) -> bool:
    return _combine(condition.quantifier, [tag in tags for tag in condition.tags])


def _group_matches(group: ProfileGroup, profile: Mapping[str, Any]) -> bool:
    return _combine(
        group.quantifier,
        [
            _group_matches(item, profile) if isinstance(item, ProfileGroup) else _condition_matches(item, profile)
            for item in group.conditions
        ],
    )


def _condition_matches(condition: ProfileCondition, profile: Mapping[str, Any]) -> bool:
    present = profile.get(condition.attribute) is not None
    if condition.exists is not None:
        holds = present is condition.exists
    else:
        found = profile.get(condition.attribute)
        held = found if isinstance(found, list) else [found]
        holds = present and any(_same(one, value) for one in held for value in condition.values)
    return holds is not condition.negated


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    return isinstance(one, str) and one == other


def _combine(quantifier: Quantifier, results: Sequence[bool]) -> bool:
    match quantifier:
        case Quantifier.ANY:
            return any(results)
        case Quantifier.ALL:
            return all(results)
        case Quantifier.NONE:
            return not any(results)
