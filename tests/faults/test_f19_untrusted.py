"""F19: the server's chain is not trusted."""

import pytest
from testbed import HOST, Bed, scenario

from skerry.domain.push import Outcome

pytestmark = pytest.mark.slow


@scenario()
@pytest.mark.parametrize(
    ("flaw", "said"),
    [("untrusted", "unable to get local issuer"), ("wrong_name", "Hostname mismatch"), ("expired", "has expired")],
)
async def test_f19_it_is_refused_and_named_and_not_tried_all_the_time(bed: Bed, flaw: str, said: str) -> None:
    bed.chaos.update_from({"accept": {"how": "flawed", "flaw": flaw}})
    for _ in range(60):
        assert (await bed.push(2, deadline=5)).count(Outcome.NOT_PROCESSED) == 2
        await bed.pause(5)
    assert len(bed.network.host(bed.addresses[0]).attempts) <= 14
    (route,) = bed.client.stats().routes
    assert HOST in (route.last_error or "")
    assert said in (route.last_error or "")
    assert bed.ledger.counts()["requests"] == 0


@scenario(addresses=3)
async def test_f19_where_one_address_is_wrong_the_others_serve(bed: Bed) -> None:
    bed.chaos.update_from({"accept": {"how": "flawed", "flaw": "untrusted", "address": bed.addresses[0]}})
    for _ in range(20):
        assert (await bed.push(50)).count(Outcome.ACCEPTED) == 50
        await bed.pause(30)
