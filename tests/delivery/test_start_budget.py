"""No more starts than a phone takes: what would be dropped waits, and says so, or is refused as the policy says."""

from pathlib import Path
from typing import Any

import pytest
from virtual_world import VirtualService, virtual_service
from whole_service import REST, whole_service

from skerry.domain.activity import End
from skerry.domain.audience import Audience
from skerry.domain.budget import HOUR, SLACK, START_BUDGET, OverBudget
from skerry.domain.desired import Desired, Policies, Routing
from skerry.domain.ids import CardNumber, GroupId, Millis
from skerry.domain.receipt import ActivityReceipt, CardReceipt
from skerry.receipts.service import Receipts
from skerry.simulator.phone.verdict import Verdict as PhoneVerdict

KEY = {"X-netmera-api-key": REST}
MOST = 10
"""That a phone takes in an hour, and that Skerry trusts it to take."""


def wish(name: str, state: bytes = b'{"goals":0}', **policies: Any) -> Desired:
    return Desired(
        group_id=GroupId(name),
        state=state,
        attributes_type="Match",
        attributes=b'{"home":"Skerry"}',
        audience=Audience(everyone=True),
        policies=Policies(routing=Routing.TOKENS, **policies),
    )


async def put(service: VirtualService, desired: Desired) -> None:
    await service.desired.put(service.app_id, desired)
    await service.quiet()


async def seen(service: VirtualService, name: str) -> tuple[ActivityReceipt, list[CardReceipt]]:
    receipts = Receipts(service.store)
    found = await receipts.activity(service.app_id, name)
    assert found is not None
    return found, list((await receipts.cards(found.activity, after=CardNumber(0), maximum=100)).items)


def dropped(service: VirtualService) -> int:
    """Starts that phones have dropped because they had had too many."""
    return sum(phone.log.counts[PhoneVerdict.START_BUDGET] for phone in service.world.phones.values())


async def full(service: VirtualService, phones: int = 2) -> None:
    """Phones that have had as many starts as they take."""
    service.world.add_phones(phones)
    await service.quiet()
    for number in range(MOST):
        await put(service, wish(f"order-{number}", late_joiners=False))


async def test_one_start_more_waits_says_so_and_shows_the_newest_state_when_it_comes(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        await full(service)
        began = service.now()
        await put(service, wish("late"))
        found, cards = await seen(service, "late")
        assert found.held_starts == 2
        assert {(one.status.name, one.reason) for one in cards} == {("STARTING", START_BUDGET)}
        (starts_at,) = {one.starts_at for one in cards}
        assert starts_at is not None
        assert HOUR < starts_at - began <= HOUR + 2 * SLACK
        await service.pass_time(1800)
        await put(service, wish("late", b'{"goals":3}'))
        await service.pass_time(1800 - 10)
        assert (await seen(service, "late"))[0].held_starts == 2
        await service.pass_time(130)
        found, cards = await seen(service, "late")
        assert found.held_starts == 0
        assert {(one.status.name, one.reason, one.starts_at) for one in cards} == {("LIVE", None, None)}
        assert dropped(service) == 0
        for phone in service.world.phones.values():
            assert [card.content_state for card in phone.cards if card.group_id == "late"] == [b'{"goals":3}']


async def test_a_burst_of_activities_goes_out_hour_by_hour_and_no_phone_drops_any(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(1)
        await service.quiet()
        for number in range(3 * MOST):
            await put(service, wish(f"order-{number}"))
        for hour in (1, 2, 3):
            assert service.apple.counts["start"] == hour * MOST
            await service.pass_time(3600 + 150)
        assert dropped(service) == 0


async def test_one_busy_phone_holds_up_no_other(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        await full(service, 1)
        service.world.add_phones(3)
        await service.quiet()
        await put(service, wish("late"))
        states = [(one.status.name, one.reason) for one in (await seen(service, "late"))[1]]
        assert sorted(states) == [("LIVE", None)] * 3 + [("STARTING", START_BUDGET)]


async def test_what_was_held_until_its_activity_was_over_is_not_started(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        await full(service)
        await put(service, wish("late"))
        await service.desired.end(service.app_id, GroupId("late"), End())
        starts = service.apple.counts["start"]
        await service.pass_time(2 * 3600)
        assert service.apple.counts["start"] == starts
        _, cards = await seen(service, "late")
        assert {(one.status.name, one.reason) for one in cards} == {("LOST", "TooLate")}


async def test_a_late_joiner_waits_for_its_budget_too(tmp_path: Path) -> None:
    async with whole_service(tmp_path, activities={"starts_per_device": 1}) as whole:
        await whole.report("phone", {"name": "LiveActivityStartToken", "token": "ab" * 32}, extId="ada")
        for name, audience in (("one", {"users": ["ada"]}), ("two", {"tags": ["vip"]})):
            body = {"type": "Match", "attributes": {}, "state": {}, "audience": audience}
            await whole.client.put(f"/v1/activities/{name}", json=body, headers=KEY)
        await whole.rest("tagUsers", {"tag": "vip", "extIds": ["ada"]})
        assert (await whole.client.get("/v1/activities/two", headers=KEY)).json()["held_starts"] == 1


async def test_held_starts_outlive_a_crash_and_come_once(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        await full(service)
        await put(service, wish("late"))
        await service.crash()
        service.start()
        await service.pass_time(3600 + 150)
        assert {one.status.name for one in (await seen(service, "late"))[1]} == {"LIVE"}
        assert service.apple.counts["start"] == 2 * (MOST + 1)
        assert dropped(service) == 0


async def test_refused_by_policy_is_counted_and_not_started_later(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        await full(service)
        starts = service.apple.counts["start"]
        await put(service, wish("late", start_budget=OverBudget.REFUSE))
        found, cards = await seen(service, "late")
        assert (found.held_starts, cards) == (0, [])
        start = await Receipts(service.store).revision(found.activity, found.activity.newest)
        assert start is not None
        assert start.misses == {"START_BUDGET": 2}
        await service.pass_time(2 * 3600)
        assert service.apple.counts["start"] == starts


async def test_a_renewal_does_not_wait(tmp_path: Path) -> None:
    """The old card does not wait either: it ends at Apple's eight hours."""
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(1)
        await service.quiet()
        await put(service, wish("shift", renew=True))
        await service.pass_time(7.2 * 3600)
        for number in range(MOST):
            await put(service, wish(f"order-{number}"))
        await service.pass_time(0.4 * 3600)
        _, cards = await seen(service, "shift")
        assert len(cards) == 2
        assert {one.reason for one in cards} == {None}


async def test_it_can_be_switched_off_and_is_told_through_the_api(tmp_path: Path) -> None:
    body = {"type": "Match", "attributes": {}, "state": {}, "audience": {"users": ["ada"]}}
    for most, held in ((0, 0), (1, 1)):
        async with whole_service(tmp_path / str(most), activities={"starts_per_device": most}) as whole:
            token = {"name": "LiveActivityStartToken", "token": "ab" * 32}
            await whole.report("phone", token, extId="ada")
            for name in ("one", "two"):
                await whole.client.put(f"/v1/activities/{name}", json=body, headers=KEY)
            shown = (await whole.client.get("/v1/activities/two", headers=KEY)).json()
            assert shown["held_starts"] == held
            (card,) = (await whole.client.get("/v1/activities/two/cards", headers=KEY)).json()["cards"]
            assert card["reason"] == (START_BUDGET if held else None)
            assert (card["starts_at"] or 0) > Millis(0) if held else card["starts_at"] is None
            refused = {**body, "start_budget": "refuse"}
            answer = await whole.client.put("/v1/activities/three", json=refused, headers=KEY)
            assert answer.json()["counts"]["refused"] == ({"START_BUDGET": 1} if held else {})


@pytest.mark.parametrize("value", ["drop", 10, True])
async def test_a_policy_that_is_none_is_named(tmp_path: Path, value: Any) -> None:
    async with whole_service(tmp_path) as whole:
        body = {"state": {}, "start_budget": value}
        answer = await whole.client.put("/v1/activities/one", json=body, headers=KEY)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "start_budget")
