"""`schedule` and `speed` of the drop-in API: a bulk start that begins later, in packages, once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from virtual_world import VirtualService, virtual_service

from skerry.domain.activity import End
from skerry.domain.audience import Audience
from skerry.domain.commands import BulkStart, Pace, Template
from skerry.domain.ids import GroupId, Millis, NotificationKey
from skerry.receipts.service import Receipts

MINUTE, HOUR = 60, 3_600
MATCH = GroupId("match")
EVERYONE = Audience(everyone=True)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[VirtualService]:
    async with virtual_service(tmp_path) as found:
        found.world.add_phones(5)
        await found.quiet()
        yield found


async def bulk(
    service: VirtualService, after_s: float, audience: Audience = EVERYONE, package: int | None = None
) -> NotificationKey:
    template = Template("Match", "It begins", "Match", b"{}", b'{"n":0}', group_id=MATCH)
    pace = Pace(Millis(service.now() + int(after_s * 1000)), package, Millis(5 * MINUTE * 1000))
    key = await service.activities.start_bulk(service.app_id, BulkStart(template, audience, pace))
    await service.quiet()
    return key


async def status(service: VirtualService, key: NotificationKey) -> tuple[str, int]:
    found = await Receipts(service.store).stats(service.app_id, key)
    assert found is not None
    return found.status, found.sent


async def down(service: VirtualService, seconds: float) -> None:
    await service.crash()
    service.world.advance(seconds)
    service.start()
    await service.quiet()


async def test_it_begins_at_its_time_and_goes_on_in_packages(service: VirtualService) -> None:
    key = await bulk(service, HOUR, package=2)
    await service.pass_time(HOUR - 1)
    assert await status(service, key) == ("STARTING", 0)
    started = []
    await service.pass_time(1)
    for _ in range(4):
        started.append(service.apple.counts["start"])
        await service.pass_time(5 * MINUTE)
    assert started == [2, 4, 5, 5]
    assert await status(service, key) == ("FINISHED", 5)


async def test_an_end_of_the_group_cancels_it(service: VirtualService) -> None:
    key = await bulk(service, HOUR)
    assert await service.activities.end(service.app_id, MATCH, End())
    await service.pass_time(2 * HOUR)
    assert service.apple.counts["start"] == 0
    assert await status(service, key) == ("FINISHED", 0)


async def test_it_survives_a_crash_and_is_sent_once(service: VirtualService) -> None:
    await bulk(service, HOUR)
    for _ in range(4):
        await down(service, 30 * MINUTE)
    assert service.apple.counts["start"] == 5


@pytest.mark.parametrize(("late", "started"), [(HOUR, 5), (HOUR + 1, 0)])
async def test_long_after_its_time_it_is_not_sent_any_more(service: VirtualService, late: float, started: int) -> None:
    await bulk(service, HOUR)
    await down(service, HOUR + late)
    assert service.apple.counts["start"] == started


async def test_one_that_has_begun_goes_on_however_long_the_service_was_down(service: VirtualService) -> None:
    await bulk(service, HOUR, package=2)
    await service.pass_time(HOUR)
    await down(service, 3 * HOUR)
    for _ in range(3):
        await service.pass_time(5 * MINUTE)
    assert service.apple.counts["start"] == 5


async def test_whom_it_names_is_told_why(service: VirtualService) -> None:
    key = await bulk(service, HOUR, Audience(ext_ids=("user-1", "nobody")))
    await down(service, 3 * HOUR)
    found = await Receipts(service.store).results(
        service.app_id, notification_key=key, ext_id=None, token=None, start=Millis(0), end=service.now(), maximum=9,
        offset=0,
    )  # fmt: skip
    assert found is not None
    assert {(one.ext_id, one.error) for one in found.items} == {("user-1", "TOO_LATE"), ("nobody", "NO_DEVICE")}
