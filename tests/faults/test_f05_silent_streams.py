"""F05: a stream is never answered."""

import asyncio

from delivery_bed import delivery
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.delivery.sender import SenderSettings
from skerry.domain.push import Outcome
from skerry.domain.verdict import Verdict
from skerry.simulator.apns import Ending


@scenario(settings=PoolSettings(max_connections=1), seed=5)
async def test_f05_a_silent_stream_is_unknown_at_its_deadline_and_the_rest_goes_on(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from({"silent": 0.01, "seed": 5})
    began = bed.loop.time()
    others = bed.pushing(3_000, deadline=5)
    await bed.until(lambda: bed.ledger.counts()["statuses"].get("200", 0) > 2_950, limit=3)
    assert bed.loop.time() - began < 1, "the answered 99 % are not held up"
    sent = await others
    silent = [entry for entry in bed.entries() if entry.ending is Ending.NO_ANSWER]
    assert sent.count(Outcome.UNKNOWN) == len(silent) > 10
    assert sent.causes == {"timeout"}
    assert sent.count(Outcome.ACCEPTED) == 3_000 - len(silent)
    bed.chaos.update_from({})
    assert (await bed.push(2_000, deadline=5)).count(Outcome.ACCEPTED) == 2_000
    assert all(route.open_streams == 0 for route in bed.client.stats().routes), "every slot has returned"


@scenario(settings=PoolSettings(max_connections=1))
async def test_f05_single_cards_settle_though_one_of_them_gets_no_answer(bed: Bed) -> None:
    async with delivery(bed, settings=SenderSettings(push_deadline=20.0)) as one:
        groups = [f"order-{number}" for number in range(30)]
        for group in groups:
            await one.cards(1, group)
        for group in groups:  # their environments are known from here on
            await one.update(group)
        await one.settled()
        bed.chaos.update_from({"silent": {"times": 1}})
        before = bed.loop.time()
        await asyncio.gather(*(one.update(group) for group in groups))
        while await one.open_chunks() > 1:
            await bed.pause(0.1)
        assert bed.loop.time() - before < 2, "the answered ones wait for nobody"
        assert await one.open_chunks() == 1
        await one.settled()
        assert (await one.verdicts())[Verdict.ACCEPTED] == 60, "the silent one is sent again"


@scenario(addresses=2, settings=PoolSettings(max_connections=2))
async def test_f05_a_connection_with_several_silent_streams_is_retired(bed: Bed) -> None:
    await bed.client.warm_up(bed.route, 2)
    await bed.push(2_000)
    bed.chaos.update_from({"silent": {"address": bed.addresses[0]}})
    lost = 0
    for _ in range(20):
        lost += (await bed.push(20, deadline=2)).count(Outcome.UNKNOWN)
        if bed.notes("closed by the sender"):
            break
    assert bed.notes("closed by the sender"), "the sick connection is retired"
    assert 3 <= lost <= 100


@scenario(settings=PoolSettings(max_connections=1))
async def test_f05_a_late_answer_harms_nobody(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from({"late": {"times": 5, "ms": 4_000}})
    late = await bed.push(5, deadline=2)
    assert late.count(Outcome.UNKNOWN) == 5
    await bed.pause(5)
    bed.chaos.update_from({"reject": {"share": 0.5, "reason": "BadDeviceToken"}})
    sent = await bed.push(500)
    assert sent.count(Outcome.ACCEPTED) + sent.count(Outcome.REJECTED) == 500
    assert sent.reasons == {"BadDeviceToken"}
