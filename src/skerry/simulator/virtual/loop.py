"""An event loop whose time is virtual: it does not wait for the next timer, it jumps to it.

Everything between the coroutine and the socket is asyncio's own: name resolution order, happy eyeballs, transports,
TLS. A run repeats exactly, but for what the code under test draws from the operating system.
"""

import asyncio
import selectors
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from skerry.simulator.virtual.link import MemorySocket
from skerry.simulator.virtual.network import Network, is_memory

_REAL_WAIT_S = 30.0
"""Longest real wait for a thread that somebody holds time for; far above any write to a local disk."""


class StandstillError(RuntimeError):
    """Nothing is ready and nothing ever will be: whoever is awaited has no timer and no peer."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs on virtual time over an in-memory network.

    Threads do not know about virtual time. Code that needs one (a store on disk) is awaited inside `standing_still`:
    then the loop waits for it in real time, and no virtual time passes.

    Args:
        network: where sockets are made; real ones cannot be opened through this loop.
        start: seconds since 1970 UTC that the virtual wall clock shows at first.
    """

    def __init__(self, network: Network, start: float = 1_790_000_000.0) -> None:
        self._now = 0.0
        self._start = start
        self._held = 0
        self.network = network
        super().__init__(_VirtualSelector(self))
        network.attach(self)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def wall(self) -> float:
        """Virtual seconds since 1970 UTC."""
        return self._start + self._now

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let no virtual time pass in the block: a real thread is at work for it."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def timers(self) -> int:
        """How many timers are set that have not been cancelled: what is left over when all should be quiet."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return sum(not handle.cancelled() for handle in scheduled)

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
        """Answer from the network's names."""
        return await self.network.resolve(host, port)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        """Listen on one address or several; every address must be given a port."""
        hosts = [host] if isinstance(host, str) else list(host or ())
        servers = []
        for one in hosts:
            listener: Any = self.network.listen(one, port)
            servers.append(await super().create_server(protocol_factory, sock=listener, **options))
        return servers[0] if len(servers) == 1 else _Servers(servers)

    async def _connect_sock(
        self, exceptions: list[Any], addr_info: Any, local_addr_infos: Any = None  # noqa: ARG002 - BaseEventLoop's
    ) -> MemorySocket:  # fmt: skip
        """In place of `BaseEventLoop._connect_sock`, whose contract it keeps: failures are collected and raised."""
        mine: list[OSError] = []
        exceptions.append(mine)
        try:
            return await self.network.connect(addr_info[4])
        except OSError as error:
            mine.append(error)
            raise

    def select(self, timeout: float | None, ready: list[Any]) -> bool:
        """What to do about `timeout` seconds of nothing. True: look again, a thread may have something to say.

        Raises:
            StandstillError: if nothing can happen any more.
        """
        if ready or timeout == 0:
            return False
        if self._held:
            return True
        if timeout is None:
            raise StandstillError("nothing is ready, no timer is set, and somebody waits for ever")
        self._now += timeout
        return False


class _Servers:
    """Several listeners as one."""

    def __init__(self, servers: list[asyncio.Server]) -> None:
        self._servers = servers

    @property
    def sockets(self) -> tuple[Any, ...]:
        return tuple(one for server in self._servers for one in server.sockets)

    def close(self) -> None:
        for server in self._servers:
            server.close()

    async def wait_closed(self) -> None:
        for server in self._servers:
            await server.wait_closed()


class _VirtualSelector(selectors.BaseSelector):
    """Memory sockets are asked; the loop's own wake-up pipe is a real one."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()
        self._memory: dict[int, selectors.SelectorKey] = {}
        self._writers: dict[int, None] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if not is_memory(fd):
            return self._real.register(fileobj, events, data)
        if fd in self._memory:
            raise KeyError(f"{fd} is registered already")
        return self._note(selectors.SelectorKey(fileobj, fd, events, data))

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if not is_memory(fd):
            return self._real.unregister(fileobj)
        self._writers.pop(fd, None)
        return self._memory.pop(fd)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if not is_memory(fd):
            return self._real.modify(fileobj, events, data)
        return self._note(self._memory[fd]._replace(events=events, data=data))

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._ready()
        ready += self._real.select(0)
        if self._loop.select(timeout, ready):
            ready = self._real.select(_REAL_WAIT_S)
        return ready

    def close(self) -> None:
        self._real.close()
        self._memory.clear()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {**self._real.get_map(), **self._memory}

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        return self._memory[fd] if is_memory(fd) else self._real.get_key(fileobj)

    def _ready(self) -> list[tuple[selectors.SelectorKey, int]]:
        network, found = self._loop.network, []
        for fd in list(network.awake):
            key, sock = self._memory.get(fd), network.sockets.get(fd)
            if sock is None or not sock.readable:
                del network.awake[fd]
            elif key is not None and key.events & selectors.EVENT_READ:
                found.append((key, selectors.EVENT_READ))
        for fd in self._writers:
            sock = network.sockets.get(fd)
            if sock is not None and sock.writable:
                found.append((self._memory[fd], selectors.EVENT_WRITE))
        return found

    def _note(self, key: selectors.SelectorKey) -> selectors.SelectorKey:
        self._memory[key.fd] = key
        if key.events & selectors.EVENT_WRITE:
            self._writers[key.fd] = None
        else:
            self._writers.pop(key.fd, None)
        return key
