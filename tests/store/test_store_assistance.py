"""A sender beside the service writes as long as it is known, and not a word after that."""

import pytest

from skerry.delivery.assistance import SILENT_AFTER, Assistance, GivenUpError


@pytest.fixture
def assistance(bench):
    return Assistance(bench.store, "beside", clock=lambda: bench.clock.now)


async def silent(seconds, bench):
    bench.clock.now += seconds * 1000
    await bench.write(lambda tx: tx.senders.forget_silent(bench.clock.now - SILENT_AFTER))


async def test_while_it_shows_signs_of_life_it_writes(bench, assistance):
    await assistance.begin()
    naps = []

    async def nap(channel, seconds):
        naps.append(seconds)
        await silent(14 if len(naps) < 3 else 16, bench)

    with pytest.raises(GivenUpError):
        await assistance.stay_known(nap)
    assert len(naps) == 3


async def test_given_up_it_changes_nothing(bench, assistance):
    await assistance.begin()
    assert await assistance.write(lambda tx: "carried out") == "carried out"
    await silent(16, bench)
    carried_out = []
    with pytest.raises(GivenUpError):
        await assistance.write(carried_out.append)
    assert carried_out == []
    assert await assistance.read(lambda tx: "still reads") == "still reads"


async def test_ended_it_is_known_no_more(bench, assistance):
    await assistance.begin()
    await assistance.end()
    with pytest.raises(GivenUpError):
        await assistance.write(lambda tx: None)
