"""The faults of a chaos plan as values, and their reading from JSON with an error that names the field."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from skerry.simulator.apns.fields import ChaosError, Fields, shown, told
from skerry.simulator.apns.reasons import STATUS

_EVENTS = ("start", "update", "end")
_INTERNAL_ERROR = 2
_MAX_ERROR_CODE = 2**32 - 1
_STATUS_RANGE = (200, 599)
_Z99 = 2.3263478740408408
"""Standard deviations below which 99 % of a normal distribution lie."""
_RESET_MOMENTS = ("headers", "request", "answer_headers", "answer_data")
_WITHHELD = ("stream", "connection")

ENDS = ("eof", "fin", "half_close", "rst", "black_hole")
"""How a connection ends: `eof` says TLS close_notify, then FIN; `fin` is FIN alone; `half_close` is FIN, and what the
sender still writes is read and answered by nothing; `rst` is a TCP reset; `black_hole` neither reads nor writes and
leaves the connection open."""


class Subject(NamedTuple):
    """What a fault may choose a request or a connection by."""

    connection: int = 0
    address: str | None = None
    token: str | None = None
    topic: str | None = None
    event: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which requests (or connections) a fault hits."""

    share: float = 1.0
    """From 0 to 1, drawn per request that matches the rest."""
    event: str | None = None
    """Only requests with this `aps.event`."""
    token: str | None = None
    """Only requests to this device token."""
    topic: str | None = None
    """Only requests to this topic."""
    address: str | None = None
    """Only what arrives at this address of the server."""
    connection: int | None = None
    """Only what arrives on this connection, numbered from 1 as in the ledger."""
    times: int | None = None
    """At most so many; None: no end."""

    def matches(self, subject: Subject) -> bool:
        """Whether a request is one that this fault may hit."""
        return (
            (self.event is None or self.event == subject.event)
            and (self.token is None or self.token == subject.token)
            and (self.topic is None or self.topic == subject.topic)
            and (self.address is None or self.address == subject.address)
            and (self.connection is None or self.connection == subject.connection)
        )

    def as_dict(self) -> dict[str, Any]:
        """As in the plan, without what is left at its default."""
        return {"share": self.share, **told(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Selector):
    """RST_STREAM with a code."""

    code: int = _INTERNAL_ERROR
    when: str = "request"
    """`headers`: as soon as the request's HEADERS are in. `request`: after all of it; neither is processed. Processed
    and only half answered: `answer_headers` after the answer's HEADERS, `answer_data` within its body."""
    twice: bool = False
    """And once more, with STREAM_CLOSED, as APNs does for HEADERS and DATA (apple.md 1.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection(Selector):
    """A scripted answer to a request that would have been accepted."""

    reason: str
    status: int
    timestamp: int | str | None = None
    retry_after_s: int | None = None
    body: str | None = None
    """Sent as it is instead of Apple's JSON: for odd replies."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds between a request's arrival and the moment that APNs looks at it.

    Evenly spread from `minimum` to `maximum`; or, where `p99` is given, log-normal with `minimum` as its median.
    """

    minimum: float = 0.0
    maximum: float = 0.0
    p99: float | None = None

    @property
    def none(self) -> bool:
        """Whether requests are looked at when they arrive."""
        return self.maximum == 0

    def draw(self, dice: random.Random) -> float:
        """Milliseconds for one request. Dice are rolled only where there is something to decide."""
        if self.p99 is not None:
            return dice.lognormvariate(math.log(self.minimum), math.log(self.p99 / self.minimum) / _Z99)
        return dice.uniform(self.minimum, self.maximum) if self.maximum > self.minimum else self.minimum

    def as_dict(self) -> float | dict[str, float]:
        """A number where it is fixed, `{"min", "max"}` or `{"median", "p99"}` otherwise."""
        if self.p99 is not None:
            return {"median": self.minimum, "p99": self.p99}
        return self.minimum if self.minimum == self.maximum else {"min": self.minimum, "max": self.maximum}


NO_LATENCY = Latency()


@dataclass(frozen=True, slots=True, kw_only=True)
class Late(Selector):
    """Some requests are looked at later than `latency_ms` says; the others are not held up."""

    ms: Latency = NO_LATENCY


@dataclass(frozen=True, slots=True)
class CloseAfter:
    """Drop the TCP connection after so many requests on it; what waits for its answer then gets none."""

    requests: int
    mode: str = "eof"
    """One of `ENDS`."""

    def as_dict(self) -> dict[str, Any]:
        """As in the plan."""
        return {"requests": self.requests, "mode": self.mode}


@dataclass(frozen=True, slots=True)
class Window:
    """How much body the sender may send."""

    stream: int | None = None
    """SETTINGS_INITIAL_WINDOW_SIZE; None: Apple's 65,535. A change reaches open connections at once."""
    connection: int | None = None
    """The connection's window; HTTP/2 starts it at 65,535 and can only widen it."""
    withhold: bool | str = False
    """Give no credit back: the connection stalls once its window is used up. `stream` or `connection`: only that."""

    def as_dict(self) -> dict[str, Any]:
        """As in the plan."""
        return {"stream": self.stream, "connection": self.connection, "withhold": self.withhold}


FULL_WINDOW = Window()


def selecting(value: object, where: str) -> Fields:
    """A share alone, or an object."""
    return Fields(value if isinstance(value, Mapping) else {"share": value}, where)


def selection(fields: Fields) -> dict[str, Any]:
    """The fields of `Selector`, ready to be its arguments."""
    share = fields.number("share", 1.0, 0.0, 1.0)
    token = fields.text("token")
    return {
        "share": 1.0 if share is None else share,
        "event": fields.text("event", _EVENTS),
        "token": None if token is None else token.lower(),
        "topic": fields.text("topic"),
        "address": fields.text("address"),
        "connection": fields.whole("connection", None, 1),
        "times": fields.whole("times", None, 1),
    }


def read_selector(value: object, where: str) -> Selector:
    """A share from 0 to 1, or `{"share", "event", "token", "times"}`."""
    fields = selecting(value, where)
    selector = Selector(**selection(fields))
    fields.finish()
    return selector


def read_reset(value: object, where: str) -> Reset:
    """A share, or a selector with `code` (an HTTP/2 error code; 2, INTERNAL_ERROR, by default), `when` and `twice`."""
    fields = selecting(value, where)
    code = fields.whole("code", _INTERNAL_ERROR, 0, _MAX_ERROR_CODE)
    reset = Reset(
        **selection(fields),
        code=_INTERNAL_ERROR if code is None else code,
        when=fields.text("when", _RESET_MOMENTS) or "request",
        twice=fields.flag("twice", default=False),
    )
    fields.finish()
    return reset


def read_rejection(value: object, where: str) -> Rejection:
    """A selector with `reason`, and `status` where the reason is none of Apple's."""
    fields = Fields(value, where)
    chosen = selection(fields)
    reason = fields.text("reason")
    if not reason:
        raise ChaosError(f"{fields.name('reason')} is missing: say which of Apple's reasons, such as BadDeviceToken")
    status = fields.whole("status", STATUS.get(reason), *_STATUS_RANGE)
    if status is None:
        raise ChaosError(f"{fields.name('status')} is missing: {reason!r} is none of Apple's reasons")
    timestamp = fields.take("timestamp")
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | str | None):
        raise ChaosError(f"{fields.name('timestamp')} must be a whole number or a string, not {shown(timestamp)}")
    rejection = Rejection(
        **chosen,
        reason=reason,
        status=status,
        timestamp=timestamp,
        retry_after_s=fields.whole("retry_after_s", None, 0),
        body=fields.text("body"),
    )
    fields.finish()
    return rejection


def read_latency(value: object, where: str) -> Latency:
    """Milliseconds, `{"min", "max"}`, or `{"median", "p99"}`."""
    if not isinstance(value, Mapping):
        value = {"min": value, "max": value}
    fields = Fields(value, where)
    if "median" in value:
        median = fields.number("median", 1.0, 0.001) or 1.0
        p99 = fields.number("p99", median, median) or median
        fields.finish()
        return Latency(median, p99, p99)
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
    mode = fields.text("mode", ENDS) or "eof"
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
        withhold=_withheld(fields),
    )
    fields.finish()
    return window


def read_late(value: object, where: str) -> Late:
    """A selector with `ms`, as `latency_ms`."""
    fields = Fields(value, where)
    ms = fields.take("ms")
    if ms is None:
        raise ChaosError(f"{fields.name('ms')} is missing: say how late, as in latency_ms")
    late = Late(**selection(fields), ms=read_latency(ms, fields.name("ms")))
    fields.finish()
    return late


def _withheld(fields: Fields) -> bool | str:
    value = fields.take("withhold")
    if value is None or isinstance(value, bool) or value in _WITHHELD:
        return value or False
    raise ChaosError(f"{fields.name('withhold')} must be true, false, stream or connection, not {shown(value)}")
