"""Names, addresses and what is wrong with them: the network that a `VirtualLoop` lives in."""

import asyncio
import errno
import itertools
import os
import random
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from skerry.simulator.virtual.link import Kernel, Link, MemorySocket

CONNECT_GIVING_UP_S = 127.0
"""How long Linux repeats a SYN before it tells the application."""
_FIRST_FD = 1 << 20
_EPHEMERAL = 49_152


class Reach(StrEnum):
    """What becomes of a SYN."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"
    """It is dropped: the connection attempt hangs."""
    UNREACHABLE = "unreachable"
    """There is no route: the attempt fails at once, as IPv6 does on a host that has none."""


@dataclass(slots=True)
class Host:
    """An address and the path to it. Every field may be changed at any time; open connections feel it too."""

    latency_s: float = 0.02
    """One way."""
    bandwidth: float | None = None
    """Octets per second in each direction of each connection; None: any."""
    reach: Reach = Reach.OPEN
    """For new connections."""
    black_hole: bool = False
    """Nothing gets through, in either direction, and nobody is told."""
    attempts: list[float] = field(default_factory=list)
    """When connections were attempted, in the loop's time."""


@dataclass(slots=True)
class Name:
    """What a name resolves to. Every field may be changed at any time."""

    addresses: Sequence[str] = ()
    answers: int | None = None
    """So many of the addresses, drawn anew each time; None: all of them in order."""
    failure: int | None = None
    """A `socket.EAI_…` code."""
    delay_s: float = 0.0
    lookups: int = 0


def is_memory(fd: int) -> bool:
    """Whether a file descriptor is one of ours."""
    return fd >= _FIRST_FD


class Network:
    """All there is.

    Args:
        seed: of the dice, which only decide the order of a name's addresses.
    """

    def __init__(self, seed: int = 0) -> None:
        self.names: dict[str, Name] = {}
        self.hosts: dict[str, Host] = {}
        self.sockets: dict[int, MemorySocket | _Listener] = {}
        self.awake: dict[int, None] = {}
        """File descriptors of sockets that may be readable."""
        self._dice = random.Random(seed)  # noqa: S311 - a run must repeat
        self._links: list[Link] = []
        self._listeners: dict[tuple[str, int], _Listener] = {}
        self._fds = itertools.count(_FIRST_FD)
        self._ports = itertools.count(_EPHEMERAL)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def links(self) -> list[Link]:
        """The open connections, oldest first."""
        self._links = [link for link in self._links if link.open]
        return list(self._links)

    def host(self, address: str) -> Host:
        """The conditions at an address; made on first mention."""
        return self.hosts.setdefault(address, Host())

    def changed(self) -> None:
        """Call after changing a host's `black_hole`, so that what was held back goes on."""
        for link in self.links:
            link.look_again()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Whose time it is. A network belongs to one loop."""
        self._loop = loop

    async def resolve(self, host: Any, port: Any) -> list[tuple[Any, ...]]:
        """As `getaddrinfo` for TCP.

        Raises:
            socket.gaierror: for a name that is not known, or that is made to fail.
        """
        text = host.decode() if isinstance(host, bytes) else str(host)
        if text in self.hosts:
            return [_info(text, port)]
        name = self.names.get(text)
        if name is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        name.lookups += 1
        if name.delay_s:
            await asyncio.sleep(name.delay_s)
        if name.failure is not None:
            raise socket.gaierror(name.failure, "Temporary failure in name resolution")
        addresses = list(name.addresses)
        if name.answers is not None:
            addresses = self._dice.sample(addresses, min(name.answers, len(addresses)))
        return [_info(address, port) for address in addresses]

    def listen(self, address: str, port: int) -> "_Listener":
        """A listening socket.

        Raises:
            OSError: if the address and port are taken.
        """
        if (address, port) in self._listeners:
            raise OSError(errno.EADDRINUSE, f"{address}:{port} is taken")
        self.host(address)
        fd = next(self._fds)
        listener = self._listeners[address, port] = _Listener(fd, (address, port), self)
        self.sockets[fd] = listener
        return listener

    async def connect(self, address: tuple[Any, ...]) -> MemorySocket:
        """Connect to an IP address and port.

        Raises:
            OSError: as the path and the address have it.
        """
        loop = self._loop
        assert loop is not None
        ip, port = address[0], address[1]
        host = self.host(ip)
        host.attempts.append(loop.time())
        if host.reach is Reach.UNREACHABLE:
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        if host.reach is Reach.SILENT or host.black_hole:
            await asyncio.sleep(CONNECT_GIVING_UP_S)
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        await asyncio.sleep(host.latency_s)
        listener = self._listeners.get((ip, port))
        if host.reach is Reach.REFUSED or listener is None:
            await asyncio.sleep(host.latency_s)
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        client, server = self._pair(address)
        link = Link(loop, lambda: None if host.black_hole else (host.latency_s, host.bandwidth), client, server, ip)
        self._links.append(link)
        listener.waiting.append(server)
        self.woke(listener.fileno())
        try:
            await asyncio.sleep(host.latency_s)
        except asyncio.CancelledError:
            client.close()
            raise
        return client

    def _pair(self, server_name: tuple[Any, ...]) -> tuple[MemorySocket, MemorySocket]:
        family = _family(server_name[0])
        client_name = ("192.0.2.1" if family is socket.AF_INET else "2001:db8::1", next(self._ports))
        ends = []
        for local, peer in ((client_name, server_name), (server_name, client_name)):
            fd = next(self._fds)
            end = self.sockets[fd] = MemorySocket(fd, local, peer, family, self)
            ends.append(end)
        return ends[0], ends[1]

    def woke(self, fd: int) -> None:
        """A socket may have become readable."""
        self.awake[fd] = None

    def gone(self, fd: int) -> None:
        """A socket was closed."""
        self.awake.pop(fd, None)
        gone = self.sockets.pop(fd, None)
        if isinstance(gone, _Listener):
            self._listeners.pop(gone.getsockname(), None)


class _Listener(MemorySocket):
    """A listening socket."""

    def __init__(self, fd: int, name: tuple[str, int], kernel: Kernel) -> None:
        super().__init__(fd, name, None, _family(name[0]), kernel)
        self.waiting: deque[MemorySocket] = deque()

    @property
    def readable(self) -> bool:
        """Whether somebody has connected."""
        return bool(self.waiting)

    @property
    def writable(self) -> bool:
        """Never."""
        return False

    def listen(self, _: int) -> None:
        """The backlog has no end."""

    def accept(self) -> tuple[MemorySocket, Any]:
        if not self.waiting:
            raise BlockingIOError
        end = self.waiting.popleft()
        return end, end.getpeername()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _info(address: str, port: Any) -> tuple[Any, ...]:
    family = _family(address)
    name = (address, port, 0, 0) if family is socket.AF_INET6 else (address, port)
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", name)
