"""F02: GOAWAY with work in flight."""

from typing import Any

import pytest
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome

OPEN = 500
KEPT = 300
SETTINGS = PoolSettings(max_connections=2)


async def goaway_in_flight(bed: Bed, *goaways: dict[str, Any]) -> Any:
    """500 streams are open when the first GOAWAY comes; further ones follow 50 ms apart."""
    await bed.warm()
    script = [{"after_requests": OPEN, "goaway": goaways[0]}]
    bed.chaos.update_from({"latency_ms": 500, "script": script})
    sent = bed.pushing(OPEN)
    for goaway in goaways[1:]:
        await bed.until(lambda: bool(bed.notes("GOAWAY")))
        await bed.pause(0.05)
        bed.chaos.update_from(
            {"latency_ms": 500, "script": {"at_s": 0, "goaway": goaway, "connections": "oldest"}}
        )  # fmt: skip
    return await sent


def opened(bed: Bed) -> int:
    return len(bed.notes("opened"))


@scenario(settings=SETTINGS)
@pytest.mark.parametrize("code", [0, 2, 11])
async def test_f02_what_is_above_the_last_stream_moves_and_the_rest_is_awaited(bed: Bed, code: int) -> None:
    sent = await goaway_in_flight(bed, {"kept": KEPT, "code": code, "close_after_s": 5})
    assert sent.count(Outcome.ACCEPTED) == OPEN
    assert opened(bed) == 2, "one replacement, not one for each push"
    assert bed.ledger.counts()["endings"]["ignored"] == OPEN - KEPT


@scenario(settings=SETTINGS)
async def test_f02_a_first_goaway_without_an_id_and_a_second_with_it(bed: Bed) -> None:
    last = {"last_stream": 2 * KEPT + 1, "close_after_s": 5}
    sent = await goaway_in_flight(bed, {"last_stream": "max", "close": "never"}, last)
    assert sent.count(Outcome.ACCEPTED) == OPEN
    assert opened(bed) == 2


@scenario(settings=SETTINGS)
async def test_f02_a_close_at_once_leaves_the_lower_ones_unknown_and_moves_the_others(bed: Bed) -> None:
    sent = await goaway_in_flight(bed, {"kept": KEPT, "serve": False, "close_after_s": 0})
    assert (sent.count(Outcome.UNKNOWN), sent.count(Outcome.ACCEPTED)) == (KEPT, OPEN - KEPT)


@scenario(settings=SETTINGS)
async def test_f02_a_replacement_is_there_before_the_old_one_is_gone(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from({"latency_ms": 3_000, "script": {"after_requests": 10, "goaway": {"close_after_s": 5}}})
    first = bed.pushing(10)
    await bed.until(lambda: bool(bed.notes("GOAWAY")))
    await bed.until(lambda: opened(bed) == 2, limit=1.5)
    assert not first.done()
    assert (await first).count(Outcome.ACCEPTED) == 10
