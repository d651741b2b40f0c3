"""One connection of a sender to the simulated APNs: frames in, fates and answers out."""

import asyncio
import functools
import heapq
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes

from skerry.domain.push import Environment
from skerry.simulator.apns.desk import Desk, Exchange, Services
from skerry.simulator.apns.fault import Subject
from skerry.simulator.apns.http2 import StreamTurnedAway
from skerry.simulator.apns.ledger import Ending
from skerry.simulator.apns.paths import Listener
from skerry.simulator.apns.reasons import counts_as_error
from skerry.simulator.apns.reply import frame
from skerry.simulator.apns.rules import Answer
from skerry.simulator.apns.step import Goaway, RawFrames
from skerry.simulator.apns.stream_limit import Admission, StreamLimit
from skerry.simulator.apns.wire import Wire

VIOLATION_TEXT = b"Maximum active streams violated for this endpoint."
"""What APNs says, not in JSON, to a sender that opens more streams than it may (apple.md 1.3)."""

_MAX_STREAM = 2**31 - 1


class ApnsConnection(asyncio.Protocol):
    """Speaks for APNs on one TLS connection.

    A stream counts as open until its answer has been handed to the transport: what the sender opens in one read beyond
    its limit is a violation however fast we answer.

    Args:
        number: from 1, for the ledger.
        environment: which of Apple's two worlds this is.
        services: shared with the other connections.
        registry: this connection is in it while it is open.
        listener: which of Apple's services it was made to.
        address: of the server, where the connection arrived.
    """

    def __init__(
        self,
        number: int,
        environment: Environment,
        services: Services,
        registry: dict["ApnsConnection", None],
        listener: Listener = Listener.PUSH,
        address: str | None = None,
    ) -> None:
        self.environment = environment
        self.address = address
        self._number = number
        self._services = services
        self._registry = registry
        self._loop = asyncio.get_running_loop()
        self._wire = Wire(services.limits.max_header_list, self._turns_away)
        self._desk = Desk(number, environment, listener, address, services)
        self._limit = StreamLimit(self._initial_streams())
        self._announced_window = self._initial_window()
        self._exchanges: dict[int, Exchange] = {}
        self._waiting: list[tuple[float, int]] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._highest_served = 0
        self._last_stream: int | None = None
        self._leaving = False
        self._requests = 0
        self._errors = 0
        self._punished = False
        self._rise_at_ack = False
        self._timers: list[asyncio.TimerHandle] = []
        self._unread = bytearray()
        self._last_frame_at = services.clock.now()

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is up: refuse whoever did not negotiate `h2`, greet the others with SETTINGS."""
        self._registry[self] = None
        protocol = self._wire.connect(cast("asyncio.Transport", transport))
        if protocol != "h2":
            self._desk.note(f"refused: ALPN negotiated {protocol}, APNs speaks h2 only")
            self.drop("rst")
            return
        self._desk.note("opened" if self.address is None else f"opened at {self.address}")
        self._obey_plan()
        plan = self._services.chaos.plan
        goaways = self._services.chaos.at_open(Subject(self._number, self.address))
        for one in goaways:
            if one.before_settings:
                self.leave(one.goaway, greet=False)
        if plan.settings_delay_ms:
            self._later(plan.settings_delay_ms / 1000, self._greet)
        elif not (plan.omit_settings or any(one.before_settings for one in goaways)):
            self._greet()
        for one in goaways:
            if not one.before_settings:
                self.leave(one.goaway)

    def data_received(self, data: bytes) -> None:
        """Take what has come, answer what can be answered, and write it in one go."""
        if self._wire.stop_reading:
            self._unread += data
            return
        self._last_frame_at = self._services.clock.now()
        if self._take(memoryview(data)):
            self._wire.flush()

    def pause_writing(self) -> None:
        """The sender does not read: stop reading too, so that answers do not pile up here."""
        self._wire.pause_reading()

    def resume_writing(self) -> None:
        """The sender reads again."""
        self._wire.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waited for an answer will get none."""
        self._wire.forget()
        self._gone("closed by the sender" if exc is None else f"lost: {exc}")

    # What the server asks for

    def check_idle(self, now: float) -> None:
        """End the connection with `IdleTimeout` if no frame has come for too long (simulated time)."""
        timeout = self._services.limits.idle_timeout_s
        if timeout is not None and self._last_stream is None and now - self._last_frame_at >= timeout:
            self.goaway("IdleTimeout")

    def goaway(
        self,
        reason: str | None = "Shutdown",
        *,
        code: int = ErrorCodes.NO_ERROR,
        last_stream: int | None = None,
        debug: bytes | None = None,
    ) -> None:
        """Send GOAWAY, serve what is at or below its last stream, ignore the rest, and close after the grace.

        Args:
            reason: sent as `{"reason": …}`; None for empty debug data.
            code: HTTP/2 error code.
            last_stream: None for the highest stream served so far; 2**31 - 1 announces a GOAWAY to come.
            debug: sent instead of the reason, for data that is not JSON.
        """
        said = None if debug is None else debug.decode("utf-8", "replace")
        self.leave(
            Goaway(reason=reason, code=code, debug=said, last_stream="served" if last_stream is None else last_stream)
        )

    def leave(self, how: Goaway, *, greet: bool = True) -> None:
        """Send GOAWAY as it is told, and do what it says of the streams and of the end.

        Args:
            how: from a plan.
            greet: False where it is said before the first SETTINGS.
        """
        if not self._wire.open:
            return
        if greet:
            self._greet()  # a connection begins with SETTINGS, even if it ends at once
        if not self._leaving and how.close != "never":
            self._leaving = True
            grace = self._services.limits.goaway_grace_s if how.close_after_s is None else how.close_after_s
            self._later(grace, functools.partial(self.drop, how.close))
        last = self._last_stream_of(how)
        # RFC 9113 6.8: a later GOAWAY may only take back.
        self._last_stream = last if self._last_stream is None else min(last, self._last_stream)
        debug = b"" if how.reason is None else json.dumps({"reason": how.reason}, separators=(",", ":")).encode()
        if how.debug is not None:
            debug = how.debug.encode()
        for _ in range(how.times):
            self._wire.goaway(how.code, debug, self._last_stream)
        self._desk.note(f"GOAWAY code {how.code}, last stream {self._last_stream}: {debug.decode('utf-8', 'replace')}")
        for stream in list(self._exchanges):
            if stream > self._last_stream:
                self._abandon(stream, Ending.IGNORED)
            elif not how.serve:
                self._abandon(stream, Ending.NO_ANSWER)
        self._wire.flush(ungreeted=not greet)

    def drop(self, mode: str) -> None:
        """End without a word, in one of `fault.ENDS`."""
        if not self._wire.open:
            return
        match mode:
            case "rst":
                self._wire.abort()
            case "eof":
                self._wire.close()
            case "fin":
                self._wire.end_half()
                self._wire.forget_and_close()
            case "half_close":
                self._desk.note("half closed by APNs")
                self._wire.end_half()
                return
            case "black_hole":
                self._desk.note("fallen into a black hole")
                self._wire.vanish()
                return
        self._gone(f"closed by APNs ({mode})")

    def announce(self, settings: Mapping[int, int]) -> None:
        """Send SETTINGS; a limit of streams holds as any other does."""
        if not self._wire.open:
            return
        self._wire.settings(settings)
        self._limit.announce(settings.get(SettingCodes.MAX_CONCURRENT_STREAMS, self._limit.announced))
        self._wire.flush()

    def say(self, frames: RawFrames) -> None:
        """Send frames that HTTP/2 may not allow."""
        if self._wire.open:
            self._wire.say(frame(frames.kind, frames.flags, frames.stream, frames.payload) * frames.count)
            self._wire.flush()

    def chaos_changed(self) -> None:
        """Follow a new plan: the limit of streams, windows, and credit that was withheld."""
        self._obey_plan()
        if not self._wire.open or not self._wire.greeted:
            return
        self._announce_limit()
        self._wire.give_withheld_credit()
        window = self._initial_window()
        if window != self._announced_window:
            self._announced_window = window
            self._wire.settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
            self._limit.announce(self._limit.announced)
        self._wire.flush()

    # Events

    def _take(self, data: memoryview) -> bool:
        """Act on what has come; False once the connection is over."""
        events = self._wire.receive(data)
        while self._wire.open:
            try:
                event = next(events, None)
            except H2Error as error:
                self._desk.note(f"protocol error of the sender: {type(error).__name__}: {error}")
                self.drop("eof")
                return False
            if event is None:
                return True
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(self, event)
        return False

    def _turns_away(self) -> bool:
        """Whether a stream that the sender opens now is surplus, and refused before anything is made ready for it."""
        return (
            self._limit.falling
            and self._last_stream is None
            and self._services.chaos.plan.refuse_surplus
            and self._admission() is Admission.SURPLUS
        )

    def _admission(self) -> Admission:
        return self._limit.admit(len(self._exchanges) + self._wire.unfinished_answers)

    def _on_turned_away(self, event: StreamTurnedAway) -> None:
        exchange = Exchange(event.stream_id, event.headers)
        self._desk.read(exchange, self._last_frame_at)
        self._desk.close(exchange, Ending.REFUSED)
        self._wire.refuse(event.stream_id)

    def _on_request(self, event: RequestReceived) -> None:
        stream = event.stream_id
        exchange = Exchange(stream, [(name, value) for name, value in event.headers])
        if self._last_stream is not None and stream > self._last_stream:
            self._ignore(exchange)
            return
        if self._admission() is Admission.VIOLATION:
            self._ignore(exchange)
            self.goaway(code=ErrorCodes.REFUSED_STREAM, debug=VIOLATION_TEXT)
            return
        self._exchanges[stream] = exchange
        early = self._desk.reset_at_headers(exchange)
        if early is not None:
            self._reset(exchange, early.code, twice=early.twice)
            return
        self._highest_served = stream

    def _on_data(self, event: DataReceived) -> None:
        self._wire.give_credit(event)
        exchange = self._exchanges.get(event.stream_id)
        if exchange is not None and event.data:
            self._desk.take_body(exchange, event.data)

    def _on_end(self, event: StreamEnded) -> None:
        exchange = self._exchanges.get(event.stream_id)
        if exchange is None:
            return
        request, entry = self._desk.read(exchange, self._last_frame_at)
        self._requests += 1
        fate = exchange.fate = self._desk.decide(request, entry)
        if fate.refuse:
            self._reset(exchange, ErrorCodes.REFUSED_STREAM)
        elif fate.reset is not None and fate.reset.when == "request":
            self._reset(exchange, fate.reset.code, twice=fate.reset.twice)
        elif fate.silent:
            self._services.ledger.ended(entry, Ending.NO_ANSWER)
        elif fate.latency_s:
            heapq.heappush(self._waiting, (self._loop.time() + fate.latency_s, exchange.stream))
            self._set_alarm()
        else:
            self._serve(exchange)
        self._count_towards_the_end(exchange.stream)
        self._services.director.request(self)

    def _on_reset(self, event: StreamReset) -> None:
        self._wire.cancelled(event.stream_id)
        if event.stream_id in self._exchanges:
            self._abandon(event.stream_id, Ending.NO_ANSWER)

    def _on_acknowledgement(self, _: SettingsAcknowledged) -> None:
        self._limit.acknowledged()
        if self._rise_at_ack and not self._limit.falling:
            self._rise_at_ack = self._punished = False
            self._announce_limit()

    def _on_credit(self, _: Event) -> None:
        self._wire.received_credit()

    _handlers: ClassVar[dict[type[Event], Callable[["ApnsConnection", Any], None]]] = {
        RequestReceived: _on_request,
        StreamTurnedAway: _on_turned_away,
        DataReceived: _on_data,
        StreamEnded: _on_end,
        StreamReset: _on_reset,
        SettingsAcknowledged: _on_acknowledgement,
        WindowUpdated: _on_credit,
        RemoteSettingsChanged: _on_credit,
    }

    # Requests

    def _serve(self, exchange: Exchange) -> None:
        """Have a request judged and carried out, and write the answer."""
        del self._exchanges[exchange.stream]  # whatever falls now, what is being served is not refused any more
        answer = self._desk.answer(exchange, self._last_frame_at)
        if answer.reason is None and exchange.fate.drop_answer:
            self._desk.close(exchange, Ending.NO_ANSWER)
            self._desk.note(f"the answer on stream {exchange.stream} is lost with the connection")
            self.drop("eof")
            return
        if self._desk.auth.bound:
            self._announce_limit()
        said = self._desk.framing(answer, exchange.fate)
        if self._wire.respond(exchange.stream, said.headers, said.body, said.bend):
            self._services.ledger.answered(self._desk.read(exchange, self._last_frame_at)[1], answer)
        else:  # the sender's RST_STREAM came in the same slice: h2 knows of it before we do
            self._desk.close(exchange, Ending.NO_ANSWER)
        self._learn_from(answer)

    def _ignore(self, exchange: Exchange) -> None:
        self._desk.read(exchange, self._last_frame_at)
        self._desk.close(exchange, Ending.IGNORED)

    def _reset(self, exchange: Exchange, code: int, *, twice: bool = False) -> None:
        self._desk.read(exchange, self._last_frame_at)
        self._abandon(exchange.stream, Ending.REFUSED if code == ErrorCodes.REFUSED_STREAM else Ending.RESET)
        self._wire.reset(exchange.stream, code, twice=twice)

    def _abandon(self, stream: int, ending: Ending) -> None:
        self._desk.close(self._exchanges.pop(stream), ending)

    def _set_alarm(self) -> None:
        due = self._waiting[0][0]
        if self._alarm is not None:
            if self._alarm.when() <= due:
                return
            self._alarm.cancel()
        self._alarm = self._loop.call_at(due, self._serve_due)

    def _serve_due(self) -> None:
        self._alarm = None
        now = self._loop.time()
        while self._waiting and self._waiting[0][0] <= now and self._wire.open:
            exchange = self._exchanges.get(heapq.heappop(self._waiting)[1])
            if exchange is not None:
                self._serve(exchange)
        if self._wire.open:
            self._wire.flush()
            if self._waiting:
                self._set_alarm()

    # The limit of streams, and the end

    def _initial_streams(self) -> int:
        chosen = self._services.chaos.plan.initial_streams
        return self._services.limits.initial_streams if chosen is None else chosen

    def _initial_window(self) -> int:
        chosen = self._services.chaos.plan.window.stream
        return self._services.limits.initial_window if chosen is None else chosen

    def _wanted_streams(self) -> int:
        if not self._desk.auth.bound:
            return self._limit.announced
        if self._punished:
            return 1
        chosen = self._services.chaos.plan.max_concurrent_streams
        return self._services.limits.raised_streams if chosen is None else chosen

    def _announce_limit(self) -> None:
        """Send SETTINGS if the limit has changed, and refuse what is in flight beyond a lower one."""
        wanted = self._wanted_streams()
        if wanted == self._limit.announced:
            return
        self._wire.settings({SettingCodes.MAX_CONCURRENT_STREAMS: wanted})
        self._limit.announce(wanted)
        if self._limit.falling and self._services.chaos.plan.refuse_surplus:
            in_flight = [exchange for exchange in self._exchanges.values() if not exchange.fate.silent]
            for exchange in in_flight[wanted:]:
                self._reset(exchange, ErrorCodes.REFUSED_STREAM)

    def _learn_from(self, answer: Answer) -> None:
        """Be harder on a sender that errs, and forgive it after the next acceptance (apple.md 1.3)."""
        plan = self._services.chaos.plan
        if answer.reason is None:
            if self._punished:
                # What was in flight when the limit fell is refused first: rise once the fall is acknowledged.
                self._rise_at_ack = self._punished = self._limit.falling
                self._announce_limit()
            return
        self._services.director.rejection(self)
        if not counts_as_error(answer.status):
            return
        self._errors += 1
        self._rise_at_ack = False
        if plan.limit_after_rejection and self._desk.auth.bound:
            self._punished = True
            self._announce_limit()
        if plan.too_many_errors is not None and self._errors >= plan.too_many_errors and self._last_stream is None:
            self.goaway(answer.reason)

    def _count_towards_the_end(self, stream: int) -> None:
        plan = self._services.chaos.plan
        if plan.goaway_every is not None and self._requests >= plan.goaway_every and self._last_stream is None:
            self.goaway("Shutdown", last_stream=stream)
        if plan.close_after is not None and self._requests >= plan.close_after.requests:
            self._wire.flush()
            self.drop(plan.close_after.mode)

    def _greet(self) -> None:
        limits, plan = self._services.limits, self._services.chaos.plan
        table = limits.header_table_size if plan.header_table_size is None else plan.header_table_size
        settings: dict[int, int] = {
            SettingCodes.HEADER_TABLE_SIZE: table,
            SettingCodes.MAX_CONCURRENT_STREAMS: self._limit.in_force,  # nothing is acknowledged before this frame
            SettingCodes.INITIAL_WINDOW_SIZE: self._announced_window,
            SettingCodes.MAX_FRAME_SIZE: limits.max_frame_size,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_header_list,
            **plan.settings,
        }
        self._wire.greet(settings, plan.window.connection)
        self._wire.flush()

    def _last_stream_of(self, how: Goaway) -> int:
        if how.kept is not None:
            kept = sorted(self._exchanges)[: how.kept]
            return kept[-1] if kept else 0
        if isinstance(how.last_stream, int):
            return how.last_stream
        return _MAX_STREAM if how.last_stream == "max" else self._highest_served

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._timers.append(self._loop.call_later(seconds, act))

    def _obey_plan(self) -> None:
        plan = self._services.chaos.plan
        self._wire.ignore_ping = plan.ignore_ping
        self._wire.ping_delay_s = plan.ping_delay_ms / 1000
        if plan.stop_reading != self._wire.stop_reading:
            self._wire.stop_reading = plan.stop_reading
            if plan.stop_reading:
                self._wire.pause_reading()
            else:
                unread, self._unread = bytes(self._unread), bytearray()
                self._loop.call_soon(self.data_received, unread)
                self._wire.resume_reading()
        self._wire.withhold_credit = plan.window.withhold

    def _gone(self, how: str) -> None:
        if self not in self._registry:
            return
        del self._registry[self]
        for timer in self._timers:
            timer.cancel()
        if self._alarm is not None:
            self._alarm.cancel()
        for stream in list(self._exchanges):
            self._abandon(stream, Ending.NO_ANSWER)
        self._desk.note(how)
