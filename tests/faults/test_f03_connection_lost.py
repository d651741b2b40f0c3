"""F03: a connection is lost with work in flight."""

import pytest
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome

OPEN = 500


@scenario(settings=PoolSettings(max_connections=1))
@pytest.mark.parametrize("mode", ["rst", "eof", "fin", "half_close"])
async def test_f03_what_was_written_and_not_answered_is_unknown_and_not_sent_again(bed: Bed, mode: str) -> None:
    await bed.warm()
    bed.chaos.update_from({"latency_ms": {"min": 200, "max": 800}, "script": {"at_s": 0.55, "drop": mode}})
    sent = await bed.push(OPEN)
    assert sent.count(Outcome.ACCEPTED) + sent.count(Outcome.UNKNOWN) == OPEN
    assert 150 < sent.count(Outcome.UNKNOWN) < 350
    assert sent.causes == {"connection_lost"}


@scenario(settings=PoolSettings(max_connections=1))
async def test_f03_what_was_not_written_moves_to_the_next_connection(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from(
        {"max_concurrent_streams": 100, "latency_ms": 400, "script": {"at_s": 1.0, "drop": "rst"}}
    )  # fmt: skip
    await bed.pause(0.1)
    sent = await bed.push(OPEN)
    assert 0 < sent.count(Outcome.UNKNOWN) <= 100
    assert sent.count(Outcome.ACCEPTED) == OPEN - sent.count(Outcome.UNKNOWN)


@scenario(settings=PoolSettings(max_connections=2), addresses=2)
async def test_f03_the_other_connections_are_not_disturbed(bed: Bed) -> None:
    await bed.client.warm_up(bed.route, 2)
    await bed.push(2_000)
    bed.chaos.update_from({"latency_ms": 400, "script": {"at_s": 0.2, "drop": "rst", "connections": "oldest"}})
    sent = await bed.push(1_000)
    lost = {entry.connection for entry in bed.entries() if entry.ending.value == "no answer"}
    assert lost == {1}
    assert 0 < sent.count(Outcome.UNKNOWN) < 1_000
