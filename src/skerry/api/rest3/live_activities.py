"""Start, define, send, update, end: the five calls that carry Live Activities (netmera.md section 5)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import structlog

from skerry.api.rest3.errors import invalid, missing
from skerry.api.rest3.fields import Fields, scalar_texts
from skerry.api.rest3.targets import MOST_IDS, audience
from skerry.domain import personal
from skerry.domain.activity import End, Update
from skerry.domain.commands import BulkStart, Idempotency, Pace, Send, Template, Wording
from skerry.domain.errors import FieldRefusedError
from skerry.domain.ids import GroupId, Millis, NotificationKey, Seconds
from skerry.domain.languages import DEFAULT, MOST_LANGUAGES, normal_tag

LIVE_ACTIVITY = "LIVE_ACTIVITY"
MOST_GROUP_ID = 256
_LARGEST_KEY = 2**63 - 1

Clock = Callable[[], Millis]

log = structlog.get_logger()


def bulk_start(request: Fields, idempotency: Idempotency | None, timezone: str, now: Clock) -> BulkStart:
    """`sendBulkNotification`."""
    request.require("message")
    message = request.object("message")
    if message is None:  # pragma: no cover - required above
        raise missing("message")
    _require_live_activity(request, message)
    template = _template(message, _required_text(message, "title"), _required_text(message, "text"), now, outer=request)
    return BulkStart(template, audience(request), _pace(request, timezone, now), idempotency)


def definition(request: Fields, now: Clock) -> Template:
    """`createNotificationDefinition`: everything at the root, or under `message`."""
    nested = (request.raw("message") or b"").startswith(b"{")
    source = request.object("message") if nested else request
    if source is None:  # pragma: no cover - it begins with a brace
        raise missing("message")
    title = _required_text(source, "title")
    text = _required_text(source, "text" if nested else "message")
    _require_live_activity(request, source)
    return _template(source, title, text, now, outer=request)


def sends(request: bytes, *, strict_key: bool, now: Clock) -> list[Send]:
    """`sendNotification`: one object or an array of objects; all are read before any is carried out."""
    if request.lstrip().startswith(b"["):
        entries = [bytes(one) for one in msgspec.json.decode(request, type=list[msgspec.Raw])]
        if not entries:
            raise missing("notificationKey")
        for entry in entries:
            if not entry.startswith(b"{"):
                raise invalid("Request should be an object or a list of objects")
        if len(entries) > MOST_IDS:
            raise invalid(f"Request should have at most {MOST_IDS} entries")
    else:
        entries = [request]
    found = [_send(Fields(entry), strict_key=strict_key, now=now) for entry in entries]
    wanted = {name for send in found for name in (*(send.audience.ext_ids or ()), *(send.audience.device_tokens or ()))}
    if len(wanted) > MOST_IDS:
        raise invalid(f"Request should have at most {MOST_IDS} unique external ids or tokens in all its entries")
    return found


def revision(request: Fields) -> tuple[GroupId, Update | End]:
    """`update-live-activity`. `staleDate` counts on UPDATE, `dismissalDate` on END; elsewhere they are ignored.

    Both may lie in the past: the card is stale, or leaves the Lock Screen, at once (netmera.md Q10).
    """
    request.require("groupId", "action")
    group_id = GroupId(request.required_text("groupId", most=MOST_GROUP_ID))
    action = request.required_text("action").upper()
    if action not in ("UPDATE", "END"):
        raise invalid("Field 'action' should be UPDATE or END")
    if action == "UPDATE":
        request.require("contentState")
    state = _form(request, "contentState")
    priority = _priority(request) or 10
    alert = _alert(request)
    if action == "UPDATE":
        _ignore(request, "dismissalDate")
        return group_id, Update(state or b"{}", priority, _seconds(request.date("staleDate")), alert)
    _ignore(request, "staleDate")
    return group_id, End(state, priority, _seconds(request.date("dismissalDate")), alert)


def _template(message: Fields, title: str, text: str, now: Clock, *, outer: Fields) -> Template:
    _require_ios(message)
    _ignore(message, "staleDate", "dismissalDate")
    message.require("contentState", "liveActAttr", "liveActAttrType")
    state, attributes = _form(message, "contentState"), _form(message, "liveActAttr")
    ends_at = message.date("liveActEndDate")
    _require_future(message, "liveActEndDate", ends_at, now)
    group = message.text("groupId", most=MOST_GROUP_ID) or outer.text("groupId", most=MOST_GROUP_ID)
    return Template(
        title=title,
        text=text,
        attributes_type=message.required_text("liveActAttrType", most=MOST_GROUP_ID),
        attributes=attributes or b"{}",
        state=state or b"{}",
        alert_title=_alert_title(message),
        group_id=GroupId(group) if group else None,
        ends_at=_seconds(ends_at),
        priority=_priority(message) or 10,
        params=_params(message),
        languages=_languages(outer),
    )


def _send(entry: Fields, *, strict_key: bool, now: Clock) -> Send:
    entry.require("notificationKey")
    key = _key(entry, strict=strict_key)
    over = entry.object("message")
    whom = audience(entry)
    if over is None:
        group = entry.text("groupId", most=MOST_GROUP_ID)
        return Send(key, whom, group_id=GroupId(group) if group else None, params=_params(entry))
    _ignore(over, "staleDate", "dismissalDate")
    ends_at = over.date("liveActEndDate")
    _require_future(over, "liveActEndDate", ends_at, now)
    group = over.text("groupId", most=MOST_GROUP_ID) or entry.text("groupId", most=MOST_GROUP_ID)
    return Send(
        notification_key=key,
        audience=whom,
        group_id=GroupId(group) if group else None,
        state=_form(over, "contentState"),
        attributes=_form(over, "liveActAttr"),
        ends_at=_seconds(ends_at),
        priority=_priority(over),
        params=_params(over),
        title=_text(over, "title"),
        text=_text(over, "text"),
        alert_title=_alert_title(over),
    )


def _key(entry: Fields, *, strict: bool) -> NotificationKey:
    value = entry.value("notificationKey")
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number: 9401.0 is 9401
    if isinstance(value, int) and not isinstance(value, bool) and not strict and 0 <= value <= _LARGEST_KEY:
        return NotificationKey(value)
    if not isinstance(value, str):
        raise invalid(f"Field '{entry.name('notificationKey')}' should be a text")
    digits = value.strip()
    if not digits:
        raise missing(entry.name("notificationKey"))
    if not (digits.isascii() and digits.isdigit()) or int(digits[:20]) > _LARGEST_KEY:
        # A key that is no number belongs to no definition: the answer is the one for unknown keys.
        return NotificationKey(0)
    return NotificationKey(int(digits))


def _require_live_activity(request: Fields, message: Fields) -> None:
    """A message is one where `type` says so or an attributes type is given (netmera.md 5.3)."""
    kind = request.text("type") or message.text("type")
    if kind != LIVE_ACTIVITY and "liveActAttrType" not in message:
        raise invalid(f"Field 'type' should be {LIVE_ACTIVITY}: other messages are not served")


def _require_ios(message: Fields) -> None:
    message.require("platforms")
    platforms = message.texts("platforms") or []
    if "IOS" not in {platform.upper() for platform in platforms}:
        raise invalid(f"Field '{message.name('platforms')}' should contain IOS")


def _ignore(source: Fields, *names: str) -> None:
    """Old integrations send dates where they mean nothing: worth a line in the log, not an error (netmera.md Q11)."""
    for name in names:
        if name in source:
            log.warning("field ignored", field=source.name(name))


def _require_future(source: Fields, name: str, moment: Millis | None, now: Clock) -> None:
    if moment is not None and moment <= now():
        raise invalid(f"Field '{source.name(name)}' should be a date in the future")


def _required_text(source: Fields, name: str) -> str:
    found = source.required_text(name)
    _check(msgspec.json.encode(found), source.name(name))
    return found


def _alert_title(message: Fields) -> str | None:
    """What the phone shows; `title` is the campaign's name (netmera.md 5.6)."""
    ios = message.object("ios")
    return None if ios is None else _text(ios, "title")


def _priority(source: Fields) -> int | None:
    value = source.value("priority")
    if value is None:
        return None
    if isinstance(value, bool) or value not in (5, 10):
        raise invalid(f"Field '{source.name('priority')}' should be 5 or 10")
    return int(value)


def _alert(request: Fields) -> bytes | None:
    """Our extension: an alert on updates and ends (netmera.md Q20)."""
    alert = request.object("alert")
    if alert is None:
        return None
    alert.require("title", "body")
    for name in ("title", "body"):
        said = alert.value(name)
        texts = said.values() if isinstance(said, dict) and DEFAULT in said else ()
        if not isinstance(said, str | dict) or not all(isinstance(one, str) for one in texts):
            raise invalid(f"Field '{alert.name(name)}' should be a text or an object with loc-key")
    return _form(request, "alert")


def _languages(request: Fields) -> dict[str, Wording]:
    """The alert in other languages, beside the message."""
    sent = request.object("languages")
    found: dict[str, Wording] = {}
    for name in () if sent is None else request.value("languages"):
        tag, wording = normal_tag(name), None if sent is None else sent.object(name)
        if tag is None:
            raise invalid(f"Field '{request.name('languages')}.{name}' should be named by a language tag such as tr")
        if wording is not None:
            title = _alert_title(wording) or _text(wording, "title")
            found[tag] = Wording(title, _text(wording, "text"))
    if len(found) > MOST_LANGUAGES:
        raise invalid(f"Field '{request.name('languages')}' should have at most {MOST_LANGUAGES} languages")
    return found


def _form(source: Fields, name: str) -> bytes | None:
    """An object that may have placeholders."""
    sent = source.object_bytes(name)
    _check(sent, source.name(name))
    return sent


def _text(source: Fields, name: str) -> str | None:
    """A text that may have placeholders."""
    found = source.text(name)
    _check(msgspec.json.encode(found), source.name(name))
    return found


def _check(sent: bytes | None, name: str) -> None:
    try:
        personal.check(sent, name)
    except FieldRefusedError as error:
        raise invalid(f"Field '{name}' should have placeholders such as @{{name}}, or @@{{ for the signs") from error


def _params(source: Fields) -> dict[str, str]:
    params: Any = source.value("params")
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise invalid(f"Field '{source.name('params')}' should be an object")
    return scalar_texts(params, source.name("params"))


def _pace(request: Fields, timezone: str, now: Clock) -> Pace:
    schedule, speed = request.object("schedule"), request.object("speed")
    begins = None
    if schedule is not None and "startTime" in schedule:
        begins = schedule.date("startTime")
        text = schedule.value("startTime")
        if isinstance(text, str) and begins is not None and datetime.fromisoformat(text.strip()).tzinfo is None:
            local = datetime.fromisoformat(text.strip()).replace(tzinfo=ZoneInfo(timezone))
            begins = Millis(int(local.timestamp() * 1000))
        begins = None if begins is not None and begins <= now() else begins
    if speed is None:
        return Pace(begins)
    minutes = speed.integer("intervalMins", 1, 1440)
    package = speed.integer("packageSize", 1, 10_000_000)
    if minutes is None or package is None:
        raise missing(speed.name("intervalMins" if minutes is None else "packageSize"))
    return Pace(begins, package, Millis(minutes * 60_000))


def _seconds(moment: Millis | None) -> Seconds | None:
    return None if moment is None else Seconds(moment // 1000)
