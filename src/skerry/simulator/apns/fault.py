"""The faults of a chaos plan as values, and their reading from JSON with an error that names the field."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from skerry.simulator.apns.reasons import STATUS

_EVENTS = ("start", "update", "end")
_INTERNAL_ERROR = 2
_MAX_ERROR_CODE = 2**32 - 1
_STATUS_RANGE = (200, 599)
_MAX_SHOWN = 80

_Fault = TypeVar("_Fault")


class ChaosError(ValueError):
    """A plan that cannot be: the message names the field and what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which requests a fault hits."""

    share: float = 1.0
    """From 0 to 1, drawn per request that matches the rest."""
    event: str | None = None
    """Only requests with this `aps.event`."""
    token: str | None = None
    """Only requests to this device token."""
    times: int | None = None
    """At most so many requests; None: no end."""

    def matches(self, event: str | None, token: str | None) -> bool:
        """Whether a request is one that this fault may hit."""
        return (self.event is None or self.event == event) and (self.token is None or self.token == token)

    def as_dict(self) -> dict[str, Any]:
        """As in the plan, without what is left at its default."""
        optional = {"event": self.event, "token": self.token, "times": self.times}
        return {"share": self.share, **{key: value for key, value in optional.items() if value is not None}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Selector):
    """RST_STREAM with a code."""

    code: int = _INTERNAL_ERROR

    def as_dict(self) -> dict[str, Any]:
        """As in the plan."""
        return {**Selector.as_dict(self), "code": self.code}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection(Selector):
    """A scripted answer to a request that would have been accepted."""

    reason: str
    status: int
    timestamp: int | str | None = None
    retry_after_s: int | None = None
    body: str | None = None
    """Sent as it is instead of Apple's JSON: for odd replies."""

    def as_dict(self) -> dict[str, Any]:
        """As in the plan, without what is left at its default."""
        optional = {"timestamp": self.timestamp, "retry_after_s": self.retry_after_s, "body": self.body}
        return {
            **Selector.as_dict(self),
            "reason": self.reason,
            "status": self.status,
            **{key: value for key, value in optional.items() if value is not None},
        }


@dataclass(frozen=True, slots=True)
class Latency:
    """Real milliseconds between a request's arrival and the moment that APNs looks at it."""

    minimum: float = 0.0
    maximum: float = 0.0

    def as_dict(self) -> float | dict[str, float]:
        """A number where it is fixed, `{"min", "max"}` otherwise."""
        return self.minimum if self.minimum == self.maximum else {"min": self.minimum, "max": self.maximum}


NO_LATENCY = Latency()


@dataclass(frozen=True, slots=True)
class CloseAfter:
    """Drop the TCP connection after so many requests on it; what waits for its answer then gets none."""

    requests: int
    mode: str = "eof"
    """`eof`: TLS close_notify and FIN. `rst`: a TCP reset."""

    def as_dict(self) -> dict[str, Any]:
        """As in the plan."""
        return {"requests": self.requests, "mode": self.mode}


@dataclass(frozen=True, slots=True)
class Window:
    """How much body the sender may send."""

    stream: int | None = None
    """SETTINGS_INITIAL_WINDOW_SIZE; None: Apple's 65,535. A smaller one is announced to new connections only."""
    connection: int | None = None
    """The connection's window; HTTP/2 starts it at 65,535 and can only widen it."""
    withhold: bool = False
    """Give no credit back: the connection stalls once its window is used up."""

    def as_dict(self) -> dict[str, Any]:
        """As in the plan."""
        return {"stream": self.stream, "connection": self.connection, "withhold": self.withhold}


FULL_WINDOW = Window()


class Fields:
    """A JSON object of the plan, read field by field; what is left over at the end is an error.

    Args:
        value: what was sent.
        where: the path of this object in the plan, "" for the plan itself.
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise ChaosError(f"{where or 'the plan'} must be an object, not {_shown(value)}")
        self._left = dict(value)
        self._where = where

    def name(self, key: str) -> str:
        """A field's full path, for messages."""
        return f"{self._where}.{key}" if self._where else key

    def take(self, key: str) -> Any:
        """A field's value as it was sent; None where it is absent or null."""
        return self._left.pop(key, None)

    def number(self, key: str, default: float | None, low: float, high: float | None = None) -> float | None:
        """A number within bounds."""
        value = self.take(key)
        if value is None:
            return default
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not low <= value <= (float("inf") if high is None else high):
            raise ChaosError(f"{self.name(key)} must be a number {_bounds(low, high)}, not {_shown(value)}")
        return float(value)

    def whole(self, key: str, default: int | None, low: int, high: int | None = None) -> int | None:
        """A whole number within bounds."""
        value = self.take(key)
        if value is None:
            return default
        good = isinstance(value, int) and not isinstance(value, bool)
        if not good or value < low or (high is not None and value > high):
            raise ChaosError(f"{self.name(key)} must be a whole number {_bounds(low, high)}, not {_shown(value)}")
        return int(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ChaosError(f"{self.name(key)} must be true or false, not {_shown(value)}")
        return value

    def text(self, key: str, choices: tuple[str, ...] | None = None) -> str | None:
        """A string, or one of a few."""
        value = self.take(key)
        if value is None or (isinstance(value, str) and (choices is None or value in choices)):
            return value
        expected = "a string" if choices is None else f"one of {', '.join(choices)}"
        raise ChaosError(f"{self.name(key)} must be {expected}, not {_shown(value)}")

    def finish(self) -> None:
        """Complain of what nobody asked for: a mistyped fault would otherwise be a calm test that proves nothing."""
        if self._left:
            unknown = ", ".join(sorted(self.name(str(key)) for key in self._left))
            raise ChaosError(f"unknown field {unknown}: see GET /simulator/chaos for the fields there are")


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _bounds(low: float, high: float | None) -> str:
    return f"of {low:g} or more" if high is None else f"from {low:g} to {high:g}"


def _selecting(value: object, where: str) -> Fields:
    return Fields(value if isinstance(value, Mapping) else {"share": value}, where)


def _selection(fields: Fields) -> dict[str, Any]:
    """The fields of `Selector`, ready to be its arguments."""
    share = fields.number("share", 1.0, 0.0, 1.0)
    token = fields.text("token")
    return {
        "share": 1.0 if share is None else share,
        "event": fields.text("event", _EVENTS),
        "token": None if token is None else token.lower(),
        "times": fields.whole("times", None, 1),
    }


def read_selector(value: object, where: str) -> Selector:
    """A share from 0 to 1, or `{"share", "event", "token", "times"}`."""
    fields = _selecting(value, where)
    selector = Selector(**_selection(fields))
    fields.finish()
    return selector


def read_reset(value: object, where: str) -> Reset:
    """A share, or a selector with `code` (an HTTP/2 error code; 2, INTERNAL_ERROR, by default)."""
    fields = _selecting(value, where)
    selection = _selection(fields)
    code = fields.whole("code", _INTERNAL_ERROR, 0, _MAX_ERROR_CODE)
    fields.finish()
    return Reset(**selection, code=_INTERNAL_ERROR if code is None else code)


def read_rejection(value: object, where: str) -> Rejection:
    """A selector with `reason`, and `status` where the reason is none of Apple's."""
    fields = Fields(value, where)
    selection = _selection(fields)
    reason = fields.text("reason")
    if not reason:
        raise ChaosError(f"{fields.name('reason')} is missing: say which of Apple's reasons, such as BadDeviceToken")
    status = fields.whole("status", STATUS.get(reason), *_STATUS_RANGE)
    if status is None:
        raise ChaosError(f"{fields.name('status')} is missing: {reason!r} is none of Apple's reasons")
    timestamp = fields.take("timestamp")
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | str | None):
        raise ChaosError(f"{fields.name('timestamp')} must be a whole number or a string, not {_shown(timestamp)}")
    rejection = Rejection(
        **selection,
        reason=reason,
        status=status,
        timestamp=timestamp,
        retry_after_s=fields.whole("retry_after_s", None, 0),
        body=fields.text("body"),
    )
    fields.finish()
    return rejection


def read_latency(value: object, where: str) -> Latency:
    """Milliseconds, or `{"min", "max"}`."""
    if not isinstance(value, Mapping):
        value = {"min": value, "max": value}
    fields = Fields(value, where)
    minimum = fields.number("min", 0.0, 0.0) or 0.0
    maximum = fields.number("max", minimum, 0.0) or 0.0
    fields.finish()
    if maximum < minimum:
        raise ChaosError(f"{where}.max must not be below {where}.min")
    return Latency(minimum, maximum)


def read_close_after(value: object, where: str) -> CloseAfter:
    """A number of requests, or `{"requests", "mode"}`."""
    fields = Fields(value if isinstance(value, Mapping) else {"requests": value}, where)
    requests = fields.whole("requests", None, 1)
    mode = fields.text("mode", ("eof", "rst")) or "eof"
    fields.finish()
    if requests is None:
        raise ChaosError(f"{where}.requests is missing: say after how many requests the connection is dropped")
    return CloseAfter(requests, mode)


def read_window(value: object, where: str) -> Window:
    """`{"stream", "connection", "withhold"}`."""
    fields = Fields(value, where)
    window = Window(
        stream=fields.whole("stream", None, 0, 2**31 - 1),
        connection=fields.whole("connection", None, 65_535, 2**31 - 1),
        withhold=fields.flag("withhold", default=False),
    )
    fields.finish()
    return window


def read_each(value: object, where: str, read: Callable[[object, str], _Fault]) -> tuple[_Fault, ...]:
    """One fault, a list of them, or none."""
    if value is None:
        return ()
    if isinstance(value, list):
        return tuple(read(item, f"{where}[{place}]") for place, item in enumerate(value))
    return (read(value, where),)
