"""F16: the clock is wrong, or steps."""

import asyncio

import pytest
from testbed import Bed, scenario

from skerry.apns.provider_token import ProviderTokens
from skerry.domain.push import Outcome

pytestmark = pytest.mark.slow


@scenario()
@pytest.mark.parametrize("step", [600.0, -600.0])
async def test_f16_a_clock_that_steps_changes_nothing(bed: Bed, step: float) -> None:
    shift = [0.0]
    tokens = ProviderTokens(wall=lambda: bed.loop.wall() + shift[0], monotonic=bed.loop.time)
    client = bed.new_client(tokens=tokens)
    for _ in range(30):
        assert (await bed.push(2, client=client)).count(Outcome.ACCEPTED) == 2
        shift[0] = step if not shift[0] else 0.0
        await asyncio.sleep(300)
    assert tokens.signatures <= 4


@scenario()
@pytest.mark.parametrize("wrong_by", [-7_200.0, 7_200.0])
async def test_f16_a_clock_hours_off_signs_once_stops_and_is_named(bed: Bed, wrong_by: float) -> None:
    tokens = ProviderTokens(wall=lambda: bed.loop.wall() + wrong_by, monotonic=bed.loop.time)
    client = bed.new_client(tokens=tokens)
    bed.chaos.update_from({"reply": {"date_skew_s": 0}})
    for _ in range(20):
        assert (await bed.push(2, client=client)).count(Outcome.ACCEPTED) == 0
        await asyncio.sleep(10)
    assert tokens.signatures == 1
    assert len(bed.entries()) <= 4, "one probe in five minutes"
    (route,) = client.stats().routes
    assert "clock" in (route.last_error or "") or "InvalidProviderToken" in (route.last_error or "")
    assert route.clock_skew is not None
    assert abs(route.clock_skew - wrong_by) < 2
