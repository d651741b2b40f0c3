"""F38: 429 for one device; F40: trouble on one route is not trouble on another."""

import pytest
from delivery_bed import delivery
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome
from skerry.domain.verdict import RetryPolicy, Verdict

pytestmark = pytest.mark.slow


@scenario()
async def test_f38_only_that_token_waits_and_is_sent_again_a_few_times(bed: Bed) -> None:
    async with delivery(bed, policy=RetryPolicy(too_many_requests=10.0)) as one:
        tokens = await one.cards(100)
        bed.chaos.update_from({"reject": {"reason": "TooManyRequests", "token": tokens[7], "times": 3}})
        state = await one.update()
        await bed.pause(2)
        assert len(one.deliveries(state)) == 99, "the others are not slowed"
        await one.settled(limit=300)
        assert one.sends(state)[tokens[7]] == 4
        assert set(one.deliveries(state).values()) == {1}
        assert (await one.verdicts())[Verdict.ACCEPTED] == 100


@scenario()
async def test_f38_a_newer_state_replaces_the_one_that_waits(bed: Bed) -> None:
    async with delivery(bed, policy=RetryPolicy(too_many_requests=60.0)) as one:
        (token,) = await one.cards(1)
        bed.chaos.update_from({"reject": {"reason": "TooManyRequests", "token": token, "times": 1}})
        old = await one.update()
        await bed.pause(1)
        new = await one.update()
        await one.settled(limit=300)
        assert one.deliveries(new) == {token: 1}
        assert one.deliveries(old) == {}


@scenario(teams=("SKERRYTEAM", "OTHERTEAM0"), settings=PoolSettings(max_connections=2))
async def test_f40_a_route_that_is_down_does_not_slow_another(bed: Bed) -> None:
    down, healthy = bed.routes.values()
    await bed.push(5, route=down)
    await bed.push(5, route=healthy)
    began = bed.loop.time()
    await bed.push(100, route=healthy)
    calm = bed.loop.time() - began
    bed.network.links[0].black_hole()
    stuck = [bed.pushing(100, route=down, deadline=30) for _ in range(20)]
    began = bed.loop.time()
    assert (await bed.push(100, route=healthy)).count(Outcome.ACCEPTED) == 100
    assert bed.loop.time() - began <= calm + 0.01
    for one in stuck:
        sent = await one
        assert sent.count(Outcome.ACCEPTED) + sent.count(Outcome.UNKNOWN) == 100


@scenario()
async def test_f40_what_is_asked_twice_is_one_newest_state_for_each_card(bed: Bed) -> None:
    """A caller that times out and asks again: the same state is a newer revision, and the phone ends on it."""
    async with delivery(bed) as one:
        tokens = await one.cards(20)
        bed.chaos.update_from({"silent": 1})
        await one.update()
        await bed.pause(5)
        bed.chaos.update_from({})
        newest = await one.update()
        await one.settled(limit=300)
        assert one.deliveries(newest) == dict.fromkeys(tokens, 1)
        assert max(bed.times_sent().values()) <= 2 + RetryPolicy().unknown_attempts
