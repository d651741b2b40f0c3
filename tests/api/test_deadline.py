"""A time limit: it raises `TimeoutError` where the time was up first, and nothing else is its business."""

import asyncio

import pytest

from skerry.api.deadline import Deadline


async def test_who_is_in_time_notices_nothing() -> None:
    with Deadline(60):
        await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_who_is_late_is_told() -> None:
    with pytest.raises(TimeoutError), Deadline(0):
        await asyncio.sleep(60)


async def test_the_task_goes_on_after_it() -> None:
    with pytest.raises(TimeoutError), Deadline(0):
        await asyncio.sleep(60)
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    async def work() -> None:
        with Deadline(60):
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_passes_through() -> None:
    with pytest.raises(KeyError), Deadline(60):
        raise KeyError


async def test_the_inner_one_of_two_says_it() -> None:
    with Deadline(60):
        with pytest.raises(TimeoutError), Deadline(0):
            await asyncio.sleep(60)
        await asyncio.sleep(0)
