"""One connection to APNs: a session on a TLS socket, its time limits and its signs of life.

Owned and fed by a pool. It answers one question, `room`, and reports one thing, that something has changed.
"""

import asyncio
import os
import random
import ssl
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, Generic, cast

from skerry.apns.addresses import Address
from skerry.apns.answer import Answer
from skerry.apns.headers import Letter
from skerry.apns.health import Bearing, Health
from skerry.apns.proxy import KEEP_ALIVE, TunnelError, connect_through
from skerry.apns.reasons import Remedy, remedy
from skerry.apns.session import Session
from skerry.apns.settings import PoolSettings
from skerry.apns.streams import OwnerT, Run
from skerry.domain.push import Endpoint

SUSPECT_AFTER: Final = 1.0
"""Seconds that a sign of life may be due before new pushes rather go elsewhere."""
KEEP_STREAMS: Final = 4
KEEP_OCTETS: Final = 4_096
"""What large batches leave free of a connection, so that a single push finds room at once: one largest body."""
IDS_LEAST: Final = 1_000_000
"""Stream ids left, below which a connection is renewed."""
KEEP_FROM: Final = 64
"""Streams that a connection must allow before some of them are kept free."""


class ConnectError(Exception):
    """A connection could not be made."""

    def __init__(self, text: str, *, fatal: bool = False, credential: bool = False) -> None:
        """What happened.

        Args:
            text: for people.
            fatal: trying this address again will not help before somebody mends something.
            credential: it is our key or certificate that was refused.
        """
        super().__init__(text)
        self.fatal = fatal
        self.credential = credential


class State(Enum):
    """What a connection is good for."""

    OPEN = "open"
    DRAINING = "draining"
    """No new pushes; the open ones are awaited."""
    CLOSED = "closed"


class Connection(asyncio.Protocol, Generic[OwnerT]):
    """A session and its socket. The pool takes what has settled from `session` after every `changed`."""

    def __init__(
        self,
        session: Session[OwnerT],
        settings: PoolSettings,
        changed: Callable[[], None],
        address: Address,
        bearing: Bearing | None = None,
    ) -> None:
        self.session: Session[OwnerT] = session
        self.address = address
        self.health = Health(bearing)
        self.lifetime = settings.max_age * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        """Seconds after which it is renewed: not all at once."""
        self.drained = False
        """It was we who wanted it to end."""
        self.slow = False
        """Far slower than its neighbours: one push at a time, until it has recovered. The pool says so."""
        self._settings = settings
        self._changed = changed
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._writable = True
        self.opened_at = self.used_at = self._heard_at = self._loop.time()
        self._ping_at = 0.0
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def state(self) -> State:
        """What it is good for now."""
        if self.closed.done() or self.session.failure is not None:
            return State.CLOSED
        return State.OPEN if self.session.accepting else State.DRAINING

    @property
    def tls_version(self) -> str | None:
        """Such as `TLSv1.3`."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return None if tls is None else str(tls.version())

    @property
    def is_suspect(self) -> bool:
        """Whether it owes a sign of life."""
        return self.session.ping_outstanding is not None and self._loop.time() - self._ping_at > SUSPECT_AFTER

    @property
    def is_unproved(self) -> bool:
        """Whether its first push is still out, which APNs answers before it allows more (apple.md 1.3)."""
        return self.session.answered == 0 and (self.session.stream_limit or 0) <= 1 and self.session.open_streams > 0

    def is_old(self, now: float) -> bool:
        """Whether it is time for a successor: of age, or nearly out of stream ids."""
        return now - self.opened_at > self.lifetime or self.session.ids_left < IDS_LEAST

    def room(self, body_length: int, *, keep: bool) -> int:
        """How many pushes with such a body may go out now: none while the socket is full or the peer is silent.

        Args:
            body_length: in octets.
            keep: leave some room for single pushes.
        """
        session = self.session
        if not self._writable or self._transport is None:
            return 0
        room = session.room(body_length, KEEP_OCTETS if keep else 0)
        if room <= 0 or self.is_suspect:
            return 0
        if self.slow:
            return min(room, 1 - session.open_streams)
        if keep and (session.stream_limit or 0) >= KEEP_FROM:
            room -= KEEP_STREAMS
        # What is kept free lies beyond the cap, which says what is worth while and not what is allowed.
        worth = self.health.cap if keep else self.health.cap + KEEP_STREAMS
        return min(room, worth - session.open_streams)

    def send(
        self, letter: Letter, tokens: Sequence[bytes], *, authorization: bytes, owner: OwnerT, places: Sequence[int],
        deadline: float, answers: dict[int, Answer] | None = None, bodies: Sequence[bytes] | None = None,
    ) -> Run[OwnerT]:  # fmt: skip
        """Open one stream per token; see `Session.send`."""
        run = self.session.send(
            letter,
            tokens,
            authorization=authorization,
            owner=owner,
            places=places,
            deadline=deadline,
            answers=answers,
            bodies=bodies,
        )
        run.sent_at = self.used_at = self._loop.time()
        self._flush()
        return run

    def cancel(self, run: Run[OwnerT], cause: str) -> None:
        """Give up on what is open of a run."""
        self.session.cancel(run, cause)
        self._flush()

    def drain(self) -> None:
        """Take no new pushes, and close once the open ones are answered."""
        self.drained = True
        self.session.drain()
        self._close_if_done()

    def tick(self, now: float) -> None:
        """Time has passed: expire what is overdue, ask for a sign of life, or notice that none came.

        The pool, which calls this, looks at what has settled by itself.
        """
        self.session.expire(now)
        if self.session.ping_outstanding is not None:
            if now - self._ping_at > self._settings.ping_timeout and self._heard_at < self._ping_at:
                self.abort("connection_lost")
                return
            if self._heard_at >= self._ping_at:
                self.session.ping_outstanding = None
        elif self.session.stream_limit is not None and now - self._heard_at > self._patience(now):
            self._ping_at = now
            self.session.ping(os.urandom(8))
        self._flush()
        self._close_if_done()

    def close(self) -> None:
        """Say goodbye and close; what is open becomes `UNKNOWN`."""
        if self._transport is not None and not self._transport.is_closing():
            self.session.shut_down()
            self._flush()
            self._transport.close()
        self._give_up("shutdown")

    def abort(self, cause: str) -> None:
        """The peer is not there any more: drop the socket."""
        if self._transport is not None:
            self._transport.abort()
        self._give_up(cause)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is up: our preface and SETTINGS go out."""
        # uvloop has its own class of transport: the loop promises the interface, not the inheritance.
        self._transport = stream = cast("asyncio.Transport", transport)
        stream.set_write_buffer_limits(high=256 * 1024)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        self._heard_at = self._loop.time()
        self.session.receive(data)
        self._flush()
        if self.session.failure is not None:
            if self._transport is not None:
                self._transport.close()
            self._give_up(self.session.failure)
            return
        if self.session.stream_limit is not None and not self.ready.done():
            self.ready.set_result(None)
        self._close_if_done()
        self._changed()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._give_up("connection_lost" if exc is None else f"connection_lost: {exc}")

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        self._writable = False

    def resume_writing(self) -> None:
        """There is room in it again."""
        self._writable = True
        self._changed()

    def _patience(self, now: float) -> float:
        """Seconds of silence that are nothing to worry about: fewer once something is out that wants an answer."""
        oldest = next(iter(self.session.runs), None)
        waits = oldest is not None and now - oldest.sent_at > self._settings.silence_limit
        if waits:
            return self._settings.silence_limit
        longest = self._settings.ping_interval
        return longest if self._settings.proxy is None else min(longest, KEEP_ALIVE)

    def _flush(self) -> None:
        outgoing = self.session.take_outgoing()
        if outgoing and self._transport is not None and not self._transport.is_closing():
            self._transport.write(outgoing)

    def _close_if_done(self) -> None:
        if not self.session.accepting and self.session.open_streams == 0 and self._transport is not None:
            self._transport.close()

    def _give_up(self, cause: str) -> None:
        self.session.lost(cause.split(":", 1)[0])
        if not self.ready.done():
            goaway = self.session.goaway
            said = f" ({goaway.reason})" if goaway is not None and goaway.reason else ""
            credential = goaway is not None and remedy(goaway.reason) is Remedy.FIX_CREDENTIAL
            text = f"the server ended the connection{said or f': {cause}'}"
            self.ready.set_exception(ConnectError(text, fatal=credential, credential=credential))
            self.ready.exception()  # whoever waits hears of it; nobody has to
        if not self.closed.done():
            self.closed.set_result(None)
        self._changed()


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """TLS 1.2 or newer, ALPN `h2`, the endpoint's roots or the system's.

    Raises:
        ConnectError: if the bundle cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConnectError(f"cannot read the CA bundle {endpoint.ca_file}: {error}", fatal=True) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    return context


async def connect(
    endpoint: Endpoint,
    address: Address,
    context: ssl.SSLContext,
    session: Session[OwnerT],
    settings: PoolSettings,
    changed: Callable[[], None],
    bearing: Bearing | None = None,
) -> Connection[OwnerT]:
    """Open a connection to one of the endpoint's addresses, or its proxy's, and wait for the peer's first SETTINGS.

    Raises:
        ConnectError: saying which phase failed, and whether trying again can help.
    """
    loop = asyncio.get_running_loop()
    connection: Connection[OwnerT] | None = None

    def factory() -> Connection[OwnerT]:
        return Connection(session, settings, changed, address, bearing)

    try:
        async with asyncio.timeout(settings.connect_timeout):
            if settings.proxy is not None:
                transport, connection = await connect_through(settings.proxy, address.text, endpoint, context, factory)
            else:
                transport, connection = await loop.create_connection(
                    factory, address.text, endpoint.port, ssl=context, server_hostname=endpoint.host
                )
            _require_http2(transport, endpoint)
            await connection.ready
    except BaseException as error:
        if connection is not None:
            connection.abort("connect_failed")
        where = str(endpoint) if address.text == endpoint.host else f"{endpoint} at {address.text}"
        if settings.proxy is not None:
            where = f"{endpoint} through the proxy {settings.proxy}"
        explained = _explained(error, where, settings.connect_timeout)
        if explained is None:
            raise
        raise explained from error
    return connection


def _explained(error: BaseException, where: str, limit: float) -> ConnectError | None:  # noqa: PLR0911 - one a kind
    """What went wrong with an attempt, in words that help; None: it speaks for itself, or is no failure."""
    match error:
        case ssl.SSLCertVerificationError():
            why = f"{where} is not trusted: {error.verify_message}; set the right CA bundle for this endpoint"
            return ConnectError(why, fatal=True)
        case ssl.SSLError() if "ALERT" in (error.reason or ""):
            return ConnectError(f"{where} refused TLS: {error.reason}", fatal=True, credential=True)
        case TimeoutError():
            return ConnectError(f"{where} did not answer within {limit:g} s")
        case TunnelError() if error.refused:
            return ConnectError(str(error), fatal=True, credential=True)
        case OSError():
            return ConnectError(f"cannot reach {where}: {error}")
        case ValueError():
            return ConnectError(f"{where} is no address of a server: {error}", fatal=True)
    return None


def _require_http2(transport: asyncio.Transport, endpoint: Endpoint) -> None:
    chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
    if chosen != "h2":
        raise ConnectError(f"{endpoint} does not speak HTTP/2 (ALPN gave {chosen})", fatal=True)
