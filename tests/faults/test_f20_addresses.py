"""F20: several addresses, some bad; F21: names that fail, and IPv6 without a route; F26: one address is slow."""

import asyncio
import socket
from statistics import quantiles

import pytest
from testbed import HOST, Bed, play, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome
from skerry.simulator.virtual import Host, Name, Reach

pytestmark = pytest.mark.slow

POOL = PoolSettings(max_connections=8)


def rate(*, bad: bool) -> float:
    """Pushes a second that have their answer while a thousand a second are offered for twenty seconds."""
    took = []

    async def story(bed: Bed) -> None:
        bed.network.names[HOST] = Name(bed.addresses, answers=8)
        if bad:
            for address in bed.addresses[:2]:
                bed.network.host(address).reach = Reach.REFUSED
            bed.network.host(bed.addresses[2]).reach = Reach.SILENT
            bed.network.host(bed.addresses[3]).latency_s = 1.0
        await bed.client.warm_up(bed.route, 8)
        await asyncio.gather(*(bed.push(4) for _ in range(64)))
        before, batches = sum(bed.answered()), []
        for _ in range(400):
            batches.append(bed.pushing(50))
            await bed.pause(0.05)
        took.append((sum(bed.answered()) - before) / 20)
        sents = await asyncio.gather(*batches)
        assert all(sent.count(Outcome.ACCEPTED) == 50 for sent in sents)
        if bad:
            for address in bed.addresses[:3]:
                assert len(bed.network.host(address).attempts) <= 5, "bad addresses are tried rarely"

    play(story, settings=POOL, addresses=20)
    return took[0]


def test_f20_bad_addresses_cost_a_twentieth_at_most() -> None:
    assert rate(bad=True) >= 0.95 * rate(bad=False)


@scenario(settings=PoolSettings(max_connections=8), addresses=8)
async def test_f20_connections_spread_over_the_addresses(bed: Bed) -> None:
    assert await bed.client.warm_up(bed.route, 8) == 8
    assert len({link.address for link in bed.network.links}) == 8


@scenario()
@pytest.mark.parametrize("failure", [socket.EAI_AGAIN, socket.EAI_NONAME, socket.EAI_FAIL])
async def test_f21_living_connections_and_known_addresses_serve_while_names_fail(bed: Bed, failure: int) -> None:
    await bed.warm()
    bed.name.failure = failure
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100
    bed.server.drop_connections("eof")
    await bed.pause(1)
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100, "the last good addresses serve"


@scenario()
async def test_f21_a_look_up_that_never_ends_is_cut_off(bed: Bed) -> None:
    await bed.warm()
    bed.name.delay_s = 3_600
    bed.server.drop_connections("eof")
    await bed.pause(1)
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100


@scenario()
async def test_f21_a_name_that_is_unknown_at_first_is_asked_again(bed: Bed) -> None:
    bed.name.failure = socket.EAI_AGAIN
    waiting = bed.pushing(10, deadline=120)
    await bed.pause(60)
    assert 3 <= bed.name.lookups <= 120
    bed.name.failure = None
    assert (await waiting).count(Outcome.ACCEPTED) == 10


@scenario()
@pytest.mark.parametrize("reach", [Reach.UNREACHABLE, Reach.SILENT])
async def test_f21_ipv6_without_a_route_costs_a_second_at_most(bed: Bed, reach: Reach) -> None:
    six = [f"2001:db8::{number}" for number in range(1, 5)]
    for address in six:
        bed.network.hosts[address] = Host(reach=reach)
    bed.name.addresses = [*six, *bed.addresses]
    began = bed.loop.time()
    assert (await bed.push(10)).count(Outcome.ACCEPTED) == 10
    assert bed.loop.time() - began <= 1.5


def p99(*, slow: bool) -> float:
    found = []

    async def story(bed: Bed) -> None:
        await bed.client.warm_up(bed.route, 8)
        await asyncio.gather(*(bed.push(4) for _ in range(64)))
        plan = {"latency_ms": 40, "late": {"address": bed.addresses[0], "ms": 3_000}}
        bed.chaos.update_from(plan if slow else {"latency_ms": 40})
        times = []

        async def timed() -> None:
            began = bed.loop.time()
            await bed.push(1)
            times.append(bed.loop.time() - began)

        for _ in range(300):
            pushes = [asyncio.create_task(timed()) for _ in range(10)]
            await bed.pause(0.2)
        await asyncio.gather(*pushes)
        await bed.pause(4)
        found.append(quantiles(times[1_000:], n=100)[98])
        bed.chaos.update_from({"latency_ms": 40})
        await bed.pause(60)
        before = len(bed.entries())
        await asyncio.gather(*(bed.push(20) for _ in range(100)))
        back = {entry.connection for entry in bed.entries(since=before)}
        assert len(back) >= 7, "a recovered address is used again"

    play(story, settings=POOL, addresses=8)
    return found[0]


def test_f26_one_slow_address_does_not_set_the_pace() -> None:
    assert p99(slow=True) <= 2 * p99(slow=False)
