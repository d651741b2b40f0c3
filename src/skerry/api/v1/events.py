"""`POST /v1/events`: what an installation of the app reports of itself."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from skerry.api import conditions
from skerry.api.conditions import ConditionError
from skerry.api.problems import FieldError, ProblemError
from skerry.api.rest3.fields import NUL, read_date
from skerry.domain.device import EVENT_NAMES, DeviceEvent, DeviceEventKind, DeviceReport, normal_token
from skerry.domain.ids import GroupId, Millis
from skerry.domain.languages import normal_tag
from skerry.domain.location import Location
from skerry.domain.push import Environment

MOST_EVENTS = 100
_ENVIRONMENTS = {
    "production": Environment.PRODUCTION,
    "prod": Environment.PRODUCTION,
    "sandbox": Environment.SANDBOX,
    "development": Environment.SANDBOX,
    "dev": Environment.SANDBOX,
}


def read_report(body: bytes, now: Callable[[], Millis]) -> tuple[DeviceReport, str | None]:
    """The report, and the token that proves its user where there is one.

    Raises:
        ProblemError: 400 where the body is not JSON, 422 naming the field otherwise.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(400, "Invalid JSON", f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _refused("body", "is not an object", "send a JSON object with installationId and events")
    location = _location(value, now)
    events = [] if location is not None and value.get("events") is None else value.get("events")
    if not isinstance(events, list) or len(events) > MOST_EVENTS or not (events or location is not None):
        raise _refused("events", "is not a list of 1 to 100 events", "send what has happened, oldest first")
    installation = _text(value, "installationId", most=128)
    if not installation:
        raise _refused("installationId", "is missing", "send an id that the app made at its first start and keeps")
    push_token = _text(value, "deviceToken", most=1024)
    report = DeviceReport(
        installation_id=installation,
        events=tuple(_event(one, f"events[{place}]", now) for place, one in enumerate(events)),
        secret=_text(value, "installationSecret", most=256),
        ext_id=_text(value, "extId", most=512),
        environment=_environment(value),
        platform=_text(value, "platform", most=32),
        os_version=_text(value, "osVersion", most=32),
        app_version=_text(value, "appVersion", most=64),
        model=_text(value, "deviceModel", most=64),
        push_token=_token(push_token, "deviceToken") if push_token else None,
        language=_language(value),
        location=location or None,
        forget_location=location is False,
    )
    return report, _text(value, "userToken", most=2048)


def _event(value: Any, path: str, now: Callable[[], Millis]) -> DeviceEvent:
    if not isinstance(value, dict):
        raise _refused(path, "is not an object", "send name, token or groupId, and time")
    name = _either(value, ("name", "code", "event"), path, most=64)
    kind = EVENT_NAMES.get(name or "")
    if kind is None:
        known = ", ".join(one for one in EVENT_NAMES if not one.startswith("n:"))
        raise _refused(f"{path}.name", f"is not an event: {name!r}", f"use one of {known}, or its code")
    group = _either(value, ("groupId", "group_id"), path, most=256)
    token = None
    if kind is not DeviceEventKind.CLOSE:
        text = _text(value, "token", path, most=1024)
        if not text:
            raise _refused(f"{path}.token", "is missing", "send the token in hexadecimal")
        token = _token(text, f"{path}.token")
    if kind is not DeviceEventKind.START_TOKEN and not group:
        raise _refused(f"{path}.groupId", "is missing", "send the id of the activity's group")
    return DeviceEvent(
        kind,
        _time(value, path, now),
        token=token,
        group_id=GroupId(group) if group and kind is not DeviceEventKind.START_TOKEN else None,
        attributes_type=_either(value, ("attributesType", "attributes_type"), path, most=256),
    )


def _location(value: dict[str, Any], now: Callable[[], Millis]) -> Location | Literal[False] | None:
    """Where the device is; False: it wants that forgotten; None: it says nothing."""
    found = value.get("location")
    if found is None or found is False:
        return found
    if not isinstance(found, dict):
        raise _refused(
            "location", "is not an object", "send latitude, longitude and time, or false to have it forgotten"
        )
    try:
        latitude = conditions.number(found.get("latitude"), "location.latitude", -90, 90)
        longitude = conditions.number(found.get("longitude"), "location.longitude", -180, 180)
    except ConditionError as error:
        raise _refused(error.field, "is not in degrees", f"it should {error.should}") from error
    return Location(latitude, longitude, _time(found, "location", now))


def _time(value: dict[str, Any], path: str, now: Callable[[], Millis]) -> Millis:
    """When it happened, by the device; a clock that runs ahead of ours is not believed."""
    found = next((value[name] for name in ("time", "ts", "timestamp") if value.get(name) is not None), None)
    if found is None:
        return now()
    moment = read_date(found)
    if moment is None:
        raise _refused(f"{path}.time", "is not a date", "send ISO 8601 such as 2026-01-11T09:21:37Z, or epoch seconds")
    return min(moment, now())


def _language(value: dict[str, Any]) -> str | None:
    text = _text(value, "language", most=64)
    if not text:
        return None
    found = normal_tag(text)
    if found is None:
        raise _refused("language", f"is {text!r}", "send a language tag, such as Locale.preferredLanguages has first")
    return found


def _environment(value: dict[str, Any]) -> Environment | None:
    text = _text(value, "environment", most=32)
    if text is None:
        return None
    found = _ENVIRONMENTS.get(text.lower())
    if found is None:
        raise _refused("environment", f"is {text!r}", "use production or sandbox")
    return found


def _token(text: str, path: str) -> str:
    token = normal_token(text)
    if token is None:
        raise _refused(path, "is not a token", "send 16 to 512 hexadecimal digits, an even number of them")
    return token


def _either(value: dict[str, Any], names: tuple[str, ...], path: str, *, most: int) -> str | None:
    return next((found for name in names if (found := _text(value, name, path, most=most)) is not None), None)


def _text(value: dict[str, Any], name: str, path: str = "", *, most: int) -> str | None:
    found = value.get(name)
    field = f"{path}.{name}" if path else name
    if found is None:
        return None
    if not isinstance(found, str) or NUL in found:
        raise _refused(field, "is not a text", "send a JSON string without U+0000")
    if len(found) > most:
        raise _refused(field, f"has more than {most} characters", "send a shorter one")
    return found


def _refused(field: str, what: str, fix: str) -> ProblemError:
    return ProblemError(422, "Unprocessable report", f"{field} {what}: {fix}", [FieldError(field, what, fix)])
