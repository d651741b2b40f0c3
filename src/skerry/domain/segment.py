"""Segments: audiences stored under a name, and what a name stands for when an audience is used.

When a name is looked up. A start that is sent once is spread out over minutes, and its segments are looked up once,
when the command is accepted: what was answered is what is carried out, whatever is stored under the name meanwhile.
Who *belongs* to the segment is asked of the store slice by slice, as for every other condition. An audience that
stays (a live one, which devices join later) keeps its names, and each joining device is judged by what they mean
then; where one has gone, nobody joins, since "not in vip" must not come to mean everyone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from skerry.domain.audience import Audience, ProfileGroup, Quantifier, Segment, SegmentCondition
from skerry.domain.errors import RefusedError
from skerry.domain.ids import Millis
from skerry.domain.user import UserContact

MOST_CONDITIONS = 200
"""Of an audience with all its segments. SQLite takes expressions up to a depth of 1000, and a chain of ANDs is as deep
as long."""

MOST_LEVELS = 8
"""Of segments that are made of segments."""


MOST_SEGMENTS = 1_000
"""Of an app."""

_TOO_MANY = (
    f"with its segments the audience has more than {MOST_CONDITIONS} conditions, which is the most: put what many of"
    " them have in common into a tag"
)


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A segment as it is kept: its `audience` names other segments without what they stand for."""

    segment_id: int
    name: str
    audience: Audience
    created_at: Millis
    updated_at: Millis


@dataclass(frozen=True, slots=True)
class SegmentSize:
    """A segment, and how many users have a device in it."""

    segment_id: int
    name: str
    users: int


@dataclass(frozen=True, slots=True)
class SegmentUsers:
    """Some of a segment's users; `more`: there are others behind them."""

    name: str
    users: tuple[UserContact, ...]
    more: bool


class UnknownSegmentError(RefusedError):
    """No segment of the app has this name."""

    code = "segment_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"no segment is called {name!r}: store it first, or correct the name")
        self.name = name


class SegmentCycleError(RefusedError):
    """A segment would be made of itself."""

    code = "segment_cycle"

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(f"segments cannot be made of themselves: {' → '.join(names)}; take one of these steps out")
        self.names = names


class SegmentInUseError(RefusedError):
    """Other segments are made of this one."""

    def __init__(self, name: str, users: tuple[str, ...]) -> None:
        super().__init__(f"{name!r} is part of {', '.join(map(repr, users))}: change or delete what uses it first")
        self.name = name
        self.users = users


class TooManySegmentsError(RefusedError):
    """The app has as many segments as it may have."""

    def __init__(self) -> None:
        super().__init__(f"an app may have {MOST_SEGMENTS} segments: delete those that nobody uses")


class AudienceTooComplexError(RefusedError):
    """An audience has more conditions, or levels of segments, than a database can be asked for."""

    code = "audience_too_complex"


def resolved(audience: Audience, find: Callable[[str], Audience | None], salt: str = "") -> Audience:
    """The audience with what its segments stand for, and with `salt` for a rollout that has none of its own.

    Raises:
        UnknownSegmentError: if `find` does not know a name.
        SegmentCycleError: if a segment leads back to itself.
        AudienceTooComplexError: if it has more than `MOST_CONDITIONS` conditions or `MOST_LEVELS` levels of segments.
    """
    found = _LookUp(find).audience(audience, ())
    if conditions(found) > MOST_CONDITIONS:
        raise AudienceTooComplexError(_TOO_MANY)
    return salted(found, salt)


def salted(audience: Audience, salt: str) -> Audience:
    """The audience with this salt for its rollout, where that has none."""
    if audience.rollout is None or audience.rollout.salt is not None:
        return audience
    return replace(audience, rollout=replace(audience.rollout, salt=salt))


def using(name: str, segments: Mapping[str, Audience]) -> list[str]:
    """The segments that are made of this one, directly or through others; in the order of `segments`."""
    found = {name}
    grown = 0
    while len(found) > grown:
        grown = len(found)
        found |= {one for one, audience in segments.items() if not found.isdisjoint(names(audience))}
    return [one for one in segments if one in found and one != name]


def names(audience: Audience) -> frozenset[str]:
    """The segments that the audience names itself."""
    own = audience.segments.segments if audience.segments is not None else ()
    excluded = names(audience.exclude) if audience.exclude is not None else frozenset()
    return excluded | {one.name for one in own}


def conditions(audience: Audience) -> int:
    """How many conditions the database will be asked to combine."""
    tags = audience.tags
    count = 1
    if tags is not None:
        count += len(tags.tags) if tags.quantifier is Quantifier.ALL else 1
    if audience.profile is not None:
        count += _profile_conditions(audience.profile)
    if audience.segments is not None:
        count += sum(conditions(one.audience) for one in audience.segments.segments if one.audience is not None)
    if audience.exclude is not None:
        count += conditions(audience.exclude)
    return count


def _profile_conditions(group: ProfileGroup) -> int:
    return sum(_profile_conditions(one) if isinstance(one, ProfileGroup) else 1 for one in group.conditions)


class _LookUp:
    """One audience's segments; `left` keeps a segment that names many that name many from growing without end."""

    def __init__(self, find: Callable[[str], Audience | None]) -> None:
        self._find = find
        self._left = MOST_CONDITIONS

    def audience(self, audience: Audience, within: tuple[str, ...]) -> Audience:
        if not names(audience):
            return audience
        condition, exclude = audience.segments, audience.exclude
        if condition is not None:
            found = tuple(self._segment(one.name, within) for one in condition.segments)
            condition = SegmentCondition(condition.quantifier, found)
        if exclude is not None:
            exclude = self.audience(exclude, within)
        return replace(audience, segments=condition, exclude=exclude)

    def _segment(self, name: str, within: tuple[str, ...]) -> Segment:
        if name in within:
            raise SegmentCycleError((*within[within.index(name) :], name))
        if len(within) >= MOST_LEVELS:
            raise AudienceTooComplexError(
                f"segments may be nested {MOST_LEVELS} levels deep, and {' → '.join((*within, name))} is deeper"
            )
        self._left -= 1
        if self._left < 0:
            raise AudienceTooComplexError(_TOO_MANY)
        audience = self._find(name)
        if audience is None:
            raise UnknownSegmentError(name)
        return Segment(name, salted(self.audience(audience, (*within, name)), name))
