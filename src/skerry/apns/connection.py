"""One connection to APNs: a session on a TLS socket, its time limits and its signs of life.

Owned and fed by a pool. It answers one question, `room`, and reports one thing, that something has changed.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Generic, cast

from skerry.apns.headers import Letter
from skerry.apns.session import Session
from skerry.apns.settings import PoolSettings
from skerry.apns.streams import OwnerT, Run
from skerry.domain.push import Endpoint


class ConnectError(Exception):
    """A connection could not be made. `fatal`: trying again will not help before somebody mends something."""

    def __init__(self, text: str, *, fatal: bool = False) -> None:
        super().__init__(text)
        self.fatal = fatal


class State(Enum):
    """What a connection is good for."""

    OPEN = "open"
    DRAINING = "draining"
    """No new pushes; the open ones are awaited."""
    CLOSED = "closed"


class Connection(asyncio.Protocol, Generic[OwnerT]):
    """A session and its socket. The pool takes what has settled from `session` after every `changed`."""

    def __init__(self, session: Session[OwnerT], settings: PoolSettings, changed: Callable[[], None]) -> None:
        self.session: Session[OwnerT] = session
        self._settings = settings
        self._changed = changed
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._writable = True
        self._heard_at = self._loop.time()
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

    def room(self, body_length: int) -> int:
        """How many pushes with such a body may go out now: none while the socket is full."""
        return self.session.room(body_length) if self._writable and self._transport is not None else 0

    def send(
        self, letter: Letter, tokens: Sequence[bytes], *, authorization: bytes, owner: OwnerT, places: Sequence[int],
        deadline: float,
    ) -> None:  # fmt: skip
        """Open one stream per token; see `Session.send`."""
        self.session.send(letter, tokens, authorization=authorization, owner=owner, places=places, deadline=deadline)
        self._flush()

    def cancel(self, run: Run[OwnerT], cause: str) -> None:
        """Give up on what is open of a run."""
        self.session.cancel(run, cause)
        self._flush()

    def drain(self) -> None:
        """Take no new pushes, and close once the open ones are answered."""
        self.session.drain()
        self._close_if_done()

    def tick(self, now: float) -> None:
        """Time has passed: expire what is overdue, ask for a sign of life, or notice that none came."""
        self.session.expire(now)
        if self.session.ping_outstanding is not None:
            if now - self._ping_at > self._settings.ping_timeout and self._heard_at < self._ping_at:
                self.abort("connection_lost")
                return
            if self._heard_at >= self._ping_at:
                self.session.ping_outstanding = None
        elif now - self._heard_at > self._settings.ping_interval and self.session.stream_limit is not None:
            self._ping_at = now
            self.session.ping(os.urandom(8))
        self._flush()
        self._close_if_done()
        self._changed()

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
            self.ready.set_exception(ConnectError(f"the server ended the connection{said or f': {cause}'}"))
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
    context: ssl.SSLContext,
    session: Session[OwnerT],
    settings: PoolSettings,
    changed: Callable[[], None],
) -> Connection[OwnerT]:
    """Open a connection and wait for the peer's first SETTINGS.

    Raises:
        ConnectError: saying which phase failed, and whether trying again can help.
    """
    loop = asyncio.get_running_loop()
    connection: Connection[OwnerT] | None = None
    try:
        async with asyncio.timeout(settings.connect_timeout):
            transport, connection = await loop.create_connection(
                lambda: Connection(session, settings, changed), endpoint.host, endpoint.port, ssl=context
            )
            _require_http2(transport, endpoint)
            await connection.ready
    except BaseException as error:
        if connection is not None:
            connection.abort("connect_failed")
        match error:
            case ssl.SSLCertVerificationError():
                why = f"{endpoint} is not trusted: {error.verify_message}; set the right CA bundle for this endpoint"
                raise ConnectError(why, fatal=True) from error
            case TimeoutError():
                raise ConnectError(f"{endpoint} did not answer within {settings.connect_timeout:g} s") from error
            case OSError():
                raise ConnectError(f"cannot reach {endpoint}: {error}") from error
        raise
    return connection


def _require_http2(transport: asyncio.Transport, endpoint: Endpoint) -> None:
    chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
    if chosen != "h2":
        raise ConnectError(f"{endpoint} does not speak HTTP/2 (ALPN gave {chosen})", fatal=True)
