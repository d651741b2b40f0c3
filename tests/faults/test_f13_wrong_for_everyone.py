"""F13: wrong environment or topic for everybody, and tokens that die in numbers."""

import asyncio

from delivery_bed import delivery
from testbed import Bed, play, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Environment, Outcome
from skerry.domain.verdict import Verdict


@scenario()
async def test_f13_every_refusal_is_told_and_none_is_repeated(bed: Bed) -> None:
    bed.chaos.update_from({"limit_after_rejection": True})
    sent = await bed.push(200, prefix="12")
    assert sent.count(Outcome.REJECTED) == 200
    assert sent.reasons == {"BadDeviceToken"}
    answered = [entry for entry in bed.entries() if entry.status is not None]
    assert len(answered) == 200


def rate(bad: float) -> float:
    took = []

    async def story(bed: Bed) -> None:
        await bed.client.warm_up(bed.route, 8)
        await asyncio.gather(*(bed.push(4) for _ in range(32)))
        bed.chaos.update_from({"reject": {"share": bad, "reason": "BadDeviceToken"}, "seed": 13})
        began = bed.loop.time()
        sents = [bed.pushing(50) for _ in range(20) if await bed.pause(0.05) is None]
        await asyncio.gather(*sents)
        took.append(bed.loop.time() - began)

    play(story, settings=PoolSettings(max_connections=8), addresses=4)
    return took[0]


def test_f13_good_tokens_are_not_slowed_by_bad_ones() -> None:
    assert rate(0.3) <= rate(0.0) / 0.8


@scenario()
async def test_f13_the_wrong_world_is_noticed_and_the_other_one_is_tried_once(bed: Bed) -> None:
    """Devices that have not said theirs: tried in production, then in the sandbox, and remembered."""
    async with delivery(bed) as one:
        tokens = await one.cards(50)
        bed.devices.only_in = Environment.SANDBOX
        first = await one.update()
        await one.settled()
        assert set(one.deliveries(first)) == set(tokens)
        assert set(one.sends(first).values()) == {2}
        second = await one.update()
        await one.settled()
        assert set(one.sends(second).values()) == {1}


@scenario()
async def test_f13_tokens_unknown_in_both_worlds_are_given_up_once_and_told(bed: Bed) -> None:
    async with delivery(bed) as one:
        await one.cards(20)
        bed.devices.only_in = None
        bed.devices.nobody = True
        state = await one.update()
        await one.settled()
        assert (await one.verdicts())[Verdict.REJECTED] == 20
        assert set(one.sends(state).values()) == {2}
        assert one.sender.tally.reasons["BadDeviceToken"] == 40
