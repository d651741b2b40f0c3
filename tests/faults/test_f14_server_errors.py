"""F14: a storm of 5xx."""

import asyncio
from typing import Any

import pytest
from delivery_bed import delivery
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome
from skerry.domain.verdict import RetryPolicy, Verdict

STORM_S = 120.0


@scenario(settings=PoolSettings(max_connections=4), addresses=4)
@pytest.mark.parametrize("reason", ["ServiceUnavailable", "InternalServerError"])
async def test_f14_a_storm_adds_a_tenth_at_most_and_is_over_soon_after_it(bed: Bed, reason: str) -> None:
    await bed.warm()
    calm = {"at_s": STORM_S, "set": {"reject": None}}
    bed.chaos.update_from({"reject": {"reason": reason}, "script": calm})
    async with delivery(bed, policy=RetryPolicy(server_error=30.0)) as one:
        tokens = await one.cards(300)
        before = len(bed.entries())
        state = await one.update()
        await bed.pause(STORM_S - 1)
        during = len(bed.entries()) - before
        assert during <= 1.1 * 300
        await bed.pause(1)
        await one.settled(limit=600)
        assert set(one.deliveries(state)) == set(tokens)
        assert (await one.verdicts())[Verdict.ACCEPTED] == 300


@scenario(settings=PoolSettings(max_connections=4), addresses=4)
async def test_f14_recovery_takes_no_half_minute_and_has_no_spike(bed: Bed) -> None:
    await bed.client.warm_up(bed.route, 4)
    await bed.push(3_000)
    bed.chaos.update_from({"unavailable_s": STORM_S})
    waiting = []
    for _ in range(100):
        waiting.append(bed.pushing(5, deadline=300))
        await bed.pause(STORM_S / 100)
    began = bed.loop.time()
    results = await asyncio.gather(*waiting)
    refused = sum(one.count(Outcome.REJECTED) for one in results)
    assert refused + sum(one.count(Outcome.ACCEPTED) for one in results) == 500
    assert refused <= 150, "most wait for the storm to pass"
    assert bed.loop.time() - began < 30


@scenario(settings=PoolSettings(max_connections=2), addresses=2)
async def test_f14_a_connection_that_alone_gives_500_is_replaced(bed: Bed) -> None:
    await bed.client.warm_up(bed.route, 2)
    await bed.push(2_000)
    bed.chaos.update_from({"reject": {"reason": "InternalServerError", "connection": 1}})
    refused = 0
    for _ in range(40):
        refused += (await bed.push(10)).count(Outcome.REJECTED)
        await bed.pause(0.3)
    assert refused < 60
    assert (await bed.push(200)).count(Outcome.ACCEPTED) == 200


@scenario()
async def test_f14_retry_after_is_honoured(bed: Bed) -> None:
    bed.chaos.update_from({"reject": {"reason": "ServiceUnavailable", "retry_after_s": 600, "times": 1}})
    async with delivery(bed, policy=RetryPolicy(server_error=30.0)) as one:
        await one.cards(1)
        began = bed.loop.time()
        await one.update()
        await one.settled(limit=1_000)
        assert 600 <= bed.loop.time() - began <= 670


@scenario()
async def test_f14_a_payload_that_always_fails_ends_with_its_last_reason(bed: Bed) -> None:
    bed.chaos.update_from({"reject": {"reason": "InternalServerError", "event": "update"}})
    async with delivery(bed, policy=RetryPolicy(server_error=300.0, max_age=3600.0)) as one:
        await one.cards(1)
        state = await one.update()
        await one.settled(limit=4 * 3600.0)
        verdicts: Any = await one.verdicts()
        assert verdicts[Verdict.REJECTED] == 1
        assert sum(one.sends(state).values()) < 12
        (reason,) = (await one.sql("SELECT reason FROM rejections"))[0]
        assert reason == "InternalServerError"
