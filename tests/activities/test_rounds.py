"""Rounds: updates that come together share a transaction, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from virtual_world import Apple, VirtualService, virtual_service

from skerry.activities import rounds
from skerry.domain.activity import Update
from skerry.domain.device import DeviceEvent, DeviceEventKind, DeviceReport
from skerry.domain.errors import OverloadedError
from skerry.domain.ids import ActivityId, GroupId
from skerry.domain.line import Line
from skerry.domain.push import Outcome, Outcomes, PushBatch, Route
from skerry.store.sqlite.rounds import RoundRecords


class Wire(Apple):
    """Takes everything and writes it down."""

    async def send(self, route: Route, batch: PushBatch, outcomes: Outcomes | None = None) -> Outcomes:
        await asyncio.sleep(0)
        outcomes = outcomes or Outcomes(bytearray(len(batch.tokens)))
        for place, token in enumerate(batch.tokens):
            outcomes.codes[place] = Outcome.ACCEPTED
            self.counts[batch.body_of(place).decode()] += 1
            self.counts[token] += 1
        return outcomes


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[VirtualService]:
    async with virtual_service(tmp_path, Wire) as one:
        for number in range(5):
            event = DeviceEvent(DeviceEventKind.UPDATE_TOKEN, one.now(), f"80{number:062x}", GroupId(f"order-{number}"))
            await one.registry.report(one.app_id, DeviceReport(f"installation-{number}", (event,), platform="IOS"))
        yield one


async def update(service: VirtualService, number: int, title: str) -> bool:
    return await service.activities.update(service.app_id, GroupId(f"order-{number}"), Update(f'"{title}"'.encode()))


async def shown(service: VirtualService) -> dict[str, tuple[int, bytes]]:
    """Revision and state by name."""
    rows = await service.store.read(
        lambda tx: tx.connection.execute(
            "SELECT group_id, newest, state FROM activity_names JOIN activities USING (activity_id)"
        ).fetchall()
    )
    return {name: (newest, state) for name, newest, state in rows}


async def test_updates_of_one_activity_keep_their_order(service: VirtualService) -> None:
    assert await asyncio.gather(*(update(service, 0, str(title)) for title in range(20))) == [True] * 20
    await service.quiet()
    assert (await shown(service))["order-0"] == (20, b'"19"')
    stamps = await service.store.read(
        lambda tx: tx.connection.execute(
            "SELECT timestamp FROM revisions WHERE activity_id = 1 ORDER BY number"
        ).fetchall()
    )
    assert len({stamp for (stamp,) in stamps}) == 20


async def test_names_that_nobody_has_are_told_and_hold_nobody_up(service: VirtualService) -> None:
    assert await asyncio.gather(*(update(service, number, "a") for number in range(8))) == [True] * 5 + [False] * 3


async def test_an_activity_with_two_names_may_be_called_by_both_at_once(service: VirtualService) -> None:
    await service.store.write(lambda tx: tx.activities.add_name(ActivityId(1), service.app_id, GroupId("order-99")))
    assert await asyncio.gather(*(update(service, number, str(number)) for number in (0, 99, 1))) == [True] * 3
    assert (await shown(service))["order-0"] == (2, b'"99"')
    lines = [Line(GroupId(f"order-{number}"), b"%d" % number) for number in (99, 1, 0)]
    await service.batches.carry_out(service.app_id, lines, str)
    assert (await shown(service))["order-99"] == (4, b"0")


async def test_a_round_that_fails_leaves_each_of_its_updates_to_itself(
    service: VirtualService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no round today")

    monkeypatch.setattr(RoundRecords, "advance", broken)
    assert await asyncio.gather(*(update(service, number, "a") for number in range(5))) == [True] * 5
    await service.quiet()
    assert set((await shown(service)).values()) == {(1, b'"a"')}
    assert service.apple.counts[f"80{3:062x}"] == 1


async def test_more_than_may_wait_are_told_to_come_back(
    service: VirtualService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "WAITING", 3)
    results = await asyncio.gather(*(update(service, number, "a") for number in range(5)), return_exceptions=True)
    assert results[:3] == [True] * 3
    assert all(isinstance(one, OverloadedError) for one in results[3:])
    assert await update(service, 4, "b")


async def test_a_batch_whose_caller_has_gone_is_sent(service: VirtualService) -> None:
    lines = [Line(GroupId(f"order-{number}"), b"1") for number in range(5)]
    call = asyncio.create_task(service.batches.carry_out(service.app_id, lines, str))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    while set((await shown(service)).values()) != {(1, b"1")}:
        await asyncio.sleep(0.01)
    await service.quiet()
    assert [service.apple.counts[f"80{number:062x}"] for number in range(5)] == [1] * 5


async def test_an_update_whose_caller_has_gone_stands(service: VirtualService) -> None:
    calls = [asyncio.create_task(update(service, number, "a")) for number in range(5)]
    await asyncio.sleep(0)
    calls[0].cancel()
    assert await asyncio.gather(*calls[1:]) == [True] * 4
    await service.quiet()
    assert (await shown(service))["order-0"] == (1, b'"a"')
