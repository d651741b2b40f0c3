"""`target` into an audience (netmera.md 5.2)."""

from skerry.api import conditions
from skerry.api.conditions import MOST_CONDITIONS, ConditionError
from skerry.api.rest3.errors import invalid, missing
from skerry.api.rest3.fields import Fields
from skerry.domain.audience import Audience, ProfileGroup, Quantifier
from skerry.domain.device import normal_token
from skerry.domain.location import Circle

MOST_IDS = 1000
_KNOWN = ("sendToAll", "tag", "segment", "profile", "location", "extId", "deviceToken", "pa", "email", "msisdn")


def audience(request: Fields) -> Audience:
    """The request's `target`. Whether its segments are known is for the service to say.

    Raises:
        Rest3Error: 400/2020 where it is missing or empty, 400/2004 where a member is malformed.
    """
    target = request.object("target")
    if target is None or not any(name in target for name in _KNOWN):
        raise missing(request.name("target"))
    for name in ("email", "msisdn"):
        if name in target:
            raise invalid(f"Field '{target.name(name)}' is not served as a target of Live Activities")
    everyone = target.boolean("sendToAll")
    if everyone is False and not any(name in target for name in _KNOWN[1:]):
        raise missing(request.name("target"))
    try:
        found = _audience(request, target, everyone=bool(everyone))
    except ConditionError as error:
        raise invalid(f"Field '{error.field}' should {error.should}") from error
    if len({*(found.ext_ids or ()), *(found.device_tokens or ())}) > MOST_IDS:
        raise invalid(f"Field '{request.name('target')}' should have at most {MOST_IDS} unique external ids or tokens")
    return found


def _audience(request: Fields, target: Fields, *, everyone: bool) -> Audience:
    def value(name: str) -> tuple[object, str]:
        return target.value(name), target.name(name)

    profile = [conditions.profile(*value(name)) for name in ("profile", "pa") if name in target]
    if conditions.conditions(profile) > MOST_CONDITIONS:
        raise ConditionError(target.name("profile"), f"have at most {MOST_CONDITIONS} conditions")
    return Audience(
        everyone=everyone,
        ext_ids=_ids(target, "extId"),
        device_tokens=_tokens(target),
        tags=conditions.tags(*value("tag")) if "tag" in target else None,
        profile=ProfileGroup(Quantifier.ALL, tuple(profile)) if profile else None,
        last_active_device=bool(request.boolean("lastActiveDevice") or target.boolean("lastActiveDevice")),
        segments=conditions.segments(*value("segment")) if "segment" in target else None,
        location=_location(target),
    )


def _location(target: Fields) -> Circle | None:
    location = target.object("location")
    if location is None:
        return None
    location.require("latitude", "longitude", "radius")
    return conditions.circle(target.value("location"), target.name("location"))


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
