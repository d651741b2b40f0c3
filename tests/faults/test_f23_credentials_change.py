"""F23: the key changes while pushes are under way; F24: many teams, some of them in trouble."""

import asyncio

import pytest
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Credential, Outcome, Route

pytestmark = pytest.mark.slow

TEAMS = tuple(f"TEAM{number:06}" for number in range(50))


@scenario(settings=PoolSettings(max_connections=2))
async def test_f23_a_new_key_takes_new_connections_and_the_old_ones_drain(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from({"latency_ms": 300})
    old = bed.pushing(500)
    await bed.pause(0.1)
    pem = bed.keys.generate_dev("SKERRYTEAM", "SKERRYKEYX")
    fresh = Route(Credential("SKERRYTEAM", "SKERRYKEYX", pem), bed.endpoint)
    new = bed.pushing(500, route=fresh)
    assert (await old).count(Outcome.ACCEPTED) == 500
    assert (await new).count(Outcome.ACCEPTED) == 500
    assert bed.ledger.counts()["reasons"] == {}
    connections = [
        {e.connection for e in bed.entries() if e.token in sent.batch.tokens} for sent in (await old, await new)
    ]
    assert not connections[0] & connections[1], "no connection sees two keys"


@scenario()
async def test_f23_a_key_that_cannot_sign_is_refused_without_a_connection_and_the_old_one_works_on(bed: Bed) -> None:
    await bed.push(5)
    broken = Route(Credential("SKERRYTEAM", "SKERRYKEYX", b"-----BEGIN PRIVATE KEY-----\nnonsense"), bed.endpoint)
    attempts = len(bed.network.host(bed.addresses[0]).attempts)
    assert (await bed.push(5, route=broken)).causes == {"credential"}
    assert len(bed.network.host(bed.addresses[0]).attempts) == attempts
    assert (await bed.push(5)).count(Outcome.ACCEPTED) == 5


@scenario(teams=TEAMS, settings=PoolSettings(max_connections=2), addresses=4)
async def test_f24_one_bad_one_flooded_and_one_punished_team_slow_no_other(bed: Bed) -> None:
    bad, flooded, punished, *others = bed.routes.values()
    await asyncio.gather(*(bed.push(1, route=route) for route in bed.routes.values()))
    wrong = Route(Credential(bad.credential.team_id, "WRONGKEYID", bad.credential.private_key_pem), bad.endpoint)

    async def second() -> float:
        began = bed.loop.time()
        sents = await asyncio.gather(*(bed.push(20, route=route) for route in others))
        assert all(sent.count(Outcome.ACCEPTED) == 20 for sent in sents)
        return bed.loop.time() - began

    calm = await second()
    await bed.push(1, route=punished)
    numbers = {entry.connection for entry in bed.entries() if entry.token == bed.sent[-1].batch.tokens[0]}
    bed.chaos.update_from({"reject": {"reason": "TooManyProviderTokenUpdates", "connection": numbers.pop()}})
    trouble = [
        bed.pushing(20_000, route=flooded, deadline=20),
        bed.pushing(50, route=wrong, deadline=20),
        bed.pushing(50, route=punished, deadline=90),
    ]
    await bed.pause(0.01)
    assert await second() <= calm / 0.95 + 0.02
    assert (await trouble[1]).count(Outcome.ACCEPTED) == 0
    await asyncio.gather(*trouble)
    seen = {}
    for entry in bed.entries():
        seen.setdefault(entry.connection, set()).add(bed.team_of(entry.token))
    assert all(len(teams) == 1 for teams in seen.values()), "connections are never shared"
