"""Two sockets and what lies between them: a TCP connection in memory, with everything that can befall one."""

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Protocol

BUFFERS = 256 * 1024
"""Octets that one direction holds, from the sender's socket to the receiver's, before `send` would block."""
GIVING_UP_S = 924.0
"""How long Linux retransmits before it tells the application (15 retries)."""
_LINGER = struct.Struct("ii")


class _Kind(Enum):
    DATA = auto()
    END = auto()
    RESET = auto()


class Kernel(Protocol):
    """What sockets tell whoever looks after all of them."""

    def woke(self, fd: int) -> None:
        """A socket may have become readable."""

    def gone(self, fd: int) -> None:
        """A socket was closed."""


class MemorySocket:
    """One end of a link, as far as asyncio's transports look at a socket."""

    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, fd: int, local: Any, peer: Any, family: socket.AddressFamily, kernel: "Kernel") -> None:
        self.family = family
        self._fd = fd
        self._local = local
        self._peer = peer
        self._kernel = kernel
        self._incoming = bytearray()
        self._ended = False
        self._error: OSError | None = None
        self._resets_on_close = False
        self._shut = False
        self.closed = False
        self.out: _Line | None = None
        """The direction that this socket writes to."""
        self.back: _Line | None = None
        """The direction that this socket reads from."""

    @property
    def readable(self) -> bool:
        """Whether `recv` would return at once."""
        return bool(self._incoming) or self._ended or self._error is not None

    @property
    def writable(self) -> bool:
        """Whether `send` would take something or fail at once."""
        return self._error is not None or (self.out is not None and self.out.room > 0)

    # What asyncio calls

    def fileno(self) -> int:
        return -1 if self.closed else self._fd

    def setblocking(self, _: bool) -> None:  # noqa: FBT001 - socket's own signature
        """Never blocks."""

    def gettimeout(self) -> float:
        return 0.0

    def getsockname(self) -> Any:
        return self._local

    def getpeername(self) -> Any:
        return self._peer

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._resets_on_close = _LINGER.unpack(value) == (1, 0)

    def recv_into(self, buffer: Any) -> int:
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def recv(self, size: int) -> bytes:
        if self._incoming:
            data = bytes(self._incoming[:size])
            del self._incoming[:size]
            if self.back is not None:
                self.back.consumed(len(data))
            return data
        if self._error is not None:
            raise self._error
        if self._ended:
            return b""
        raise BlockingIOError

    def send(self, data: Any) -> int:
        if self._error is not None:
            raise self._error
        if self._shut or self.out is None:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        size = min(len(data), self.out.room)
        if size <= 0:
            raise BlockingIOError
        self.out.put(_Kind.DATA, bytes(data[:size]))
        return size

    def sendmsg(self, buffers: Any) -> int:
        return self.send(b"".join(buffers))

    def shutdown(self, how: int) -> None:
        if how in (socket.SHUT_WR, socket.SHUT_RDWR) and not self._shut and self.out is not None:
            self._shut = True
            self.out.put(_Kind.END)

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self.out is not None and self._error is None:
            if self._resets_on_close or self._incoming:
                self.out.put(_Kind.RESET)
            elif not self._shut:
                self.out.put(_Kind.END)
        if self.out is not None:
            self.out.unattended()
        self._kernel.gone(self._fd)

    # What the link does to it

    def arrived(self, kind: "_Kind", data: bytes) -> None:
        """The other end's octets, its FIN or a RST have come through."""
        self._kernel.woke(self._fd)
        if kind is _Kind.RESET:
            self.fail(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
        elif kind is _Kind.END:
            self._ended = True
        elif not self.closed:
            self._incoming += data
        elif self.out is not None:  # nobody is here any more: TCP answers with RST
            self.out.put(_Kind.RESET)

    def fail(self, error: OSError) -> None:
        """The kernel has bad news."""
        self._kernel.woke(self._fd)
        self._error = self._error or error


class Link:
    """A connection through the network, from a sender's end to a server's, and what can be done to it on the way.

    Args:
        loop: whose time it lives in.
        delay: gives the one-way latency in seconds and the bandwidth in octets per second (None: any), as they are
            now; None: nothing gets through.
        client: the end that connected.
        server: the end that was connected to.
        address: of the server.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        delay: Callable[[], tuple[float, float | None] | None],
        client: MemorySocket,
        server: MemorySocket,
        address: str,
    ) -> None:
        self.client = client
        self.server = server
        self.address = address
        self.opened_at = loop.time()
        self._delay = delay
        self._black_hole = False
        self._forgotten = False
        self._up = client.out = server.back = _Line(loop, self._conditions, self._is_forgotten, client, server)
        self._down = server.out = client.back = _Line(loop, self._conditions, self._is_forgotten, server, client)

    @property
    def octets(self) -> tuple[int, int]:
        """How many octets the client has sent on it, and the server."""
        return self._up.carried, self._down.carried

    @property
    def open(self) -> bool:
        """Whether any end is open."""
        return not (self.client.closed and self.server.closed)

    def black_hole(self) -> None:
        """From now on nothing gets through, and nobody is told; TCP itself notices after a quarter of an hour."""
        self._black_hole = True

    def heal(self) -> None:
        """The path works again, and middleboxes know the connection: what was lost is sent again."""
        self._black_hole = self._forgotten = False
        self.look_again()

    def look_again(self) -> None:
        """Conditions have changed."""
        self._up.schedule()
        self._down.schedule()

    def forget(self) -> None:
        """A middlebox drops its state: whoever writes next gets RST."""
        self._forgotten = True

    def reset(self) -> None:
        """RST to both ends, as a middlebox sends it."""
        self._up.put(_Kind.RESET)
        self._down.put(_Kind.RESET)

    def end(self) -> None:
        """FIN to the client without a word of TLS before it; the server's end may go on reading."""
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_WR)

    def _is_forgotten(self) -> bool:
        return self._forgotten

    def _conditions(self) -> tuple[float, float | None] | None:
        return None if self._black_hole else self._delay()


class _Line:
    """One direction of a link: in order, after its latency, at its bandwidth, or not at all."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        conditions: Callable[[], tuple[float, float | None] | None],
        forgotten: Callable[[], bool],
        source: MemorySocket,
        target: MemorySocket,
    ) -> None:
        self._loop = loop
        self._conditions = conditions
        self._forgotten = forgotten
        self._source = source
        self._target = target
        self._queue: deque[tuple[float, _Kind, bytes]] = deque()
        self._held = 0
        self.carried = 0
        self._free_at = 0.0
        self._last_arrival = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._giving_up: asyncio.TimerHandle | None = None

    @property
    def room(self) -> int:
        """Octets that may be sent before the buffers are full."""
        return BUFFERS - self._held

    def consumed(self, size: int) -> None:
        """The receiver has read so much. Credit travels at once: a simplification that only the bandwidth feels."""
        self._held -= size

    def unattended(self) -> None:
        """The sender's end is closed: there is nobody to tell that nothing gets through."""
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def put(self, kind: _Kind, data: bytes = b"") -> None:
        """Send on."""
        if self._forgotten():
            if kind is not _Kind.RESET:
                latency, _ = self._conditions() or (0.0, None)
                error = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
                self._loop.call_later(2 * latency, self._source.fail, error)
            return
        self._held += len(data)
        self.carried += len(data)
        self._queue.append((self._arrival(len(data)), kind, data))
        self.schedule()

    def schedule(self) -> None:
        """Deliver what is due, and set a timer for the rest."""
        if self._conditions() is None:
            if self._queue and self._giving_up is None and not self._source.closed:
                self._giving_up = self._loop.call_later(GIVING_UP_S, self._give_up)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            return
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
        now = self._loop.time()
        while self._queue and self._queue[0][0] <= now:
            _, kind, data = self._queue.popleft()
            if self._target.closed:
                self._held -= len(data)
            self._target.arrived(kind, data)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._queue[0][0], self._due) if self._queue else None

    def _due(self) -> None:
        self._timer = None
        self.schedule()

    def _arrival(self, size: int) -> float:
        now = self._loop.time()
        latency, bandwidth = self._conditions() or (0.0, None)
        left = max(now, self._free_at) + (size / bandwidth if bandwidth else 0.0)
        self._free_at = left
        self._last_arrival = max(self._last_arrival, left + latency)
        return self._last_arrival

    def _give_up(self) -> None:
        self._queue.clear()
        self._giving_up = None
        self._source.fail(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
