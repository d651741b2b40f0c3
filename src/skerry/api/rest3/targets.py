"""`target` into an audience (netmera.md 5.2)."""

from typing import Any

from skerry.api.rest3.errors import UNKNOWN_SEGMENT, Rest3Error, invalid, missing
from skerry.api.rest3.fields import Fields, is_scalar, storable
from skerry.domain.audience import Audience, ProfileCondition, ProfileGroup, Quantifier, TagCondition
from skerry.domain.device import normal_token

MOST_IDS = 1000
MOST_CONDITIONS = 200
MOST_LEVELS = 8
"""Of a profile condition. SQLite takes expressions up to a depth of 1000, and a chain of ANDs is as deep as long."""
_QUANTIFIERS = {"$or": Quantifier.ANY, "$and": Quantifier.ALL, "$not": Quantifier.NONE}
_KNOWN = ("sendToAll", "tag", "segment", "profile", "location", "extId", "deviceToken", "pa", "email", "msisdn")


def audience(request: Fields) -> Audience:
    """The request's `target`.

    Raises:
        Rest3Error: 400/2020 where it is missing or empty, 400/2004 where a member is malformed.
    """
    target = request.object("target")
    if target is None or not any(name in target for name in _KNOWN):
        raise missing(request.name("target"))
    for name in ("location", "email", "msisdn"):
        if name in target:
            raise invalid(f"Field '{target.name(name)}' is not served as a target of Live Activities")
    if "segment" in target:
        raise Rest3Error(UNKNOWN_SEGMENT)
    everyone = target.boolean("sendToAll")
    if everyone is False and not any(name in target for name in _KNOWN[1:]):
        raise missing(request.name("target"))
    profile = [_profile(target.value(name), target.name(name)) for name in ("profile", "pa") if name in target]
    if sum(map(_conditions, profile)) > MOST_CONDITIONS:
        raise invalid(f"Field '{target.name('profile')}' should have at most {MOST_CONDITIONS} conditions")
    found = Audience(
        everyone=bool(everyone),
        ext_ids=_ids(target, "extId"),
        device_tokens=_tokens(target),
        tags=_tags(target.value("tag"), target.name("tag")) if "tag" in target else None,
        profile=ProfileGroup(Quantifier.ALL, tuple(profile)) if profile else None,
        last_active_device=bool(request.boolean("lastActiveDevice") or target.boolean("lastActiveDevice")),
    )
    if len({*(found.ext_ids or ()), *(found.device_tokens or ())}) > MOST_IDS:
        raise invalid(f"Field '{request.name('target')}' should have at most {MOST_IDS} unique external ids or tokens")
    return found


def _ids(target: Fields, name: str) -> tuple[str, ...] | None:
    values = target.texts(name)
    if values is None:
        return None
    if not values or not all(values):
        raise missing(target.name(name))
    return tuple(dict.fromkeys(values))


def _tokens(target: Fields) -> tuple[str, ...] | None:
    values = _ids(target, "deviceToken")
    if values is None:
        return None
    tokens = [normal_token(value) for value in values]
    # A token that cannot be one matches nobody; like an unknown user it is skipped.
    return tuple(dict.fromkeys(token or "" for token in tokens))


def _tags(value: Any, path: str) -> TagCondition:
    if isinstance(value, dict):
        if len(value) != 1 or next(iter(value)) not in _QUANTIFIERS:
            raise invalid(f"Field '{path}' should be a text, a list of texts or one of $or, $and, $not")
        operator, value = next(iter(value.items()))
        return TagCondition(_QUANTIFIERS[operator], _texts(value, f"{path}.{operator}"))
    return TagCondition(Quantifier.ANY, _texts(value, path))


def _texts(value: Any, path: str) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(one, str) and one for one in values):
        raise invalid(f"Field '{path}' should be a text or a list of texts")
    return tuple(storable(one, path) for one in values)


def _conditions(group: ProfileGroup) -> int:
    return sum(_conditions(one) if isinstance(one, ProfileGroup) else 1 for one in group.conditions)


def _operands(value: Any, path: str, level: int) -> tuple[ProfileCondition | ProfileGroup, ...]:
    """What an operator combines: the members of an object, or the objects of a list."""
    if not isinstance(value, list):
        return _profile(value, path, level).conditions
    if not value:
        raise invalid(f"Field '{path}' should not be empty")
    return tuple(_profile(one, f"{path}[{place}]", level) for place, one in enumerate(value))


def _profile(value: Any, path: str, level: int = 1) -> ProfileGroup:
    if not isinstance(value, dict) or not value:
        raise invalid(f"Field '{path}' should be an object with at least one member")
    if level > MOST_LEVELS:
        raise invalid(f"Field '{path}' should not be nested deeper than {MOST_LEVELS} levels")
    conditions: list[ProfileCondition | ProfileGroup] = []
    for name, wanted in value.items():
        if name in _QUANTIFIERS:
            conditions.append(ProfileGroup(_QUANTIFIERS[name], _operands(wanted, f"{path}.{name}", level + 1)))
        elif name.startswith("$"):
            raise invalid(f"Field '{path}.{name}' is not an operator: use $or, $and or $not")
        else:
            conditions.append(_condition(storable(name, path), wanted, f"{path}.{name}"))
    return ProfileGroup(Quantifier.ALL, tuple(conditions))


def _condition(attribute: str, wanted: Any, path: str) -> ProfileCondition:
    negated = False
    if isinstance(wanted, dict):
        if set(wanted) == {"$exists"} and isinstance(wanted["$exists"], bool):
            return ProfileCondition(attribute, exists=wanted["$exists"])
        if set(wanted) != {"$not"}:
            raise invalid(f"Field '{path}' should be a value, a list of values, $not or $exists")
        negated, wanted = True, wanted["$not"]
    values = wanted if isinstance(wanted, list) else [wanted]
    if not values or not all(map(is_scalar, values)):
        raise invalid(f"Field '{path}' should be a text, a number of at most 64 bits, a boolean or a list of them")
    return ProfileCondition(attribute, tuple(values), negated=negated)
