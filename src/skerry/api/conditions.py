"""The conditions that both APIs know: tags, segments, profile attributes and places (netmera.md 5.2).

Each reader takes a JSON value and the path to it, and raises one kind of error, which either API puts into its own
words.
"""

import math
from collections.abc import Iterable
from typing import Any

from skerry.api.rest3.fields import MOST_TEXT, NUL, is_scalar
from skerry.domain.audience import (
    ProfileCondition,
    ProfileGroup,
    Quantifier,
    Segment,
    SegmentCondition,
    TagCondition,
)
from skerry.domain.location import LARGEST_RADIUS, Circle

MOST_CONDITIONS = 200
MOST_LEVELS = 8
"""Of a profile condition. SQLite takes expressions up to a depth of 1000, and a chain of ANDs is as deep as long."""
MOST_NAMES = 1_000
_QUANTIFIERS = {"$or": Quantifier.ANY, "$and": Quantifier.ALL, "$not": Quantifier.NONE}
OPERATORS = {quantifier: operator for operator, quantifier in _QUANTIFIERS.items()}


class ConditionError(Exception):
    """A value is not what its place asks for; `should` says what it should be or have."""

    def __init__(self, field: str, should: str) -> None:
        super().__init__(f"{field} should {should}")
        self.field = field
        self.should = should


def text(value: Any, path: str, *, most: int = MOST_TEXT) -> str:
    """A text that is not empty, and that any store can hold and find again."""
    if not isinstance(value, str) or not value:
        raise ConditionError(path, "be a text that is not empty")
    _storable(value, path, most)
    return value


def texts(value: Any, path: str) -> tuple[str, ...]:
    """A text or a list of texts, each once."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(one, str) and one for one in values):
        raise ConditionError(path, "be a text or a list of texts")
    for one in values:
        _storable(one, path, MOST_TEXT)
    found = tuple(dict.fromkeys(values))
    if len(found) > MOST_NAMES:
        raise ConditionError(path, f"have at most {MOST_NAMES} different texts")
    return found


def tags(value: Any, path: str) -> TagCondition:
    """`"a"`, `["a", "b"]`, or one of `$or`, `$and` and `$not` of these."""
    return TagCondition(*_quantified(value, path))


def segments(value: Any, path: str) -> SegmentCondition:
    """The same, of segments."""
    quantifier, names = _quantified(value, path)
    return SegmentCondition(quantifier, tuple(map(Segment, names)))


def profile(value: Any, path: str) -> ProfileGroup:
    """An object of attributes and operators, AND-ed."""
    found = _profile(value, path, 1)
    if conditions((found,)) > MOST_CONDITIONS:
        raise ConditionError(path, f"have at most {MOST_CONDITIONS} conditions")
    return found


def conditions(groups: Iterable[ProfileCondition | ProfileGroup]) -> int:
    """How many conditions there are in groups."""
    return sum(conditions(one.conditions) if isinstance(one, ProfileGroup) else 1 for one in groups)


def circle(value: Any, path: str) -> Circle:
    """`latitude`, `longitude` in degrees and `radius` in kilometres, all three."""
    if not isinstance(value, dict):
        raise ConditionError(path, "be an object with latitude, longitude and radius")
    for name in ("latitude", "longitude", "radius"):
        if value.get(name) is None:
            raise ConditionError(f"{path}.{name}", "be there: latitude, longitude and radius are all required")
    return Circle(
        number(value["latitude"], f"{path}.latitude", -90, 90),
        number(value["longitude"], f"{path}.longitude", -180, 180),
        number(value["radius"], f"{path}.radius", 0, LARGEST_RADIUS, above=True),
    )


def number(value: Any, path: str, low: float, high: float, *, above: bool = False) -> float:
    """A number within bounds; `above`: and not the lower one."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= value <= high or (above and value == low):
        bounds = f"above {low} and at most {high:g}" if above else f"between {low} and {high}"
        raise ConditionError(path, f"be a number {bounds}")
    return float(value)


def _quantified(value: Any, path: str) -> tuple[Quantifier, tuple[str, ...]]:
    if isinstance(value, dict):
        if len(value) != 1 or next(iter(value)) not in _QUANTIFIERS:
            raise ConditionError(path, "be a text, a list of texts or one of $or, $and, $not")
        operator, value = next(iter(value.items()))
        return _QUANTIFIERS[operator], texts(value, f"{path}.{operator}")
    return Quantifier.ANY, texts(value, path)


def _operands(value: Any, path: str, level: int) -> tuple[ProfileCondition | ProfileGroup, ...]:
    """What an operator combines: the members of an object, or the objects of a list."""
    if not isinstance(value, list):
        return _profile(value, path, level).conditions
    if not value:
        raise ConditionError(path, "not be empty")
    return tuple(_profile(one, f"{path}[{place}]", level) for place, one in enumerate(value))


def _profile(value: Any, path: str, level: int) -> ProfileGroup:
    if not isinstance(value, dict) or not value:
        raise ConditionError(path, "be an object with at least one member")
    if level > MOST_LEVELS:
        raise ConditionError(path, f"not be nested deeper than {MOST_LEVELS} levels")
    found: list[ProfileCondition | ProfileGroup] = []
    for name, wanted in value.items():
        if name in _QUANTIFIERS:
            found.append(ProfileGroup(_QUANTIFIERS[name], _operands(wanted, f"{path}.{name}", level + 1)))
        elif name.startswith("$"):
            raise ConditionError(f"{path}.{name}", "be one of the operators $or, $and and $not")
        else:
            _storable(name, path, MOST_TEXT)
            found.append(_condition(name, wanted, f"{path}.{name}"))
    return ProfileGroup(Quantifier.ALL, tuple(found))


def _condition(attribute: str, wanted: Any, path: str) -> ProfileCondition:
    negated = False
    if isinstance(wanted, dict):
        if set(wanted) == {"$exists"} and isinstance(wanted["$exists"], bool):
            return ProfileCondition(attribute, exists=wanted["$exists"])
        if set(wanted) != {"$not"}:
            raise ConditionError(path, "be a value, a list of values, $not or $exists")
        negated, wanted = True, wanted["$not"]
    values = wanted if isinstance(wanted, list) else [wanted]
    if not values or not all(map(is_scalar, values)):
        raise ConditionError(path, "be a text, a number of at most 64 bits, a boolean or a list of them")
    return ProfileCondition(attribute, tuple(values), negated=negated)


def _storable(value: str, path: str, most: int) -> None:
    if len(value) > most:
        raise ConditionError(path, f"have at most {most} characters")
    if NUL in value:
        raise ConditionError(path, "be a text without U+0000")
