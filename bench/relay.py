"""A relay between client and server that holds every byte for half a round trip, and counts what passes.

`python -m bench.relay LISTEN_HOST PORT SERVER_PORT DELAY_MS` prints its port, then a line `UP DOWN` (bytes so far from
the client and from the server) for every line that it reads. TLS passes through untouched.

A delay in the kernel (`tc netem`) would also slow down TCP's own start; not every kernel has it, so there is one way
for all: here a connection's windows are what the delay meets, and those of HTTP/2 are the narrow ones.
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import uvloop

from bench.process import Cores, Process, pinned
from bench.sink import HOST

_MOST_HELD = 4 << 20
"""Bytes on the way in one direction of one connection; beyond it the sender has to wait, as on a long line."""
_COMES_UP_WITHIN = 10.0


class RunningRelay:
    """A relay, seen from the benchmark."""

    def __init__(self, child: asyncio.subprocess.Process, port: int) -> None:
        self._child = child
        self.port = port
        self.process = Process(child.pid)

    async def passed(self) -> tuple[int, int]:
        """Bytes so far from clients and from the server."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(b"\n")
        up, down = (await self._child.stdout.readline()).split()
        return int(up), int(down)


@asynccontextmanager
async def running_relay(
    server_port: int, *, round_trip_ms: float, host: str = HOST, port: int = 0
) -> AsyncIterator[RunningRelay]:
    """Run a relay in a process of its own until the block is left, on whichever core has room: it is neither side's."""
    arguments = [host, str(port), str(server_port), str(round_trip_ms / 2)]
    child = await asyncio.create_subprocess_exec(
        *pinned(Cores.of_this_machine().any, [sys.executable, "-m", "bench.relay", *arguments]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        async with asyncio.timeout(_COMES_UP_WITHIN):
            listens_on = int(await child.stdout.readline())
        yield RunningRelay(child, listens_on)
    finally:
        child.stdin.close()
        await child.wait()


class _Half(asyncio.Protocol):
    """One direction: what arrives here leaves at the other half, later."""

    def __init__(self, delay: float) -> None:
        self.other: _Half | None = None
        self.passed = 0
        self._delay = delay
        self.transport: asyncio.Transport | None = None
        self._held: deque[tuple[float, bytes | None]] = deque()
        self.held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self._held:
            self._arm()

    def data_received(self, data: bytes) -> None:
        self.passed += len(data)
        self._pass_on(data)
        if self.other is not None and self.other.held_bytes > _MOST_HELD and self.transport is not None:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._pass_on(None)

    def _pass_on(self, data: bytes | None) -> None:
        if self.other is not None:
            self.other.hold(data)

    def hold(self, data: bytes | None) -> None:
        self._held.append((self._loop.time() + self._delay, data))
        self.held_bytes += len(data or b"")
        self._arm()

    def _arm(self) -> None:
        if self._timer is None and self.transport is not None:
            self._timer = self._loop.call_at(self._held[0][0], self._release)

    def _release(self) -> None:
        self._timer = None
        assert self.transport is not None
        now, ends = self._loop.time(), False
        ripe: list[bytes] = []
        while self._held and self._held[0][0] <= now:
            _, data = self._held.popleft()
            ends = data is None
            ripe.append(data or b"")
            self.held_bytes -= len(ripe[-1])
        if not self.transport.is_closing():  # else: this side has left, nobody is there to hear it
            self.transport.write(b"".join(ripe))
            if ends:
                self.transport.close()
        if self.other is not None and self.other.transport is not None and self.held_bytes <= _MOST_HELD:
            self.other.transport.resume_reading()
        if self._held:
            self._arm()


async def _serve(host: str, port: int, server_port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    halves: list[tuple[_Half, _Half]] = []
    tasks: set[asyncio.Task[object]] = set()

    def accept() -> _Half:
        near, far = _Half(delay), _Half(delay)
        near.other, far.other = far, near
        halves.append((near, far))
        task: asyncio.Task[object] = loop.create_task(loop.create_connection(lambda: far, HOST, server_port))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return near

    server = await loop.create_server(accept, host, port)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(sum(near.passed for near, _ in halves), sum(far.passed for _, far in halves), flush=True)


def main() -> None:
    host, port, server_port, delay_ms = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(host, int(port), int(server_port), float(delay_ms) / 1000))


if __name__ == "__main__":
    main()
