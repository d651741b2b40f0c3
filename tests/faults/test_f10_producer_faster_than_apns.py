"""F10: pushes come faster than APNs takes them."""

import asyncio

from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome

CAPACITY = 5
"""Pushes a second: one stream, 200 ms each."""
TIGHT = PoolSettings(max_connections=1, max_queued=200)


@scenario(settings=TIGHT, latency_s=0.0)
async def test_f10_waiting_is_bounded_and_what_has_expired_is_not_sent(bed: Bed) -> None:
    bed.chaos.update_from({"max_concurrent_streams": 1, "latency_ms": 200})
    batches, most = [], 0
    for _ in range(120):  # ten minutes at three times the capacity
        batches.append(bed.pushing(CAPACITY * 3 * 5, deadline=20))
        await asyncio.sleep(5)
        most = max(most, *(route.queued for route in bed.client.stats().routes))
    results = await asyncio.gather(*batches)
    accepted = sum(one.count(Outcome.ACCEPTED) for one in results)
    assert most <= 200
    assert accepted > 0.9 * CAPACITY * 600, "the peer is kept busy"
    assert {cause for one in results for cause in one.causes} <= {"deadline", "timeout"}
    late = [entry for entry in bed.entries() if entry.time - bed.loop.wall() + bed.loop.time() > 600 + 20.5]
    assert not late


@scenario(settings=TIGHT)
async def test_f10_five_minutes_without_capacity_lose_nothing_that_can_wait(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from(
        {"max_concurrent_streams": 0, "script": {"at_s": 300, "set": {"max_concurrent_streams": 1_000}}}
    )
    await bed.pause(1)
    waiting = [bed.pushing(50, deadline=400) for _ in range(20)]
    hopeless = await bed.push(50, deadline=60)
    assert hopeless.causes == {"deadline"}
    results = await asyncio.gather(*waiting)
    assert sum(one.count(Outcome.ACCEPTED) for one in results) == 1_000


@scenario(settings=TIGHT, teams=("SKERRYTEAM", "OTHERTEAM0"))
async def test_f10_one_team_that_floods_holds_no_other_up(bed: Bed) -> None:
    flooding, other = bed.routes.values()
    bed.chaos.update_from({"latency_ms": 100})
    flood = [bed.pushing(200, route=flooding, deadline=60) for _ in range(15)]
    await bed.push(1, route=other)
    began = bed.loop.time()
    assert (await bed.push(100, route=other)).count(Outcome.ACCEPTED) == 100
    assert bed.loop.time() - began < 0.5
    await asyncio.gather(*flood)
