"""Timers that are carried out together, and one among them that cannot be."""

from pathlib import Path
from typing import Any

import pytest
from virtual_world import VirtualService, stepped_service

from skerry.activities.timekeeper import LONGEST_PUT_OFF, PUT_OFF, Timekeeper
from skerry.domain.ids import ActivityId, Millis
from skerry.domain.timer import Timer, TimerKind
from skerry.store.sqlite.transaction import SqliteTransaction

POISON, OTHERS = ActivityId(2), [ActivityId(1), ActivityId(3)]


class Handler:
    """Writes down whom it has seen to, in its transaction too, and cannot bear one of them."""

    def __init__(self) -> None:
        self.tried: list[ActivityId] = []
        self.cures_after = 1 << 30

    def __call__(self, tx: SqliteTransaction, timer: Timer, now: Millis) -> None:
        self.tried.append(timer.activity_id)
        tx.timers.set(TimerKind.PLANNED_END, timer.activity_id, 0, Millis(now + 1_000_000_000))
        if timer.activity_id == POISON and self.tried.count(POISON) <= self.cures_after:
            raise ValueError("this one cannot be carried out")


def keeper(service: VirtualService, handler: Handler) -> Timekeeper[SqliteTransaction]:
    async def nap(seconds: float) -> None: ...

    handlers = {TimerKind.SILENCE: handler}
    return Timekeeper(service.store, handlers, clock=service.now, nap=nap, wake=lambda: None)


async def timers(service: VirtualService, kind: TimerKind) -> list[ActivityId]:
    far = Millis(1 << 60)
    found = await service.store.read(lambda tx: tx.timers.due(far, 100))
    return sorted(one.activity_id for one in found if one.kind is kind)


async def turns(service: VirtualService, keeper: Timekeeper[Any]) -> None:
    while await keeper.turn():
        pass


@pytest.fixture
async def service(tmp_path: Path) -> Any:
    async with stepped_service(tmp_path, "0") as found:
        for one in sorted([POISON, *OTHERS]):
            await found.store.write(lambda tx, one=one: tx.timers.set(TimerKind.SILENCE, one, 0, found.now()))
        yield found


async def test_one_that_raises_is_put_off_and_the_others_are_carried_out_once(service: VirtualService) -> None:
    handler = Handler()
    await turns(service, keeper(service, handler))
    assert await timers(service, TimerKind.PLANNED_END) == OTHERS  # and nothing of what raised has stayed
    assert await timers(service, TimerKind.SILENCE) == [POISON]


async def test_it_is_tried_again_less_and_less_often(service: VirtualService) -> None:
    handler = Handler()
    found = keeper(service, handler)
    await turns(service, found)
    first = handler.tried.count(POISON)
    for _ in range(3 * 3_600):
        service.world.advance(1.0)
        await turns(service, found)
    again = handler.tried.count(POISON) - first
    assert 2 * 12 <= again <= 2 * 16  # with the others, and by itself
    assert (PUT_OFF, LONGEST_PUT_OFF) == (1_000, 3_600_000)


async def test_once_it_can_be_it_is_carried_out(service: VirtualService) -> None:
    handler = Handler()
    handler.cures_after = 4
    found = keeper(service, handler)
    for _ in range(10):
        await turns(service, found)
        service.world.advance(1.0)
    assert await timers(service, TimerKind.PLANNED_END) == sorted([POISON, *OTHERS])
    assert await timers(service, TimerKind.SILENCE) == []


async def test_one_that_is_cancelled_meanwhile_is_left_alone(service: VirtualService) -> None:
    handler = Handler()

    class Cancelling(Handler):
        def __call__(self, tx: SqliteTransaction, timer: Timer, now: Millis) -> None:
            tx.timers.cancel(TimerKind.SILENCE, OTHERS[1])
            handler(tx, timer, now)

    found = keeper(service, Cancelling())
    await found.turn()
    assert handler.tried.count(OTHERS[1]) <= 1
    assert OTHERS[1] not in await timers(service, TimerKind.SILENCE)
