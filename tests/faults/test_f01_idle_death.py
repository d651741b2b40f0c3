"""F01: a connection dies while it is idle."""

import asyncio

import pytest
from testbed import Bed, scenario

from skerry.domain.push import Outcome

IDLE = 35 * 60.0


async def idle_connection(bed: Bed) -> None:
    assert (await bed.push(10)).count(Outcome.ACCEPTED) == 10
    await asyncio.sleep(IDLE - 300)


@scenario()
async def test_f01_a_path_lost_while_idle_is_noticed_before_the_next_push(bed: Bed) -> None:
    await idle_connection(bed)
    bed.network.links[0].black_hole()
    await asyncio.sleep(300)
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100


@scenario()
async def test_f01_a_path_lost_at_the_last_moment_costs_at_most_what_was_written_on_it(bed: Bed) -> None:
    await idle_connection(bed)
    bed.network.links[0].black_hole()
    lost = bed.pushing(100)
    await asyncio.sleep(8)
    began = bed.loop.time()
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100
    assert bed.loop.time() - began < 1, "a spare connection serves new ones at once"
    counts = (await lost).outcomes
    assert counts is not None
    assert (await lost).causes <= {"connection_lost"}
    assert bed.loop.time() - began < 15, "nothing waits for TCP's own timeout"


@scenario()
@pytest.mark.parametrize("mode", ["eof", "fin", "rst"])
async def test_f01_a_connection_closed_by_apns_while_idle_is_replaced(bed: Bed, mode: str) -> None:
    await idle_connection(bed)
    bed.server.drop_connections(mode)
    await asyncio.sleep(300)
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100


@scenario()
async def test_f01_an_idle_timeout_of_apns_is_no_error(bed: Bed) -> None:
    await idle_connection(bed)
    bed.server.goaway("IdleTimeout")
    await asyncio.sleep(300)
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100


@scenario()
async def test_f01_a_nat_that_answers_with_rst_costs_what_was_written_and_nothing_more(bed: Bed) -> None:
    await idle_connection(bed)
    bed.network.links[0].forget()
    began = bed.loop.time()
    sent = await bed.push(100, deadline=10)
    assert sent.count(Outcome.UNKNOWN) + sent.count(Outcome.ACCEPTED) == 100
    assert sent.causes <= {"connection_lost"}
    assert bed.loop.time() - began < 1
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100


@scenario()
async def test_f01_a_nat_that_forgets_while_idle_is_noticed_by_the_probe(bed: Bed) -> None:
    await idle_connection(bed)
    bed.network.links[0].forget()
    await asyncio.sleep(300)
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100
