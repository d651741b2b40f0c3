"""Where connections arrive, before HTTP/2: whom the simulated APNs lets in, and with which certificate."""

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, cast

from skerry.simulator.apns.fault import Selector, selecting, selection
from skerry.simulator.apns.fields import ChaosError, Fields, told
from skerry.simulator.apns.tls import FLAWS

_TLS_TIMEOUT_S = 10.0
_TLS_SHUTDOWN_TIMEOUT_S = 1.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_FATAL = 2

ALERTS: Mapping[str, int] = MappingProxyType(
    {
        "handshake_failure": 40,
        "bad_certificate": 42,
        "certificate_revoked": 44,
        "certificate_expired": 45,
        "certificate_unknown": 46,
        "unknown_ca": 48,
        "access_denied": 49,
        "internal_error": 80,
        "no_application_protocol": 120,
    }
)
"""TLS alerts by their names in RFC 8446."""

HOWS = ("stall", "rst", "eof", "alert", "flawed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival(Selector):
    """What becomes of new connections instead of TLS and HTTP/2."""

    how: str
    """`stall`: the ClientHello is never answered. `rst`, `eof`: the connection ends at once. `alert`: the ClientHello
    is answered with a TLS alert. `flawed`: the certificate is not good."""
    alert: str = "handshake_failure"
    flaw: str = "untrusted"


@dataclass(frozen=True, slots=True)
class ConnectionRate:
    """Whoever connects too often is taken for an attacker (apple.md 1.2)."""

    connections: int
    per_s: float
    block_s: float
    """How long nobody is let in after one too many: connections are reset."""

    def as_dict(self) -> dict[str, Any]:
        """As in the plan."""
        return told(self)


def read_arrival(value: object, where: str) -> Arrival:
    """A selector with `how`, `alert`, `flaw`."""
    fields = Fields(value, where)
    chosen = selection(fields)
    how = fields.text("how", HOWS)
    if how is None:
        raise ChaosError(f"{fields.name('how')} is missing: one of {', '.join(HOWS)}")
    arrival = Arrival(
        **chosen,
        how=how,
        alert=fields.text("alert", tuple(ALERTS)) or "handshake_failure",
        flaw=fields.text("flaw", FLAWS) or "untrusted",
    )
    fields.finish()
    return arrival


def read_connection_rate(value: object, where: str) -> ConnectionRate:
    """`{"connections", "per_s", "block_s"}`."""
    fields = selecting(value, where)
    rate = ConnectionRate(
        connections=fields.whole("connections", 10, 1) or 10,
        per_s=fields.number("per_s", 1.0, 0.001) or 1.0,
        block_s=fields.number("block_s", 60.0, 0.0) or 0.0,
    )
    fields.finish()
    return rate


class Turnstile:
    """Counts arrivals for a `ConnectionRate`. Time is passed in."""

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque()
        self._blocked_until = 0.0

    def lets_in(self, rate: ConnectionRate, now: float) -> bool:
        """Whether one more may come in now."""
        if now < self._blocked_until:
            return False
        while self._arrivals and self._arrivals[0] <= now - rate.per_s:
            self._arrivals.popleft()
        self._arrivals.append(now)
        if len(self._arrivals) > rate.connections:
            self._blocked_until = now + rate.block_s
            self._arrivals.clear()
            return False
        return True


class Host(Protocol):
    """Who decides about arrivals, and takes over those that are let in."""

    def arrive(self, address: str | None) -> tuple[int, Arrival | None]:
        """The number of a new connection, and what becomes of it; None: it is served."""

    def serve(self, number: int, address: str | None) -> asyncio.Protocol:
        """The protocol that takes over once TLS is up."""

    def context(self, flaw: str | None) -> ssl.SSLContext:
        """The certificate to show."""

    def turned_away(self, number: int, how: str) -> None:
        """For the book."""


class Door(asyncio.Protocol):
    """One TCP connection until TLS is up, or for good where it is not let in.

    Args:
        host: decides.
        standing: this door is in it while its connection is neither served nor closed.
    """

    def __init__(self, host: Host, standing: dict["Door", None]) -> None:
        self._host = host
        self._standing = standing
        self._transport: asyncio.Transport | None = None
        self._number = 0
        self._address: str | None = None
        self._arrival: Arrival | None = None
        self._task: asyncio.Task[None] | None = None
        self._hello = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody is at the door."""
        self._transport = stream = cast("asyncio.Transport", transport)
        self._standing[self] = None
        name = stream.get_extra_info("sockname")
        self._address = name[0] if isinstance(name, tuple) else None
        self._number, self._arrival = self._host.arrive(self._address)
        arrival = self._arrival
        if arrival is None or arrival.how == "flawed":
            stream.pause_reading()
            context = self._host.context(None if arrival is None else arrival.flaw)
            self._task = asyncio.get_running_loop().create_task(self._let_in(stream, context))
            return
        self._host.turned_away(self._number, arrival.how)
        if arrival.how == "stall":
            stream.pause_reading()
        elif arrival.how == "rst":
            reset(stream)
        elif arrival.how == "eof":
            stream.close()

    def data_received(self, data: bytes) -> None:
        """A ClientHello: answered with an alert where that is wanted, else kept until TLS has begun.

        uvloop begins to read after `connection_made`, whatever that has paused: what is there already comes here.
        """
        if self._arrival is None or self._arrival.how == "flawed":
            self._hello += data
        elif self._transport is not None:
            alert = ALERTS[self._arrival.alert]
            self._transport.write(b"\x15\x03\x03\x00\x02" + bytes((_FATAL, alert)))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - it does not matter why
        """Gone."""
        self._standing.pop(self, None)

    async def close(self) -> None:
        """Nobody is let in any more."""
        self._standing.pop(self, None)
        if self._transport is not None:
            self._transport.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _let_in(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        """Do TLS, then hand over, with whatever the sender has said meanwhile."""
        early, loop = _Early(), asyncio.get_running_loop()
        starting = loop.create_task(
            loop.start_tls(
                transport,
                early,
                context,
                server_side=True,
                ssl_handshake_timeout=_TLS_TIMEOUT_S,
                ssl_shutdown_timeout=_TLS_SHUTDOWN_TIMEOUT_S,
            )
        )
        try:
            await asyncio.sleep(0)  # it has put its own protocol in our place, and reads from the next turn on
            if self._hello:
                loop.call_soon(_hand_over, transport, self._hello)
            tls = await starting
        except (OSError, ssl.SSLError) as error:
            self._host.turned_away(self._number, f"TLS failed: {error}")
            return
        finally:
            self._standing.pop(self, None)
        if tls is None or early.lost:
            return
        served = self._host.serve(self._number, self._address)
        tls.set_protocol(served)
        served.connection_made(tls)
        if early.heard:
            served.data_received(bytes(early.heard))


def _hand_over(transport: asyncio.Transport, hello: bytes) -> None:
    """Let the protocol of a transport have what was read before it came."""
    protocol = cast("asyncio.BufferedProtocol", transport.get_protocol())
    memoryview(protocol.get_buffer(len(hello)))[: len(hello)] = hello
    protocol.buffer_updated(len(hello))


class _Early(asyncio.Protocol):
    """Keeps what comes in the same breath as the end of the TLS handshake."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, _: Exception | None) -> None:
        self.lost = True


def reset(transport: asyncio.Transport) -> None:
    """Close with a TCP reset: what was written and has not arrived is lost."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
