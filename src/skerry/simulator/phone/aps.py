"""The `aps` dictionary of a Live Activity push, read as strictly as the device reads it (apple.md 4.1)."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from skerry.simulator.phone.verdict import Dropped, Verdict

_RAW_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY = msgspec.json.Decoder()

_REMEMBERED_BODIES = 64
_MILLISECONDS_FROM = 100_000_000_000
"""A `timestamp` above this (the year 5138) was meant to be milliseconds."""


class Event(StrEnum):
    """What a push asks for."""

    START = "start"
    UPDATE = "update"
    END = "end"


_EVENTS = frozenset(event.value for event in Event)


@dataclass(frozen=True, slots=True)
class LiveActivityPush:
    """A push that could be read. JSON texts are kept as sent: `0.5` stays `0.5`, `1` stays `1`."""

    event: Event
    timestamp: float
    """UNIX seconds as the sender stamped them."""
    content_state: bytes | None = None
    attributes_type: str | None = None
    attributes: bytes | None = None
    alert: dict[str, Any] | None = None
    alert_problem: str | None = None
    """Why an alert that is there does not count as one."""
    stale_date: float | None = None
    dismissal_date: float | None = None
    relevance_score: float | None = None
    input_push_token: bool = False
    input_push_channel: str | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What looks wrong although the device takes it."""
        if self.timestamp >= _MILLISECONDS_FROM:
            return ("aps.timestamp looks like milliseconds; pushes stamped in UNIX seconds will be dropped as older",)
        return ()


@dataclass(frozen=True, slots=True)
class UnreadablePush:
    """A push that could not be read, with what could be made out of it for the record."""

    dropped: Dropped
    event: str | None = None
    timestamp: float | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """None: what is wrong is in `dropped`."""
        return ()


@lru_cache(maxsize=_REMEMBERED_BODIES)
def read_push(body: bytes) -> LiveActivityPush | UnreadablePush:
    """Read a payload. Never raises. Remembered: a fan-out brings one body to a hundred thousand phones."""
    event: object = None
    timestamp: float | None = None
    try:
        aps = _members(_members(body, "the payload").get("aps"), "aps")
        event = _value(aps, "event")
        timestamp = _number(aps, "timestamp")
        return _push(aps, event, timestamp)
    except _UnreadableError as error:
        return UnreadablePush(error.dropped, event if isinstance(event, str) else None, timestamp)


class _UnreadableError(Exception):
    def __init__(self, verdict: Verdict, why: str) -> None:
        super().__init__(why)
        self.dropped = Dropped(verdict, why)


def _push(aps: dict[str, msgspec.Raw], event: object, timestamp: float | None) -> LiveActivityPush:
    if not isinstance(event, str) or event not in _EVENTS:
        raise _UnreadableError(
            Verdict.UNKNOWN_EVENT, f"aps.event is {event!r}; it must be 'start', 'update' or 'end' in lower case"
        )
    if timestamp is None:
        raise _UnreadableError(Verdict.MISSING_TIMESTAMP, "aps.timestamp is missing; it must be UNIX seconds")
    alert, alert_problem = _alert(aps)
    return LiveActivityPush(
        event=Event(event),
        timestamp=timestamp,
        content_state=_text(aps, "content-state"),
        attributes_type=_string(aps, "attributes-type"),
        attributes=_text(aps, "attributes"),
        alert=alert,
        alert_problem=alert_problem,
        stale_date=_number(aps, "stale-date"),
        dismissal_date=_number(aps, "dismissal-date"),
        relevance_score=_number(aps, "relevance-score"),
        input_push_token=bool(_number(aps, "input-push-token", booleans=True)),
        input_push_channel=_string(aps, "input-push-channel"),
    )


def _members(text: bytes | msgspec.Raw | None, name: str) -> dict[str, msgspec.Raw]:
    if text is None:
        raise _UnreadableError(Verdict.MALFORMED_PAYLOAD, f"{name} is missing")
    try:
        return _RAW_MEMBERS.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _UnreadableError(Verdict.MALFORMED_PAYLOAD, f"{name} is not a JSON object: {error}") from None


def _text(aps: dict[str, msgspec.Raw], key: str) -> bytes | None:
    return bytes(aps[key]) if key in aps else None


def _value(aps: dict[str, msgspec.Raw], key: str) -> Any:
    if key not in aps:
        return None
    try:
        return _ANY.decode(aps[key])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _UnreadableError(Verdict.MALFORMED_PAYLOAD, f"aps.{key} cannot be read: {error}") from None


def _number(aps: dict[str, msgspec.Raw], key: str, *, booleans: bool = False) -> float | None:
    value = _value(aps, key)
    if value is None:
        return None
    if not isinstance(value, (int, float)) or (isinstance(value, bool) and not booleans):
        raise _UnreadableError(Verdict.MALFORMED_PAYLOAD, f"aps.{key} is {value!r}; it must be a number")
    return value


def _string(aps: dict[str, msgspec.Raw], key: str) -> str | None:
    value = _value(aps, key)
    if value is not None and not isinstance(value, str):
        raise _UnreadableError(Verdict.MALFORMED_PAYLOAD, f"aps.{key} is {value!r}; it must be a string")
    return value


def _alert(aps: dict[str, msgspec.Raw]) -> tuple[dict[str, Any] | None, str | None]:
    """The alert, or what is wrong with it. Empty strings are a silent alert; neither title nor body is none (4.2)."""
    if "alert" not in aps:
        return None, "aps.alert is missing"
    alert = _value(aps, "alert")
    if not isinstance(alert, dict):
        return None, "aps.alert must be an object with title and body"
    texts = {key: alert[key] for key in ("title", "body") if key in alert}
    if not texts:
        return None, "aps.alert has neither title nor body"
    for key, text in texts.items():
        if not isinstance(text, str) and not (isinstance(text, dict) and isinstance(text.get("loc-key"), str)):
            return None, f"aps.alert.{key} must be a string or an object with loc-key"
    return alert, None
