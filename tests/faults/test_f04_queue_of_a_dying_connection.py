"""F04: what waits belongs to the pool, not to the connection that dies."""

import pytest
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome


@scenario(settings=PoolSettings(max_connections=1))
@pytest.mark.parametrize("end", [{"close_after_s": 0.5}, {"kept": 0, "close_after_s": 0}])
async def test_f04_all_that_waits_goes_to_the_replacement(bed: Bed, end: dict) -> None:
    bed.chaos.update_from({"max_concurrent_streams": 10})
    await bed.warm()
    bed.chaos.update_from({"max_concurrent_streams": 10, "script": {"after_requests": 100, "goaway": end}})
    sent = await bed.push(5_000, deadline=120)
    assert sent.count(Outcome.ACCEPTED) == 5_000
    assert len(bed.notes("opened")) == 2
