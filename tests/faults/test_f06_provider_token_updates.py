"""F06: TooManyProviderTokenUpdates."""

import asyncio

from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome

TEAMS = ("SKERRYTEAM", "OTHERTEAM0")
EIGHT_HOURS = 8 * 3600.0


@scenario(settings=PoolSettings(max_connections=16), addresses=4)
async def test_f06_one_signature_in_twenty_minutes_at_most_over_eight_hours(bed: Bed) -> None:
    bed.chaos.update_from({"auth": {"per_team": True}})
    clients = [bed.client, *(bed.new_client() for _ in range(1))]
    await bed.client.warm_up(bed.route, 4)
    while bed.loop.time() < EIGHT_HOURS:
        results = await asyncio.gather(*(bed.push(2, client=client) for client in clients))
        assert all(one.count(Outcome.ACCEPTED) == 2 for one in results)
        await asyncio.sleep(590)
    assert bed.tokens.signatures <= EIGHT_HOURS / 1200
    assert bed.ledger.counts()["reasons"] == {}


@scenario(teams=TEAMS)
async def test_f06_a_team_that_is_told_so_is_quiet_keeps_its_token_and_others_go_on(bed: Bed) -> None:
    _, other = bed.routes.values()
    await bed.push(1)
    await bed.push(1, route=other)
    bed.chaos.update_from({"reject": {"reason": "TooManyProviderTokenUpdates", "connection": 1}})
    refused = await bed.push(50)
    assert refused.reasons == {"TooManyProviderTokenUpdates"}
    signed = bed.tokens.signatures
    waiting = bed.pushing(50, deadline=120)
    seen = bed.ledger.counts()["requests"]
    assert (await bed.push(500, route=other)).count(Outcome.ACCEPTED) == 500
    assert bed.ledger.counts()["requests"] == seen + 500, "the team itself is quiet"
    assert (await waiting).count(Outcome.ACCEPTED) == 50
    assert bed.tokens.signatures == signed, "the token is kept"


@scenario(settings=PoolSettings(max_connections=4), addresses=4)
async def test_f06_connections_that_say_so_are_replaced_one_at_a_time(bed: Bed) -> None:
    await bed.client.warm_up(bed.route, 4)
    await bed.push(4_000)
    bed.chaos.update_from({"reject": {"reason": "TooManyProviderTokenUpdates", "connection": 1}})
    await bed.push(2_000, deadline=200)
    refused = bed.ledger.counts()["reasons"].get("TooManyProviderTokenUpdates", 0)
    assert refused
    await asyncio.sleep(120)
    assert (await bed.push(2_000, deadline=60)).count(Outcome.ACCEPTED) == 2_000
    assert len(bed.notes("opened")) <= 5
