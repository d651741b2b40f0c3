"""F11: the answer is lost: neither loss nor a silent duplicate."""

from delivery_bed import delivery
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome
from skerry.domain.verdict import RetryPolicy, Verdict

LOST = {"drop_answer": {"share": 0.2}, "seed": 11}


@scenario(settings=PoolSettings(max_connections=2))
async def test_f11_the_client_reports_and_never_sends_again(bed: Bed) -> None:
    """`report` of the list: `Unknown` is a value, and the client's part ends there."""
    await bed.warm()
    bed.chaos.update_from(LOST)
    sents = [await bed.push(1) for _ in range(60)]
    unknown = [sent for sent in sents if sent.count(Outcome.UNKNOWN)]
    assert len(unknown) > 5
    assert all(count == 1 for count in bed.times_sent().values())


@scenario(settings=PoolSettings(max_connections=2))
async def test_f11_delivery_repeats_an_update_and_the_phone_ends_on_it(bed: Bed) -> None:
    """`resend` of the list: an update may be repeated, with the same state, and is counted."""
    async with delivery(bed, policy=RetryPolicy(unknown=1.0)) as one:
        tokens = await one.cards(100)
        bed.chaos.update_from({"drop_answer": {"share": 0.1, "times": 2}, "seed": 11})
        state = await one.update()
        await one.settled()
        assert set(one.deliveries(state)) == set(tokens)
        repeated = sum(count - 1 for count in one.sends(state).values())
        assert 0 < repeated <= 200
        assert max(one.sends(state).values()) <= 1 + RetryPolicy().unknown_attempts
        assert repeated <= one.sender.tally.verdicts[Verdict.UNKNOWN], "every repetition is counted"
        assert (await one.verdicts())[Verdict.ACCEPTED] == 100
