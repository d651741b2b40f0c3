"""The bus of a single process: wake-ups as events of the loop."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Listener:
    """One of any number that wait on a channel; none takes another's wake-up away."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """End the wait, or the next one."""
        self._woken.set()

    async def wait(self, seconds: float) -> bool:
        """Wait at most that long; True if woken, be it before the wait began."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True


class MemoryBus:
    """Channels that can be woken and waited on: by one that naps, and by any number of listeners."""

    def __init__(self) -> None:
        self._channels: defaultdict[str, Listener] = defaultdict(Listener)
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)

    def wake(self, *channels: str) -> None:
        """End the naps and waits on these channels; a wake-up that comes before the nap makes it end at once."""
        for channel in channels:
            self._channels[channel].wake()
            for listener in self._listeners.get(channel, ()):
                listener.wake()

    async def nap(self, channel: str, seconds: float) -> bool:
        """Wait at most that long; True if woken. For one sleeper a channel: a wake-up ends one nap."""
        return await self._channels[channel].wait(seconds)

    @contextmanager
    def listen(self, channel: str) -> Iterator[Listener]:
        """Hear every wake-up of a channel until the block is left."""
        listener = Listener()
        self._listeners[channel].add(listener)
        try:
            yield listener
        finally:
            self._listeners[channel].discard(listener)
