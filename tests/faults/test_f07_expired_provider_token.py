"""F07: ExpiredProviderToken."""

import asyncio

from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome


@scenario(settings=PoolSettings(max_connections=4), addresses=4)
async def test_f07_one_signature_new_connections_and_all_are_accepted(bed: Bed) -> None:
    await bed.client.warm_up(bed.route, 4)
    await bed.push(3_000)
    await asyncio.sleep(30 * 60)
    bed.chaos.expire_tokens()
    await asyncio.sleep(1)
    sent = await bed.push(2_000)
    assert sent.count(Outcome.ACCEPTED) == 2_000
    assert bed.tokens.signatures == 2
    wedged = {entry.connection for entry in bed.entries() if entry.reason == "ExpiredProviderToken"}
    accepted = {entry.connection for entry in bed.entries() if entry.token in sent.batch.tokens and entry.status == 200}
    assert wedged
    assert not wedged & accepted, "a connection that has said so is replaced"


@scenario()
async def test_f07_a_fresh_token_that_is_refused_too_stops_the_team_and_says_why(bed: Bed) -> None:
    await bed.push(1)
    await asyncio.sleep(30 * 60)
    bed.chaos.update_from({"reject": {"reason": "ExpiredProviderToken"}})
    first = await bed.push(20)
    assert first.count(Outcome.ACCEPTED) == 0
    assert bed.tokens.signatures == 2, "no loop"
    seen = bed.ledger.counts()["requests"]
    later = await bed.push(20)
    assert later.causes == {"credential"}
    assert bed.ledger.counts()["requests"] == seen
    (route,) = bed.client.stats().routes
    assert "clock" in (route.last_error or "")


@scenario()
async def test_f07_a_token_younger_than_twenty_minutes_is_not_signed_again(bed: Bed) -> None:
    await bed.push(1)
    await asyncio.sleep(10 * 60)
    bed.chaos.expire_tokens()
    sent = await bed.push(5)
    assert sent.reasons <= {"ExpiredProviderToken"}
    assert bed.tokens.signatures == 1
