"""F12: 410 with timestamps of every kind."""

from typing import Any

import pytest
from delivery_bed import delivery
from testbed import Bed, scenario

from skerry.domain.verdict import Verdict

SECONDS = 1_790_000_100


@scenario()
@pytest.mark.parametrize(
    ("said", "understood"),
    [
        (SECONDS * 1000, SECONDS * 1000),
        (SECONDS, SECONDS * 1000),
        (str(SECONDS * 1000), SECONDS * 1000),
        ("yesterday", None),
        (None, None),
    ],
)
async def test_f12_the_time_is_passed_on_in_milliseconds_and_a_missing_one_is_no_error(
    bed: Bed, said: Any, understood: int | None
) -> None:
    bed.chaos.update_from({"reject": {"reason": "Unregistered", "timestamp": said}})
    sent = await bed.push(3)
    assert sent.outcomes is not None
    assert {one.invalid_since for one in sent.outcomes.rejections.values()} == {understood}
    assert all(count == 1 for count in bed.times_sent().values()), "never sent again"


@scenario()
@pytest.mark.parametrize(
    ("since", "lost"), [(-60_000, 0), (0, 0), (1, 1), (60_000, 1), (None, 1)]
)  # fmt: skip
async def test_f12_a_token_is_dropped_only_if_it_was_registered_before(bed: Bed, since: int | None, lost: int) -> None:
    async with delivery(bed) as one:
        registered = one.now()
        await one.cards(1)
        await bed.pause(30)
        said = None if since is None else registered + since
        bed.chaos.update_from({"reject": {"reason": "Unregistered", "timestamp": said}})
        state = await one.update()
        await one.settled()
        assert await one.lost_cards() == lost
        assert (await one.verdicts())[Verdict.REJECTED] == 1
        assert sum(one.sends(state).values()) == 1


@scenario()
async def test_f12_a_token_reported_while_the_410_was_under_way_stays(bed: Bed) -> None:
    async with delivery(bed) as one:
        await one.cards(1)
        bed.chaos.update_from(
            {"reject": {"reason": "Unregistered", "timestamp": None, "times": 1}, "latency_ms": 2_000}
        )
        await one.update()
        await bed.pause(1)
        await one.report_token(1, "80" + "cd" * 31)
        await one.settled()
        assert await one.lost_cards() == 0
