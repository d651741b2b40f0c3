"""The bus of a single process: wake-ups as events of the loop."""

import asyncio
from collections import defaultdict


class MemoryBus:
    """Channels that can be woken and waited on. One waiter a channel: a wake-up ends one nap."""

    def __init__(self) -> None:
        self._channels: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def wake(self, *channels: str) -> None:
        """End the naps on these channels; a wake-up that comes before the nap makes it end at once."""
        for channel in channels:
            self._channels[channel].set()

    async def nap(self, channel: str, seconds: float) -> bool:
        """Wait at most that long; True if woken."""
        event = self._channels[channel]
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        event.clear()
        return True
