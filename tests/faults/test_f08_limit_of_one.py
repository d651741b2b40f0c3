"""F08: the limit is 1 at the beginning."""

import pytest
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome


@scenario(settings=PoolSettings(max_connections=4))
@pytest.mark.parametrize("plan", [{}, {"settings_delay_ms": 2_000}, {"latency_ms": 300}])
async def test_f08_one_stream_first_then_all_that_is_allowed(bed: Bed, plan: dict) -> None:
    bed.chaos.update_from(plan)
    sent = await bed.push(1_000)
    assert sent.count(Outcome.ACCEPTED) == 1_000
    entries = bed.entries()
    first = [entry for entry in entries if entry.connection == 1][:2]
    assert first[1].time > first[0].time, "never a burst on a guess"
    assert len(bed.notes("opened")) <= 4


@scenario(settings=PoolSettings(max_connections=4))
async def test_f08_a_limit_that_stays_at_one_opens_no_dozens_of_connections(bed: Bed) -> None:
    bed.chaos.update_from({"max_concurrent_streams": 1})
    assert (await bed.push(200, deadline=60)).count(Outcome.ACCEPTED) == 200
    assert len(bed.notes("opened")) <= 4


@scenario()
async def test_f08_a_limit_that_waits_for_a_valid_token_is_never_overrun(bed: Bed) -> None:
    bed.chaos.update_from({"auth": {"token_age_s": 0, "expired_before": bed.loop.wall() - 10}})
    await bed.pause(2)
    sent = await bed.push(10, deadline=5)
    assert sent.count(Outcome.ACCEPTED) <= 10
    assert len(bed.entries()) <= 4, "one try at a time while nothing is accepted"
