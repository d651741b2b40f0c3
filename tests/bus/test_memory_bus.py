"""Wake-ups within one process."""

import asyncio

from skerry.bus.memory import MemoryBus

LONG = 60.0


async def test_a_nap_ends_when_its_time_is_over() -> None:
    assert await MemoryBus().nap("sender", 0) is False


async def test_a_wake_up_ends_it() -> None:
    bus = MemoryBus()
    nap = asyncio.create_task(bus.nap("sender", LONG))
    await asyncio.sleep(0)
    assert not nap.done()
    bus.wake("sender")
    assert await nap is True


async def test_one_that_comes_before_the_nap_is_not_missed_and_counts_once() -> None:
    bus = MemoryBus()
    bus.wake("sender")
    bus.wake("sender")
    assert await bus.nap("sender", LONG) is True
    assert await bus.nap("sender", 0) is False


async def test_other_channels_sleep_on() -> None:
    bus = MemoryBus()
    bus.wake("sender", "planner")
    assert await bus.nap("timers", 0) is False
    assert await bus.nap("planner", LONG) is True
    assert await bus.nap("sender", LONG) is True


async def test_a_nap_that_is_called_off_leaves_the_wake_up_to_the_next_one() -> None:
    bus = MemoryBus()
    nap = asyncio.create_task(bus.nap("sender", LONG))
    await asyncio.sleep(0)
    nap.cancel()
    await asyncio.gather(nap, return_exceptions=True)
    bus.wake("sender")
    assert await bus.nap("sender", LONG) is True
