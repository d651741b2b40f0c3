"""F28: graceful shutdown; F29, a crash, is tests/acceptance/test_killed_service.py: it needs a process to kill."""

import asyncio

import pytest
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome
from skerry.simulator.apns import Ending

pytestmark = pytest.mark.slow

ONE = PoolSettings(max_connections=1)


@scenario(settings=ONE)
@pytest.mark.parametrize(("grace", "answered"), [(5.0, True), (0.0, False)])
async def test_f28_what_is_out_is_awaited_and_what_waits_is_handed_back(bed: Bed, grace: float, answered: bool) -> None:
    await bed.warm()
    bed.chaos.update_from({"latency_ms": 2_000, "max_concurrent_streams": 500})
    await bed.pause(0.1)
    sents = [bed.pushing(500, deadline=300) for _ in range(10)]
    await bed.until(lambda: len(bed.entries()) > 400)
    began = bed.loop.time()
    closing = asyncio.gather(bed.client.close(grace), bed.client.close(grace))
    await bed.pause(0)
    refused = await bed.push(3)
    assert refused.causes == {"shutdown"}
    await closing
    assert bed.loop.time() - began <= grace + 1
    results = await asyncio.gather(*sents)
    out = sum(one.count(Outcome.ACCEPTED if answered else Outcome.UNKNOWN) for one in results)
    assert out > 400
    assert sum(one.count(Outcome.NOT_PROCESSED) for one in results) == 5_000 - out
    assert {cause for one in results for cause in one.causes} == ({"shutdown"})


@scenario(settings=ONE)
async def test_f28_a_peer_that_does_not_answer_does_not_keep_the_process(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from({"silent": 1})
    sent = bed.pushing(50, deadline=300)
    await bed.pause(1)
    began = bed.loop.time()
    await bed.client.close(3)
    assert bed.loop.time() - began <= 4
    assert (await sent).count(Outcome.UNKNOWN) == 50
    assert {entry.ending for entry in bed.entries() if entry.token in (await sent).batch.tokens} == {Ending.NO_ANSWER}
