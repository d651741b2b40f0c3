"""F30: stream ids run out and connections age; F31: a week; F32: many cancels."""

import asyncio
import gc

import pytest
from testbed import Bed, scenario

from skerry.apns import PoolSettings, session
from skerry.domain.push import Outcome

pytestmark = pytest.mark.slow


@scenario(settings=PoolSettings(max_connections=1))
async def test_f30_a_connection_nearly_out_of_stream_ids_is_renewed_before(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = session.Session.__init__

    def near_the_end(self, *, stream_bound=1000, first_stream_id=1):
        made(self, stream_bound=stream_bound, first_stream_id=2**31 - 1 - 2 * 700)

    monkeypatch.setattr(session.Session, "__init__", near_the_end)
    for _ in range(10):
        assert (await bed.push(500, deadline=60)).count(Outcome.ACCEPTED) == 500


@scenario(settings=PoolSettings(max_connections=4, max_age=600.0), addresses=4)
async def test_f30_connections_age_one_after_the_other_and_nobody_notices(bed: Bed) -> None:
    await bed.client.warm_up(bed.route, 4)
    while bed.loop.time() < 3_600:
        sents = await asyncio.gather(*(bed.push(50) for _ in range(3)))
        assert all(sent.count(Outcome.ACCEPTED) == 50 for sent in sents)
        await bed.pause(20)
    opened = sorted(at for address in bed.addresses for at in bed.network.host(address).attempts)
    assert len(opened) >= 15
    assert max(sum(start <= at < start + 5 for at in opened) for start in range(60, 3_600)) <= 3


@scenario(settings=PoolSettings(max_connections=2), addresses=2, seed=31)
@pytest.mark.timeout(1_200)
async def test_f31_after_a_week_everything_is_as_on_the_first_day(bed: Bed) -> None:
    """Daily peaks, 5 % rejections, a GOAWAY every hour, 1 % cancelled."""
    bed.chaos.update_from(
        {
            "latency_ms": {"median": 30, "p99": 400},
            "reject": {"share": 0.05, "reason": "BadDeviceToken"},
            "limit_after_rejection": True,
            "script": {"at_s": 3_600, "repeat": True, "goaway": {"close_after_s": 5}},
            "seed": 31,
        }
    )
    rates, objects = [], []
    for _ in range(7):
        began, took = bed.loop.time(), 0.0
        for hour in range(24):
            for _ in range(12 if 8 <= hour < 22 else 3):
                at = bed.loop.time()
                task = bed.pushing(100, deadline=30)
                if bed.dice.random() < 0.01:
                    await bed.pause(0.01)
                    task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                took += bed.loop.time() - at
            await bed.pause(began + (hour + 1) * 3_600 - bed.loop.time())
        bed.forget()
        gc.collect()
        rates.append(took)
        objects.append(len(gc.get_objects()))
        assert len(bed.network.links) <= 4
        assert bed.loop.timers() < 60
    assert rates[-1] <= 1.25 * rates[0]
    assert objects[-1] <= objects[1] * 1.02 + 500, "what is alive does not grow"


@scenario(settings=PoolSettings(max_connections=1), seed=32)
async def test_f32_many_cancels_free_their_slots_and_harm_nobody(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from({"latency_ms": {"min": 5, "max": 300}, "max_concurrent_streams": 100, "seed": 32})
    tasks = []
    for number in range(1_000):
        task = bed.pushing(10, deadline=60)
        tasks.append(task)
        if number % 5 == 0:
            bed.loop.call_later(bed.dice.uniform(0, 0.4), task.cancel)
        await bed.pause(0.06)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    kept = [one for one in results if not isinstance(one, BaseException)]
    assert len(kept) >= 800
    assert all(one.count(Outcome.ACCEPTED) == 10 for one in kept)
    assert len(bed.notes("opened")) == 1, "cancels do not end the connection"
    assert (await bed.push(500)).count(Outcome.ACCEPTED) == 500
    assert sum(route.open_streams for route in bed.client.stats().routes) == 0
