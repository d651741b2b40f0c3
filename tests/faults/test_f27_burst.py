"""F27: a burst on a cold process."""

import asyncio
from itertools import pairwise

import pytest
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome

pytestmark = pytest.mark.slow

BURST = 50_000


@scenario(settings=PoolSettings(max_connections=8, growth_interval=0.15), addresses=4)
async def test_f27_connections_come_one_by_one_and_no_one_is_blocked_for_it(bed: Bed) -> None:
    bed.chaos.update_from(
        {
            "latency_ms": 40,
            "max_concurrent_streams": 100,
            # as many as the pace of growth allows in any one second, and not one more
            "connection_rate": {"connections": 7, "per_s": 1.0, "block_s": 600},
        }
    )
    sents = await asyncio.gather(*(bed.push(500, deadline=300) for _ in range(BURST // 500)))
    assert sum(sent.count(Outcome.ACCEPTED) for sent in sents) == BURST
    opened = sorted(link for address in bed.addresses for link in bed.network.host(address).attempts)
    gaps = [after - before for before, after in pairwise(opened)]
    assert min(gaps) >= bed.settings.growth_interval - 0.01
    assert 6 <= len(opened) <= 8
    rates = [0] * 400
    start = bed.loop.wall() - bed.loop.time()
    for entry in bed.entries():
        rates[int(entry.time - start)] += 1
    steady = max(rates)
    assert any(rate >= 0.8 * steady for rate in rates[:10]), "80 % of the steady rate within the ramp"


@scenario(settings=PoolSettings(max_connections=4), addresses=4)
async def test_f27_a_pool_may_be_warmed_up(bed: Bed) -> None:
    assert await bed.client.warm_up(bed.route, 3) == 3
    assert bed.ledger.counts()["requests"] == 0
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100
