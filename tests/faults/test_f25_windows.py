"""F25: windows close."""

import json

import pytest
from testbed import Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome

pytestmark = pytest.mark.slow

ONE = PoolSettings(max_connections=1)
LARGE = json.dumps({"aps": {"event": "update", "content-state": {"text": "x" * 4_000}}}).encode()
assert 4_000 < len(LARGE) <= 4_096


@scenario(settings=ONE)
async def test_f25_large_payloads_go_out_as_the_connection_window_lets_them(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from({"latency_ms": 20})
    assert (await bed.push(1_000, body=LARGE, deadline=120)).count(Outcome.ACCEPTED) == 1_000


@scenario(settings=ONE)
async def test_f25_a_window_that_opens_late_delays_and_loses_nothing(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from(
        {"window": {"withhold": "connection"}, "script": {"at_s": 5, "set": {"window": None}}}
    )  # fmt: skip
    sent = await bed.push(100, body=LARGE, deadline=60)
    assert sent.count(Outcome.ACCEPTED) == 100


@scenario(settings=ONE)
async def test_f25_a_body_that_cannot_go_is_unknown_at_its_deadline_and_holds_up_no_others(bed: Bed) -> None:
    bed.chaos.update_from({"window": {"stream": 0}, "initial_streams": 100})
    await bed.pause(0.1)
    blocked = bed.pushing(5, body=LARGE, deadline=4)
    await bed.pause(1)
    assert (await blocked).count(Outcome.ACCEPTED) == 0
    bed.chaos.update_from({"initial_streams": 100})
    assert (await bed.push(50)).count(Outcome.ACCEPTED) == 50


@scenario(settings=ONE)
@pytest.mark.parametrize("stream", [1, 100, 5_000])
async def test_f25_tiny_stream_windows_are_filled_again_and_again(bed: Bed, stream: int) -> None:
    bed.chaos.update_from({"window": {"stream": stream}})
    body = LARGE if stream > 1 else b'{"aps":{}}'
    assert (await bed.push(5, body=body, deadline=120)).count(Outcome.ACCEPTED) == 5


@scenario(settings=ONE)
async def test_f25_a_window_that_shrinks_below_what_is_used_is_obeyed(bed: Bed) -> None:
    await bed.warm()
    for stream in (100, 60_000, 0, 65_535, 10):
        bed.chaos.update_from({"window": {"stream": stream}, "script": {"at_s": 1, "set": {"window": None}}})
        assert (await bed.push(30, body=LARGE, deadline=30)).count(Outcome.ACCEPTED) == 30


@scenario(settings=ONE)
async def test_f25_a_peer_that_stops_reading_costs_what_was_written(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from({"stop_reading": True})
    stuck = bed.pushing(2_000, body=LARGE, deadline=40)
    await bed.pause(20)
    bed.chaos.update_from({})
    sent = await stuck
    assert sent.count(Outcome.ACCEPTED) + sent.count(Outcome.UNKNOWN) == 2_000
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100


@scenario(settings=ONE)
@pytest.mark.parametrize("stream", [0, 1])
async def test_f25_a_window_that_overflows_is_an_error_of_the_peer(bed: Bed, stream: int) -> None:
    await bed.warm()
    frames = {"type": "window_update", "stream": stream, "payload": "7fffffff", "count": 2}
    bed.chaos.update_from({"latency_ms": 500, "script": {"after_requests": 50, "frames": frames}})
    sent = await bed.push(50)
    assert sent.count(Outcome.ACCEPTED) + sent.count(Outcome.UNKNOWN) == 50
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100


@scenario(settings=ONE)
async def test_f25_error_bodies_by_the_ten_thousand_do_not_stall_the_connection(bed: Bed) -> None:
    """64 octets each: without credit for them the 65,535 octets of the default would be used up fifteen times."""
    await bed.warm()
    reason = "BadDeviceToken" + "-" * 36
    bed.chaos.update_from({"reject": {"reason": reason, "status": 400}})
    for _ in range(4):
        assert (await bed.push(5_000, deadline=60)).count(Outcome.REJECTED) == 5_000
    assert len(bed.notes("opened")) == 1
