"""Requests at a steady pace, whatever the answers do: what one caller among others would see."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.load import LoadError, Target

_ANSWERS_WITHIN = 30.0
_FRESH_FOR = 2.0
"""Seconds that a connection may idle and be used again: servers close them after some more."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    place: int
    """Which of the requests."""
    at: float
    """When it was written, in seconds since 1970."""
    answered_after: float
    """Seconds until its whole answer was there."""


class Steady:
    """Asks until it is stopped; `asked` grows meanwhile."""

    def __init__(self, target: Target, requests: Iterable[bytes], per_second: float) -> None:
        self.asked: list[Asked] = []
        self._target = target
        self._requests: Iterator[tuple[int, bytes]] = iter(enumerate(requests))
        self._every = 1 / per_second
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self) -> None:
        """One request every so often, each on a connection with nothing else to do; ends when there is none left."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            async with asyncio.TaskGroup() as group:
                for place, request in self._requests:
                    due += self._every
                    await asyncio.sleep(due - loop.time())
                    group.create_task(self._ask(place, request))
        finally:
            for _, _, writer in self._idle:
                writer.close()

    async def _ask(self, place: int, request: bytes) -> None:
        reader, writer = await self._connection()
        at, began = time.time(), time.perf_counter()
        try:
            writer.write(request)
            async with asyncio.timeout(_ANSWERS_WITHIN):
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                body = await reader.readexactly(int(length.partition(b":")[2]))
        except BaseException:
            writer.close()
            raise
        if not head.startswith(b"HTTP/1.1 200 "):
            raise LoadError(f"not a 200: {(head + body).decode(errors='replace')[:500]}")
        self.asked.append(Asked(place, at, time.perf_counter() - began))
        self._idle.append((time.perf_counter(), reader, writer))

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._idle:
            since, reader, writer = self._idle.pop()
            if time.perf_counter() - since < _FRESH_FOR:
                return reader, writer
            for _, _, old in self._idle:  # they have waited even longer
                old.close()
            self._idle.clear()
            writer.close()
        return await asyncio.open_connection(self._target.host, self._target.port)
