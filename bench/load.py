"""The load: requests over keep-alive connections, in a closed loop.

A client of its own, because a general one costs more per request than the service does: here requests are bytes that
were made beforehand, and of an answer only status and length are read.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

_LAST_CHUNK = b"\r\n0\r\n\r\n"
ANSWERS_WITHIN = 600.0
"""Seconds for a whole load."""


class LoadError(Exception):
    """The service did not answer as it should: its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a load has seen. Times in seconds."""

    wall: float
    own_cpu: float
    """Of this process: well below `wall`, or the load itself was the bottleneck."""
    latencies: tuple[float, ...]
    """Of each request, in rising order."""

    def percentile(self, share: float) -> float:
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)]


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and with which key."""

    host: str
    port: int
    key: str

    def post(self, path: str, body: Any) -> bytes:
        """A whole request, ready to be written."""
        return self.post_text(path, json.dumps(body, separators=(",", ":")), "application/json")

    def post_text(self, path: str, text: str, media_type: str) -> bytes:
        """The same with a body that is text already."""
        content = text.encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nX-netmera-api-key: {self.key}\r\n"
            f"Content-Type: {media_type}\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    async def put(self, requests: Sequence[bytes], concurrency: int) -> Load:
        """Make all requests, in order, `concurrency` at a time; each must be answered with 200.

        Raises:
            LoadError: if one is not.
        """
        loop = asyncio.get_running_loop()
        waiting = iter(requests)
        latencies: list[float] = []
        callers = [_Caller(waiting, latencies, loop.create_future()) for _ in range(min(concurrency, len(requests)))]
        for caller in callers:
            await loop.create_connection(lambda caller=caller: caller, self.host, self.port)  # type: ignore[misc]
        began, cpu_began = time.perf_counter(), time.process_time()
        for caller in callers:
            caller.next()
        async with asyncio.timeout(ANSWERS_WITHIN):
            await asyncio.gather(*(caller.done for caller in callers))
        wall, own_cpu = time.perf_counter() - began, time.process_time() - cpu_began
        return Load(wall, own_cpu, tuple(sorted(latencies)))


class _Caller(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, waiting: Iterator[bytes], latencies: list[float], done: asyncio.Future[None]) -> None:
        self.done = done
        self._waiting = waiting
        self._latencies = latencies
        self._received = b""
        self._asked_at = 0.0
        self._transport: asyncio.Transport | None = None

    def next(self) -> None:
        request = next(self._waiting, None)
        if self._transport is None or request is None:
            self._finish(None)
            return
        self._asked_at = time.perf_counter()
        self._transport.write(request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has its own class, with the same methods

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or not _is_whole(head, body):
            return
        self._received = b""
        if not head.startswith(b"HTTP/1.1 200 "):
            self._finish(LoadError(f"not a 200: {(head + found + body).decode(errors='replace')[:500]}"))
            return
        self._latencies.append(time.perf_counter() - self._asked_at)
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(LoadError(f"the service closed a connection: {exc}"))

    def _finish(self, error: LoadError | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
        if self._transport is not None:
            self._transport.close()


def _is_whole(head: bytes, body: bytes) -> bool:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
        if name.lower() == b"transfer-encoding":
            return body.endswith(_LAST_CHUNK)
    raise LoadError("an answer without Content-Length")
