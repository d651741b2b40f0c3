"""F09: the limit falls under load."""

import asyncio
from typing import Any

import pytest
from testbed import Bed, play, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome

REJECTED = {"reject": {"share": 0.1, "reason": "BadDeviceToken"}, "seed": 9}


def seconds_for(rate: int, connections: int, plan: dict[str, Any]) -> float:
    """Virtual seconds until two seconds' worth of pushes at `rate` a second have their outcome, 40 ms from APNs."""
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

    play(story, settings=PoolSettings(max_connections=connections), addresses=8)
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
