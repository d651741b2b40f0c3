"""F15: opening a connection fails, or never ends."""

from typing import Any

import pytest
from testbed import Bed, scenario

from skerry.domain.push import Outcome
from skerry.simulator.virtual import Reach

pytestmark = pytest.mark.slow

HEALED = 150.0
EARLY_GOAWAY = {"goaway": {"reason": "Shutdown", "last_stream": 0, "close_after_s": 0}}


@scenario()
@pytest.mark.parametrize(
    "plan",
    [
        {"accept": {"how": "stall"}},
        {"accept": {"how": "rst"}},
        {"accept": {"how": "eof"}},
        {"omit_settings": True},
        {"at_open": {**EARLY_GOAWAY, "before_settings": True}},
        {"at_open": EARLY_GOAWAY},
    ],
    ids=["stall", "rst", "eof", "no-settings", "goaway-first", "goaway"],
)
async def test_f15_attempts_are_few_and_the_pool_recovers_by_itself(bed: Bed, plan: dict[str, Any]) -> None:
    bed.chaos.update_from(plan)
    early, late = bed.pushing(20, deadline=60), bed.pushing(20, deadline=HEALED + 130)
    await bed.pause(HEALED)
    attempts = bed.network.host(bed.addresses[0]).attempts
    for minute in range(int(HEALED // 60)):
        assert sum(60 * minute <= at < 60 * minute + 60 for at in attempts) <= 12, "no attempt storm"
    assert (await early).count(Outcome.NOT_PROCESSED) == 20
    bed.chaos.update_from({})
    assert (await late).count(Outcome.ACCEPTED) == 20


@scenario()
@pytest.mark.parametrize("reach", [Reach.REFUSED, Reach.SILENT, Reach.UNREACHABLE])
async def test_f15_an_address_that_cannot_be_reached_is_tried_with_back_off(bed: Bed, reach: Reach) -> None:
    host = bed.network.host(bed.addresses[0])
    host.reach = reach
    early, late = bed.pushing(20, deadline=60), bed.pushing(20, deadline=HEALED + 130)
    await bed.pause(HEALED)
    assert 3 <= len(host.attempts) <= 14
    assert (await early).causes <= {"deadline", "connect_failed"}
    host.reach = Reach.OPEN
    assert (await late).count(Outcome.ACCEPTED) == 20


@scenario(addresses=2)
async def test_f15_an_attempt_that_stalls_holds_nobody_up_where_there_is_another_address(bed: Bed) -> None:
    bed.chaos.update_from({"accept": {"how": "stall", "address": bed.addresses[0]}})
    began = bed.loop.time()
    for _ in range(5):
        assert (await bed.push(20)).count(Outcome.ACCEPTED) == 20
    assert bed.loop.time() - began < 3
