"""The plan of what goes wrong, and the seeded dice that decide it per request: an empty plan is calm.

The dictionary form is what `PUT /simulator/chaos` takes. A plan always replaces the one before it and rolls the dice
anew from its seed, so that the same requests in the same order meet the same fates.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from skerry.simulator.apns.door import Arrival, ConnectionRate, read_arrival, read_connection_rate
from skerry.simulator.apns.fault import (
    FULL_WINDOW,
    NO_LATENCY,
    CloseAfter,
    Late,
    Latency,
    Rejection,
    Reset,
    Selector,
    Subject,
    Window,
    read_close_after,
    read_late,
    read_latency,
    read_rejection,
    read_reset,
    read_selector,
    read_window,
)
from skerry.simulator.apns.fields import ChaosError, Fields, read_each
from skerry.simulator.apns.provider_auth import APPLES, AuthRules, read_auth_rules
from skerry.simulator.apns.reply import Reply, read_reply
from skerry.simulator.apns.step import SETTINGS, AtOpen, Step, read_at_open, read_settings, read_step
from skerry.simulator.clock import Clock

__all__ = ["CALM", "Chaos", "ChaosError", "Fate", "Plan"]

_MAX_STREAMS = 2**31 - 1
_OWN_FIELDS = {"max_concurrent_streams": "initial_streams", "initial_window_size": "window.stream"}

_Fault = TypeVar("_Fault", bound=Selector)


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
    """RST_STREAM with another code, before or within the answer."""
    late: tuple[Late, ...] = ()
    """Looked at later than the others."""
    reply: tuple[Reply, ...] = ()
    """Odd forms of whatever is answered."""
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
    settings: Mapping[int, int] = field(default_factory=dict)
    """Other settings of new connections, ids to values."""
    settings_delay_ms: float = 0.0
    """Milliseconds before the first SETTINGS of new connections; nothing else is sent before it."""
    omit_settings: bool = False
    """New connections are never sent SETTINGS, and so nothing at all."""
    stop_reading: bool = False
    """Nothing more is read from any connection."""
    ignore_ping: bool = False
    ping_delay_ms: float = 0.0
    """Milliseconds before a PING is answered."""
    at_open: tuple[AtOpen, ...] = ()
    """GOAWAY for new connections."""
    accept: tuple[Arrival, ...] = ()
    """What becomes of new connections instead of TLS with a good certificate."""
    connection_rate: ConnectionRate | None = None
    auth: AuthRules = APPLES
    """Other rules for provider tokens than those of `Limits`."""
    script: tuple[Step, ...] = ()
    """What happens at a time, after so many requests, or after so many rejections."""
    unavailable_until: float | None = None
    """503 `ServiceUnavailable` for everything before this moment of the simulated world (seconds since 1970 UTC)."""
    documented_spellings: bool = False
    """Give reasons as documented, such as `BadEnvironmentKeyIdInToken` and `FeatureNotEnabled`, not as seen on the wire
    (apple.md 10)."""

    @classmethod
    def from_dict(cls, value: object, now: float) -> "Plan":
        """Read the dictionary form. Absent and null fields are at their defaults.

        `reject` is `{"share", "reason", "status", "event", "token", "times", "timestamp", "retry_after_s", "body"}`;
        `silent`, `refuse`, `reset`, `reply` and `drop_answer` are a share from 0 to 1 or such a selector (`reset` with
        `code`, `when`, `twice`; `reply` with the fields of `Reply`); `late` is a selector with `ms`, `accept` with
        `how`, `at_open` with `goaway`; each may be a list. A selector also takes `topic`, `address` and `connection`.
        `latency_ms` is a number, `{"min", "max"}` or `{"median", "p99"}`, `close_after` a number or
        `{"requests", "mode"}`, `window` `{"stream", "connection", "withhold"}`. `unavailable_s` counts from now and is
        kept as `unavailable_until`. `script` is a list of steps, see `Step`.

        Args:
            value: parsed JSON.
            now: seconds since 1970 UTC in the simulated world.

        Raises:
            ChaosError: naming the field that is unknown, of the wrong type or out of bounds.
        """
        fields = Fields(value, "")
        latency, close, window = (fields.take(key) for key in ("latency_ms", "close_after", "window"))
        rate, auth = (fields.take(key) for key in ("connection_rate", "auth"))
        plan = cls(
            seed=fields.whole("seed", 0, 0) or 0,
            latency_ms=NO_LATENCY if latency is None else read_latency(latency, "latency_ms"),
            reject=read_each(fields.take("reject"), "reject", read_rejection),
            silent=read_each(fields.take("silent"), "silent", read_selector),
            refuse=read_each(fields.take("refuse"), "refuse", read_selector),
            reset=read_each(fields.take("reset"), "reset", read_reset),
            late=read_each(fields.take("late"), "late", read_late),
            reply=read_each(fields.take("reply"), "reply", read_reply),
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
            settings=_other_settings(fields.take("settings")),
            settings_delay_ms=fields.number("settings_delay_ms", 0.0, 0.0) or 0.0,
            omit_settings=fields.flag("omit_settings", default=False),
            stop_reading=fields.flag("stop_reading", default=False),
            ignore_ping=fields.flag("ignore_ping", default=False),
            ping_delay_ms=fields.number("ping_delay_ms", 0.0, 0.0) or 0.0,
            at_open=read_each(fields.take("at_open"), "at_open", read_at_open),
            accept=read_each(fields.take("accept"), "accept", read_arrival),
            connection_rate=None if rate is None else read_connection_rate(rate, "connection_rate"),
            auth=APPLES if auth is None else read_auth_rules(auth, "auth"),
            script=read_each(fields.take("script"), "script", read_step),
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
            "late": _one_or_list(self.late),
            "reply": _one_or_list(self.reply),
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
            "settings": {_SETTING_NAMES.get(key, str(key)): value for key, value in self.settings.items()},
            "settings_delay_ms": self.settings_delay_ms,
            "omit_settings": self.omit_settings,
            "stop_reading": self.stop_reading,
            "ignore_ping": self.ignore_ping,
            "ping_delay_ms": self.ping_delay_ms,
            "at_open": _one_or_list(self.at_open),
            "accept": _one_or_list(self.accept),
            "connection_rate": None if self.connection_rate is None else self.connection_rate.as_dict(),
            "auth": self.auth.as_dict(),
            "script": [step.as_dict() for step in self.script],
            "unavailable_until": self.unavailable_until,
            "documented_spellings": self.documented_spellings,
        }

    @property
    def spares_requests(self) -> bool:
        """Whether no single request can meet a fault: then the dice need not be rolled."""
        faults = self.reject or self.silent or self.refuse or self.reset or self.drop_answer or self.late or self.reply
        return not faults and self.latency_ms.none


@dataclass(frozen=True, slots=True)
class Fate:
    """What the dice say of one request."""

    latency_s: float = 0.0
    refuse: bool = False
    reset: Reset | None = None
    silent: bool = False
    drop_answer: bool = False
    rejection: Rejection | None = None
    reply: Reply | None = None


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
        self.adoptions = 0
        """How many plans have come into force; changes of a plan are not counted."""
        self._hits: dict[tuple[str, int], int] = {}
        self._plan = Plan()
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

    def change(self, fields: Mapping[str, Any]) -> None:
        """Change some fields of the plan; the others, the dice and what has been hit go on.

        Raises:
            ChaosError: naming the bad field; the plan in force stays.
        """
        now = self._clock.now()
        kept = self._plan.as_dict()
        if "unavailable_s" in fields:
            del kept["unavailable_until"]
        plan = Plan.from_dict({**kept, **fields}, now)
        self._hits = {(kind, place): hits for (kind, place), hits in self._hits.items() if kind not in fields}
        self._plan = replace(plan, script=self._plan.script)
        for listener in self._listeners:
            listener()

    def expire_tokens(self) -> None:
        """Provider tokens signed until now are expired."""
        self._plan = replace(self._plan, auth=replace(self._plan.auth, expired_before=self._clock.now()))

    def decide(self, subject: Subject) -> Fate:
        """Roll the dice for one request, in order of arrival.

        Every fault that matches is drawn, whichever hits: so a fault that is used up shifts no later draw.
        """
        plan = self._plan
        if plan.spares_requests:
            return CALM
        latency = plan.latency_ms.draw(self._dice)
        refuse = self._first_hit("refuse", plan.refuse, subject)
        reset = self._first_hit("reset", plan.reset, subject, lambda one: one.when != "headers")
        silent = self._first_hit("silent", plan.silent, subject)
        drop = self._first_hit("drop_answer", plan.drop_answer, subject)
        rejection = self._first_hit("reject", plan.reject, subject)
        late = self._first_hit("late", plan.late, subject)
        reply = self._first_hit("reply", plan.reply, subject)
        if late is not None:
            latency = late.ms.draw(self._dice)
        if not latency and not any((refuse, reset, silent, drop, rejection, reply)):
            return CALM
        return Fate(
            latency_s=latency / 1000,
            refuse=refuse is not None,
            reset=reset,
            silent=silent is not None,
            drop_answer=drop is not None,
            rejection=rejection,
            reply=reply,
        )

    def reset_at_headers(self, subject: Subject) -> Reset | None:
        """Whether a request is reset as soon as its HEADERS are in; its event is not known then."""
        if not self._plan.reset:
            return None
        return self._first_hit("reset", self._plan.reset, subject, lambda one: one.when == "headers")

    def arrival(self, subject: Subject) -> Arrival | None:
        """What becomes of a new connection; None: it is served."""
        return self._first_hit("accept", self._plan.accept, subject)

    def at_open(self, subject: Subject) -> list[AtOpen]:
        """What a connection is told when it opens: every one that hits, in order."""
        hits = []
        for place, one in enumerate(self._plan.at_open):
            if self._hit("at_open", place, one, subject):
                hits.append(one)
                self._count("at_open", place, 1)
        return hits

    def unmet(self, fault: Rejection) -> None:
        """A rejection that `decide` chose was not given, because the rules refuse the request: it keeps its turn."""
        for place, one in enumerate(self._plan.reject):
            if one is fault and self._hits.get(("reject", place), 0) > 0:
                self._count("reject", place, -1)

    def unavailable(self, now: float) -> bool:
        """Whether everything is answered with 503."""
        until = self._plan.unavailable_until
        return until is not None and now < until

    def _adopt(self, plan: Plan) -> None:
        self._plan = plan
        self.adoptions += 1
        self._dice = random.Random(plan.seed)  # noqa: S311 - a run must repeat; nothing is kept secret with it
        self._hits = {}

    def _first_hit(
        self,
        kind: str,
        faults: Sequence[_Fault],
        subject: Subject,
        counts: Callable[[_Fault], bool] = lambda _: True,
    ) -> _Fault | None:
        if not faults:
            return None
        hit: _Fault | None = None
        for place, fault in enumerate(faults):
            if counts(fault) and self._hit(kind, place, fault, subject) and hit is None:
                self._count(kind, place, 1)
                hit = fault
        return hit

    def _hit(self, kind: str, place: int, fault: Selector, subject: Subject) -> bool:
        if not fault.matches(subject):
            return False
        drawn = self._dice.random() < fault.share
        return drawn and (fault.times is None or self._hits.get((kind, place), 0) < fault.times)

    def _count(self, kind: str, place: int, hits: int) -> None:
        self._hits[kind, place] = self._hits.get((kind, place), 0) + hits


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


_SETTING_NAMES = {number: name for name, number in SETTINGS.items()}


def _other_settings(value: object) -> Mapping[int, int]:
    if value is None:
        return {}
    settings = read_settings(value, "settings")
    for name, own in _OWN_FIELDS.items():
        if SETTINGS[name] in settings:
            raise ChaosError(f"settings.{name} has a field of its own: use {own}")
    return settings
