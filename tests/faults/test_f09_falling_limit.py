"""F09: the limit falls under load."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from testbed import Bed, play, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome

REJECTED = {"reject": {"share": 0.1, "reason": "BadDeviceToken"}, "seed": 9}


def seconds_for(rate: int, connections: int, plan: dict[str, Any], *, latency_s: float = 0.02) -> float:
    """Virtual seconds until two seconds' worth of pushes at `rate` a second have their outcome, so far from APNs."""
    took = []

    async def story(bed: Bed) -> None:
        await bed.client.warm_up(bed.route, connections)
        await asyncio.gather(*(bed.push(4) for _ in range(connections * 4)))
        bed.chaos.update_from(plan)
        began, batches = bed.loop.time(), []
        for _ in range(40):
            batches.append(bed.pushing(rate // 20, deadline=60))
            await bed.pause(0.05)
        for sent in await asyncio.gather(*batches):
            assert sent.count(Outcome.ACCEPTED) + sent.count(Outcome.REJECTED) == rate // 20
        took.append(bed.loop.time() - began)

    play(story, settings=PoolSettings(max_connections=connections), addresses=8, latency_s=latency_s)
    return took[0]


@pytest.mark.parametrize(("rate", "connections"), [(1_000, 16), pytest.param(5_000, 64, marks=pytest.mark.slow)])
def test_f09_rejections_that_let_the_limit_fall_cost_a_fifth_at_most(rate: int, connections: int) -> None:
    falling = seconds_for(rate, connections, {**REJECTED, "limit_after_rejection": True})
    assert falling <= 2.0 / 0.8


@scenario()
async def test_f09_a_stream_that_is_reset_twice_goes_out_once_more(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from({"reset": {"share": 0.3, "code": 7, "twice": True}, "seed": 4})
    sent = await bed.push(500)
    assert sent.count(Outcome.ACCEPTED) == 500


@scenario(settings=PoolSettings(max_connections=1))
async def test_f09_a_limit_of_nought_is_waited_for_and_not_for_ever(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from(
        {"max_concurrent_streams": 0, "script": {"at_s": 30, "set": {"max_concurrent_streams": 1_000}}}
    )
    await bed.pause(1)
    short, long = bed.pushing(50, deadline=10), bed.pushing(50, deadline=60)
    assert (await short).causes == {"deadline"}
    assert (await long).count(Outcome.ACCEPTED) == 50


@scenario(settings=PoolSettings(max_connections=1))
async def test_f09_open_streams_above_a_fallen_limit_are_left_alone(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from({"latency_ms": 2_000, "refuse_surplus": False})
    first = bed.pushing(800)
    await bed.until(lambda: len(bed.entries()) >= 801)
    bed.chaos.update_from({"latency_ms": 2_000, "refuse_surplus": False, "max_concurrent_streams": 1})
    second = bed.pushing(3, deadline=60)
    assert (await first).count(Outcome.ACCEPTED) == 800
    assert (await second).count(Outcome.ACCEPTED) == 3


FAR_S = 0.025
"""One way, of a round trip of 50 ms."""
FALLING = {"reject": {"share": 0.02, "reason": "BadDeviceToken"}, "limit_after_rejection": True, "seed": 1}


def test_f09_two_percent_rejected_over_a_long_way_cost_a_fifth_at_most() -> None:
    """300 pushes a second and connection: a quarter of the pool that has to bear 9,600."""
    assert seconds_for(2_400, 8, FALLING, latency_s=FAR_S) <= 2.0 / 0.8


def test_f09_a_cold_pool_grows_at_its_pace_while_connections_that_are_coming_up_will_not_do() -> None:
    async def story(bed: Bed) -> None:
        bed.chaos.update_from(FALLING)
        began = bed.loop.time()
        await asyncio.gather(*(bed.push(500, deadline=60) for _ in range(10)))
        assert bed.loop.time() - began < 3.0, "5,000 pushes, where one connection carries some 300 a second"
        attempts = bed.network.host(bed.addresses[0]).attempts
        assert min(after - before for before, after in pairwise(attempts)) >= bed.settings.growth_interval - 0.01

    play(story, latency_s=FAR_S)


@scenario(latency_s=FAR_S)
async def test_f09_few_pushes_open_no_connections_that_they_do_not_need(bed: Bed) -> None:
    for _ in range(40):
        await bed.push(100)
    assert bed.open_connections() == 1
