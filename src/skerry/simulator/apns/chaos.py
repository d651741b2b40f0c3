"""The plan of what goes wrong, and the seeded dice that decide it per request: an empty plan is calm.

The dictionary form is what `PUT /simulator/chaos` takes. A plan always replaces the one before it and rolls the dice
anew from its seed, so that the same requests in the same order meet the same fates.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skerry.simulator.apns.fault import (
    FULL_WINDOW,
    NO_LATENCY,
    ChaosError,
    CloseAfter,
    Fields,
    Latency,
    Rejection,
    Reset,
    Selector,
    Window,
    read_close_after,
    read_each,
    read_latency,
    read_rejection,
    read_reset,
    read_selector,
    read_window,
)
from skerry.simulator.clock import Clock

__all__ = ["CALM", "Chaos", "ChaosError", "Fate", "Plan"]

_MAX_STREAMS = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What goes wrong. The defaults are APNs on a good day."""

    seed: int = 0
    latency_ms: Latency = NO_LATENCY
    reject: tuple[Rejection, ...] = ()
    """Answers instead of 200; the first that hits is given. What the rules refuse stays refused for its own reason."""
    silent: tuple[Selector, ...] = ()
    """Never processed and never answered; the stream stays open."""
    refuse: tuple[Selector, ...] = ()
    """RST_STREAM with REFUSED_STREAM; not processed."""
    reset: tuple[Reset, ...] = ()
    """RST_STREAM with another code; not processed."""
    drop_answer: tuple[Selector, ...] = ()
    """Processed and delivered; then the connection is lost with the answer."""
    goaway_every: int | None = None
    """After so many requests on a connection: GOAWAY `Shutdown` that names the last of them. Those are still served,
    later ones ignored, and the connection closes after the grace of `Limits`."""
    close_after: CloseAfter | None = None
    too_many_errors: int | None = None
    """After so many 4xx answers other than 410 on a connection: GOAWAY with the last one's reason."""
    initial_streams: int | None = None
    """MAX_CONCURRENT_STREAMS of new connections; None: that of `Limits`."""
    max_concurrent_streams: int | None = None
    """MAX_CONCURRENT_STREAMS once a valid provider token was posted; a change reaches open connections at once."""
    limit_after_rejection: bool = False
    """Fall back to one stream after a rejection and rise again after the next acceptance (apple.md 1.3)."""
    refuse_surplus: bool = True
    """Whether streams in flight beyond a lowered limit are refused, or served all the same."""
    window: Window = FULL_WINDOW
    header_table_size: int | None = None
    """SETTINGS_HEADER_TABLE_SIZE of new connections; None: that of `Limits`."""
    settings_delay_ms: float = 0.0
    """Real milliseconds before the first SETTINGS of new connections; nothing else is sent before it."""
    ignore_ping: bool = False
    unavailable_until: float | None = None
    """503 `ServiceUnavailable` for everything before this moment of the simulated world (seconds since 1970 UTC)."""
    documented_spellings: bool = False
    """Give reasons as documented, such as `BadEnvironmentKeyIdInToken` and `FeatureNotEnabled`, not as seen on the wire
    (apple.md 10)."""

    @classmethod
    def from_dict(cls, value: object, now: float) -> "Plan":
        """Read the dictionary form. Absent and null fields are at their defaults.

        `reject` is `{"share", "reason", "status", "event", "token", "times", "timestamp", "retry_after_s", "body"}`;
        `silent`, `refuse`, `reset` and `drop_answer` are a share from 0 to 1 or such a selector (`reset` with `code`);
        each of the five may be a list. `latency_ms` is a number or `{"min", "max"}`, `close_after` a number or
        `{"requests", "mode": "eof" | "rst"}`, `window` `{"stream", "connection", "withhold"}`. `unavailable_s` counts
        from now and is kept as `unavailable_until`.

        Args:
            value: parsed JSON.
            now: seconds since 1970 UTC in the simulated world.

        Raises:
            ChaosError: naming the field that is unknown, of the wrong type or out of bounds.
        """
        fields = Fields(value, "")
        latency, close, window = (fields.take(key) for key in ("latency_ms", "close_after", "window"))
        plan = cls(
            seed=fields.whole("seed", 0, 0) or 0,
            latency_ms=NO_LATENCY if latency is None else read_latency(latency, "latency_ms"),
            reject=read_each(fields.take("reject"), "reject", read_rejection),
            silent=read_each(fields.take("silent"), "silent", read_selector),
            refuse=read_each(fields.take("refuse"), "refuse", read_selector),
            reset=read_each(fields.take("reset"), "reset", read_reset),
            drop_answer=read_each(fields.take("drop_answer"), "drop_answer", read_selector),
            goaway_every=fields.whole("goaway_every", None, 1),
            close_after=None if close is None else read_close_after(close, "close_after"),
            too_many_errors=fields.whole("too_many_errors", None, 1),
            initial_streams=fields.whole("initial_streams", None, 0, _MAX_STREAMS),
            max_concurrent_streams=fields.whole("max_concurrent_streams", None, 0, _MAX_STREAMS),
            limit_after_rejection=fields.flag("limit_after_rejection", default=False),
            refuse_surplus=fields.flag("refuse_surplus", default=True),
            window=FULL_WINDOW if window is None else read_window(window, "window"),
            header_table_size=fields.whole("header_table_size", None, 0, 65_536),
            settings_delay_ms=fields.number("settings_delay_ms", 0.0, 0.0) or 0.0,
            ignore_ping=fields.flag("ignore_ping", default=False),
            unavailable_until=_unavailable_until(fields, now),
            documented_spellings=fields.flag("documented_spellings", default=False),
        )
        fields.finish()
        return plan

    def as_dict(self) -> dict[str, Any]:
        """The dictionary form with every field there is; `from_dict` reads it back."""
        return {
            "seed": self.seed,
            "latency_ms": self.latency_ms.as_dict(),
            "reject": _one_or_list(self.reject),
            "silent": _one_or_list(self.silent),
            "refuse": _one_or_list(self.refuse),
            "reset": _one_or_list(self.reset),
            "drop_answer": _one_or_list(self.drop_answer),
            "goaway_every": self.goaway_every,
            "close_after": None if self.close_after is None else self.close_after.as_dict(),
            "too_many_errors": self.too_many_errors,
            "initial_streams": self.initial_streams,
            "max_concurrent_streams": self.max_concurrent_streams,
            "limit_after_rejection": self.limit_after_rejection,
            "refuse_surplus": self.refuse_surplus,
            "window": self.window.as_dict(),
            "header_table_size": self.header_table_size,
            "settings_delay_ms": self.settings_delay_ms,
            "ignore_ping": self.ignore_ping,
            "unavailable_until": self.unavailable_until,
            "documented_spellings": self.documented_spellings,
        }

    @property
    def spares_requests(self) -> bool:
        """Whether no single request can meet a fault: then the dice need not be rolled."""
        faults = self.reject or self.silent or self.refuse or self.reset or self.drop_answer
        return not faults and self.latency_ms.maximum == 0


@dataclass(frozen=True, slots=True)
class Fate:
    """What the dice say of one request."""

    latency_s: float = 0.0
    refuse: bool = False
    reset_code: int | None = None
    silent: bool = False
    drop_answer: bool = False
    rejection: Rejection | None = None


CALM = Fate()


class Chaos:
    """The plan in force, changeable while the server runs.

    Args:
        clock: the simulated world's, for `unavailable_s`.
        plan: the dictionary form to begin with.

    Raises:
        ChaosError: if the plan cannot be.
    """

    def __init__(self, clock: Clock, plan: Mapping[str, Any] | None = None) -> None:
        self._clock = clock
        self._listeners: list[Callable[[], None]] = []
        self._adopt(Plan.from_dict({} if plan is None else plan, clock.now()))

    @property
    def plan(self) -> Plan:
        """The plan in force."""
        return self._plan

    def update_from(self, value: object) -> None:
        """Replace the plan and roll the dice anew from its seed; open connections follow at once.

        Raises:
            ChaosError: naming the bad field; the plan in force stays.
        """
        self._adopt(Plan.from_dict(value, self._clock.now()))
        for listener in self._listeners:
            listener()

    def as_dict(self) -> dict[str, Any]:
        """The plan in force with every field there is."""
        return self._plan.as_dict()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change of the plan."""
        self._listeners.append(listener)

    def decide(self, event: str | None, token: str | None) -> Fate:
        """Roll the dice for one request, in order of arrival.

        Every fault that matches is drawn, whichever hits: so a fault that is used up shifts no later draw.
        """
        plan = self._plan
        if plan.spares_requests:
            return CALM
        latency = plan.latency_ms
        milliseconds = latency.minimum
        if latency.maximum > latency.minimum:
            milliseconds = self._dice.uniform(latency.minimum, latency.maximum)
        refuse = self._first_hit(plan.refuse, event, token)
        reset = self._first_hit(plan.reset, event, token)
        silent = self._first_hit(plan.silent, event, token)
        drop = self._first_hit(plan.drop_answer, event, token)
        rejection = self._first_hit(plan.reject, event, token)
        return Fate(
            latency_s=milliseconds / 1000,
            refuse=refuse is not None,
            reset_code=reset.code if isinstance(reset, Reset) else None,
            silent=silent is not None,
            drop_answer=drop is not None,
            rejection=rejection if isinstance(rejection, Rejection) else None,
        )

    def unmet(self, fault: Selector) -> None:
        """A rejection that `decide` chose was not given, because the rules refuse the request: it keeps its turn."""
        if (hits := self._hits.get(id(fault), 0)) > 0:
            self._hits[id(fault)] = hits - 1

    def unavailable(self, now: float) -> bool:
        """Whether everything is answered with 503."""
        until = self._plan.unavailable_until
        return until is not None and now < until

    def _adopt(self, plan: Plan) -> None:
        self._plan = plan
        self._dice = random.Random(plan.seed)  # noqa: S311 - a run must repeat; nothing is kept secret with it
        self._hits: dict[int, int] = {}

    def _first_hit(self, faults: Sequence[Selector], event: str | None, token: str | None) -> Selector | None:
        hit: Selector | None = None
        for fault in faults:
            if not fault.matches(event, token):
                continue
            drawn = self._dice.random() < fault.share
            hits = self._hits.get(id(fault), 0)
            if drawn and hit is None and (fault.times is None or hits < fault.times):
                self._hits[id(fault)] = hits + 1
                hit = fault
        return hit


def _unavailable_until(fields: Fields, now: float) -> float | None:
    seconds = fields.number("unavailable_s", None, 0.0)
    until = fields.number("unavailable_until", None, 0.0)
    if seconds is not None and until is not None:
        raise ChaosError("unavailable_s and unavailable_until exclude each other: leave one of them out")
    return until if seconds is None else now + seconds


def _one_or_list(faults: Sequence[Selector]) -> Any:
    if not faults:
        return None
    return faults[0].as_dict() if len(faults) == 1 else [fault.as_dict() for fault in faults]
