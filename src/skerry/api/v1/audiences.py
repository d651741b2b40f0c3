"""`audience` of our own API, read and written.

    {"all": true}                            everyone
    {"users": ["u-1"]}                       devices of these users (`extId`)
    {"devices": ["8c1f…"]}                   these installations
    {"tags": …}                              "a" · ["a", "b"] (any) · {"$or" | "$and" | "$not": [..]}
    {"segment": …}                           the same, of stored audiences
    {"profile": {..}}                        attributes, as in the drop-in API
    {"location": {"latitude", "longitude", "radius"}}      degrees and kilometres
    {"exclude": {..}}                        whom not: an audience of the members above
    {"percent": 12.5, "salt": "spring"}      of those who are left, a share; `salt` draws it, or else the activity's id

Members are AND-ed, and one that is not known is an error: a condition that is overlooked would reach too many.
"""

from collections.abc import Mapping
from typing import Any

from skerry.api import conditions
from skerry.api.conditions import OPERATORS, ConditionError
from skerry.api.v1.reading import refused
from skerry.domain.audience import Audience, ProfileCondition, ProfileGroup, Quantifier
from skerry.domain.rollout import PARTS, Rollout

SELECTING = ("all", "users", "devices", "tags", "profile", "segment", "location")
MEMBERS = (*SELECTING, "exclude", "percent", "salt")
MOST_SALT = 256


def read_audience(value: Any, path: str) -> Audience:
    """The audience that a JSON value means. Whether its segments are known is for the service to say.

    Raises:
        ProblemError: 422, naming the field and the fix.
    """
    try:
        return _audience(value, path, MEMBERS)
    except ConditionError as error:
        raise refused(error.field, "is not what is asked for", f"it should {error.should}") from error


def write_audience(audience: Audience) -> dict[str, Any]:
    """The JSON that `read_audience` reads as this audience. What only the drop-in API can say is left out."""
    members: dict[str, Any] = {
        "all": True if audience.everyone else None,
        "users": _list(audience.ext_ids),
        "devices": _list(audience.installation_ids),
        "tags": audience.tags and _quantified(audience.tags.quantifier, audience.tags.tags),
        "profile": audience.profile and _group(audience.profile),
        "segment": audience.segments
        and _quantified(audience.segments.quantifier, tuple(one.name for one in audience.segments.segments)),
        "location": audience.location
        and {
            "latitude": audience.location.latitude,
            "longitude": audience.location.longitude,
            "radius": audience.location.radius,
        },
        "exclude": audience.exclude and write_audience(audience.exclude),
        "percent": audience.rollout and audience.rollout.share * 100 / PARTS,
        "salt": audience.rollout and audience.rollout.salt,
    }
    return {name: value for name, value in members.items() if value is not None}


def _audience(value: Any, path: str, known: tuple[str, ...]) -> Audience:
    if not isinstance(value, dict):
        raise ConditionError(path, f"be an object with at least one of {', '.join(SELECTING)}")
    members = {name: inner for name, inner in value.items() if inner is not None}
    for name in members:
        if name not in known:
            raise ConditionError(f"{path}.{name}", f"not be there: an audience has {', '.join(known)}")
    if not any(name in members for name in SELECTING):
        raise ConditionError(path, f"say whom it is for with at least one of {', '.join(SELECTING)}")
    if members.get("all", True) is not True:
        raise ConditionError(f"{path}.all", "be true, or not be there")
    read = _Members(members, path)
    return Audience(
        everyone="all" in members,
        ext_ids=read.one("users", conditions.texts),
        installation_ids=read.one("devices", conditions.texts),
        tags=read.one("tags", conditions.tags),
        profile=read.one("profile", conditions.profile),
        segments=read.one("segment", conditions.segments),
        location=read.one("location", _circle),
        exclude=read.one("exclude", lambda inner, at: _audience(inner, at, SELECTING)),
        rollout=_rollout(members, path),
    )


class _Members:
    """The members of an audience, and how to read one that is there."""

    def __init__(self, members: Mapping[str, Any], path: str) -> None:
        self._members = members
        self._path = path

    def one(self, name: str, reader: Any) -> Any:
        return reader(self._members[name], f"{self._path}.{name}") if name in self._members else None


def _circle(value: Any, path: str) -> Any:
    known = ("latitude", "longitude", "radius")
    for name in value if isinstance(value, dict) else ():
        if name not in known:
            raise ConditionError(f"{path}.{name}", f"not be there: a location has {', '.join(known)}")
    return conditions.circle(value, path)


def _rollout(members: Mapping[str, Any], path: str) -> Rollout | None:
    salt = conditions.text(members["salt"], f"{path}.salt", most=MOST_SALT) if "salt" in members else None
    if "percent" not in members:
        if salt is not None:
            raise ConditionError(f"{path}.salt", "not be there without percent, which it draws")
        return None
    percent = conditions.number(members["percent"], f"{path}.percent", 0, 100)
    share = round(percent * PARTS / 100)
    if abs(share - percent * PARTS / 100) > 1e-6:  # noqa: PLR2004 - what decimals lose as floats
        raise ConditionError(f"{path}.percent", "have at most two decimals")
    return Rollout(share, salt)


def _list(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)


def _quantified(quantifier: Quantifier, names: tuple[str, ...]) -> Any:
    return list(names) if quantifier is Quantifier.ANY else {OPERATORS[quantifier]: list(names)}


def _group(group: ProfileGroup) -> dict[str, Any]:
    """As an object where the group is a conjunction of different members, else as its operator over them."""
    if group.quantifier is Quantifier.ALL and _are_different(group):
        return _members(group)
    return {OPERATORS[group.quantifier]: _operands(group)}


def _operands(group: ProfileGroup) -> Any:
    """As the members of an object, or, where two would have one name, as a list of objects."""
    return _members(group) if _are_different(group) else [_object(one) for one in group.conditions]


def _members(group: ProfileGroup) -> dict[str, Any]:
    return {_name(one): _value(one) for one in group.conditions}


def _object(one: ProfileCondition | ProfileGroup) -> dict[str, Any]:
    return _group(one) if isinstance(one, ProfileGroup) else {_name(one): _value(one)}


def _are_different(group: ProfileGroup) -> bool:
    return len({_name(one) for one in group.conditions}) == len(group.conditions)


def _name(one: ProfileCondition | ProfileGroup) -> str:
    return OPERATORS[one.quantifier] if isinstance(one, ProfileGroup) else one.attribute


def _value(one: ProfileCondition | ProfileGroup) -> Any:
    if isinstance(one, ProfileGroup):
        return _operands(one)
    if one.exists is not None:
        return {"$exists": one.exists is not one.negated}
    values = list(one.values)
    return {"$not": values} if one.negated else values
