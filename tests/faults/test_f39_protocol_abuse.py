"""F39: HTTP/2's limits, and a server that abuses them."""

from typing import Any

import pytest
from testbed import UPDATE, Bed, scenario

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome

pytestmark = pytest.mark.slow

ONE = PoolSettings(max_connections=1)
HARMLESS = [
    {"type": "priority", "stream": 1, "payload": "0000000000"},
    {"type": 0x42, "stream": 0, "payload": "abcdef"},
    {"type": 0xFF, "stream": 3},
    {"type": "rst_stream", "stream": 1, "payload": "00000005"},
    {"type": "window_update", "stream": 1, "payload": "00000001"},
    {"type": "data", "stream": 1, "flags": 1, "payload": "aa"},
    {"type": "ping", "flags": 1, "payload": "00" * 8},
    {"type": "settings", "flags": 1},
    {"type": "settings", "payload": "ff0000000001"},
]
ILLEGAL = [
    {"type": "data", "stream": 2_000_001, "payload": "aa"},
    {"type": "data", "stream": 0, "payload": "aa"},
    {"type": "headers", "stream": 2, "flags": 4, "payload": "88"},
    {"type": "push_promise", "stream": 1, "flags": 4, "payload": "0000000288"},
    {"type": "continuation", "stream": 1, "flags": 4, "payload": "88"},
    {"type": "ping", "payload": "00"},
    {"type": "settings", "payload": "00"},
    {"type": "settings", "payload": "000500000001"},
    {"type": "settings", "payload": "0004ffffffff"},
    {"type": "goaway", "payload": "00"},
    {"type": "window_update", "payload": "00000000"},
    {"type": "rst_stream", "stream": 0, "payload": "00000005"},
    {"type": "headers", "stream": 1, "flags": 4, "payload": "ff" * 200},
    {"type": "data", "stream": 1, "payload": "00" * 20_000},
]


async def with_frames(bed: Bed, frames: dict[str, Any]) -> tuple[int, int]:
    """Frames come amid 50 pushes; what is accepted and what is unknown of these."""
    await bed.warm()
    bed.chaos.update_from({"latency_ms": 300, "script": {"after_requests": 25, "frames": frames}})
    sent = await bed.push(50, deadline=10)
    bed.chaos.update_from({})
    assert (await bed.push(50)).count(Outcome.ACCEPTED) == 50
    return sent.count(Outcome.ACCEPTED), sent.count(Outcome.UNKNOWN)


@scenario(settings=ONE)
@pytest.mark.parametrize("frames", HARMLESS, ids=str)
async def test_f39_what_may_be_ignored_is_ignored(bed: Bed, frames: dict[str, Any]) -> None:
    assert await with_frames(bed, frames) == (50, 0)
    assert len(bed.notes("opened")) == 1


@scenario(settings=ONE)
@pytest.mark.parametrize("frames", ILLEGAL, ids=lambda frames: str(frames)[:60])
async def test_f39_an_illegal_frame_ends_the_connection_and_leaves_what_was_out_unknown(
    bed: Bed, frames: dict[str, Any]
) -> None:
    accepted, unknown = await with_frames(bed, frames)
    assert accepted + unknown == 50
    assert len(bed.notes("opened")) == 2


@scenario(settings=ONE)
@pytest.mark.parametrize(
    "frames",
    [
        {"type": "ping", "payload": "00" * 8, "count": 100_000},
        {"type": "settings", "payload": "000300000064", "count": 100_000},
        {"type": "continuation", "stream": 1, "payload": "00" * 100, "count": 10_000},
        {"type": "window_update", "stream": 1, "payload": "00000001", "count": 100_000},
        {"type": 0x42, "count": 100_000},
    ],
    ids=lambda frames: str(frames["type"]),
)
async def test_f39_floods_are_borne_or_cut_off_and_never_pile_up(bed: Bed, frames: dict[str, Any]) -> None:
    accepted, unknown = await with_frames(bed, frames)
    assert accepted + unknown == 50
    assert all(link.octets[0] < 2_000_000 for link in bed.network.links)


@scenario(settings=ONE)
async def test_f39_a_header_list_without_end_is_cut_off(bed: Bed) -> None:
    accepted, unknown = await with_frames(
        bed, {"type": "headers", "stream": 51, "payload": "40" + "0161" + "7f00" + "61" * 127}
    )
    assert accepted + unknown == 50


@scenario(settings=ONE)
@pytest.mark.parametrize("sizes", [[0], [0, 4_096], [4_096, 0, 100], [65_536], [1], [0, 0, 0]], ids=str)
async def test_f39_the_size_of_the_header_table_changes_as_it_likes(bed: Bed, sizes: list[int]) -> None:
    """The simulator's decoder holds us to it: a block without its size update is a protocol error."""
    await bed.warm()
    script = [{"at_s": 0.01, "settings": {"header_table_size": size}} for size in sizes]
    bed.chaos.update_from({"script": script})
    await bed.pause(0.2)
    assert (await bed.push(100)).count(Outcome.ACCEPTED) == 100
    assert (await bed.push(100, priority=5)).count(Outcome.ACCEPTED) == 100
    assert len(bed.notes("opened")) == 1


@scenario(settings=PoolSettings(max_connections=1, ping_interval=5.0))
@pytest.mark.parametrize("plan", [{"ignore_ping": True}, {"ping_delay_ms": 20_000}])
async def test_f39_a_ping_without_an_answer_retires_the_connection(bed: Bed, plan: dict[str, Any]) -> None:
    await bed.warm()
    bed.chaos.update_from(plan)
    await bed.pause(30)
    assert not bed.network.links
    bed.chaos.update_from({})
    assert (await bed.push(20)).count(Outcome.ACCEPTED) == 20


@scenario(settings=PoolSettings(max_connections=1, ping_interval=5.0))
async def test_f39_a_ping_answered_late_is_good_enough(bed: Bed) -> None:
    await bed.warm()
    bed.chaos.update_from({"ping_delay_ms": 3_000})
    await bed.pause(60)
    assert (await bed.push(20)).count(Outcome.ACCEPTED) == 20
    assert len(bed.notes("opened")) == 1


@scenario(settings=ONE)
async def test_f39_a_push_costs_its_payload_and_little_more(bed: Bed) -> None:
    await bed.warm(count=10)
    (link,) = bed.network.links
    before = link.octets[0]
    await bed.push(5_000)
    assert (link.octets[0] - before) / 5_000 <= len(UPDATE) + 150
