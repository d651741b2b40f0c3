"""An HTTP proxy on the way to APNs: each connection is a tunnel of its own (`CONNECT`, RFC 9110 section 9.3.6).

The proxy sees host, port and the size of what goes through. TLS is spoken with APNs inside the tunnel, so that its name
and certificate are checked as without one; nothing the proxy does can change that.
"""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

from skerry.domain.push import Endpoint

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)

MOST_HEAD: Final = 16 * 1024
"""Bytes of a proxy's answer."""
KEEP_ALIVE: Final = 25.0
"""Seconds without a sign of life through a tunnel: proxies drop what is idle, most of them after a minute."""
_UNKNOWN_USER: Final = frozenset({401, 407})
"""407 is the word for it; tinyproxy says 401 to a wrong password."""
_FORBIDDEN: Final = 403
_OK: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it is, and who we are there."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)
    """The value of `proxy-authorization`."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `http://[user:password@]host[:port]`, without a port 3128.

        Raises:
            ValueError: saying what it has to look like.
        """
        parts = urlsplit(url)
        try:
            port = parts.port or 3128
        except ValueError as error:
            raise ValueError(f"the port of the proxy is none: {error}") from error
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("must be http://host:port, or http://user:password@host:port")
        authorization = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = "Basic " + b64encode(pair.encode()).decode("ascii")
        return cls(parts.hostname, port, authorization)

    def __str__(self) -> str:
        """Host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class TunnelError(OSError):
    """The proxy does not let us through. `refused`: it wants to know who we are, or does not like who we are."""

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


async def connect_through(
    proxy: Proxy, address: str, endpoint: Endpoint, context: SSLContext, factory: Callable[[], ProtocolT]
) -> tuple[asyncio.Transport, ProtocolT]:
    """Open a tunnel to an endpoint through a proxy at this address, and TLS with the endpoint inside of it.

    As `loop.create_connection` with `ssl`; time limits are the caller's.

    Raises:
        TunnelError: if the proxy refuses.
        OSError: if it cannot be reached, or TLS fails.
    """
    loop = asyncio.get_running_loop()
    plain, reply = await loop.create_connection(_Reply, address, proxy.port)
    early = _Early()
    try:
        plain.write(_request(proxy, endpoint))
        _require_tunnel(proxy, *await reply.head)
        tls = await loop.start_tls(plain, early, context, server_hostname=endpoint.host)
    except BaseException:
        plain.abort()
        raise
    if tls is None:  # it was closed while the handshake ended
        raise TunnelError(f"the proxy {proxy} closed the tunnel")
    protocol = factory()
    tls.set_protocol(protocol)
    protocol.connection_made(tls)
    early.pass_on(protocol)
    return tls, protocol


def _request(proxy: Proxy, endpoint: Endpoint) -> bytes:
    target = f"[{endpoint.host}]:{endpoint.port}" if ":" in endpoint.host else f"{endpoint.host}:{endpoint.port}"
    who = f"proxy-authorization: {proxy.authorization}\r\n" if proxy.authorization is not None else ""
    return f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{who}\r\n".encode()


def _require_tunnel(proxy: Proxy, head: bytes, rest: bytes) -> None:
    line = head.partition(b"\r\n")[0].decode("latin-1")
    version, _, said = line.partition(" ")
    if not version.startswith("HTTP/1.") or not said[:3].isdigit():
        raise TunnelError(f"{proxy} does not answer as an HTTP proxy does: {line[:100]!r}", refused=True)
    status = int(said[:3])
    if status in _UNKNOWN_USER:
        wrong = "does not accept this user and password" if proxy.authorization else "wants a user and a password"
        raise TunnelError(f"the proxy {proxy} {wrong} ({status}): set them in apns.proxy", refused=True)
    if status == _FORBIDDEN:
        raise TunnelError(f"the proxy {proxy} does not allow tunnels to APNs (403): permit them there", refused=True)
    if status not in _OK:
        raise TunnelError(f"the proxy {proxy} does not open the tunnel: {said[:100]}")
    if rest:  # APNs says nothing before our TLS hello
        raise TunnelError(f"the proxy {proxy} says something of its own in the tunnel", refused=True)


class _Reply(asyncio.Protocol):
    """Waits for the end of the head of the proxy's answer, in however many pieces it comes.

    `head` is that, and what came with it: of a refusal, some of its body.
    """

    def __init__(self) -> None:
        self.head: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self.head.done():
            return
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if end:
            self.head.set_result((head, rest))
        elif len(self._received) > MOST_HEAD:
            self.head.set_exception(TunnelError("the proxy's answer has no end", refused=True))

    def connection_lost(self, _: Exception | None) -> None:
        if not self.head.done():
            self.head.set_exception(TunnelError("the proxy closed the connection instead of answering"))


class _Early(asyncio.Protocol):
    """What comes out of the tunnel before its owner is there: APNs' SETTINGS may come with the end of the handshake."""

    def __init__(self) -> None:
        self._received: list[bytes] = []
        self._lost: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        self._received.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.append(exc)

    def pass_on(self, protocol: asyncio.Protocol) -> None:
        for data in self._received:
            protocol.data_received(data)
        for error in self._lost:
            protocol.connection_lost(error)
