"""An activity that outlives Apple's eight hours, on phones that keep Apple's clocks."""

from dataclasses import replace
from pathlib import Path

import pytest
from virtual_world import VirtualService, virtual_service

from skerry.domain.audience import Audience
from skerry.domain.desired import Desired, Policies, Routing
from skerry.domain.ids import GroupId
from skerry.simulator.phone.card import CardStatus
from skerry.simulator.phone.reports import ReportPolicy, ReportRule
from skerry.simulator.phone.rules import PhoneRules

STEP = 300.0
VISIBLE = {CardStatus.LIVE, CardStatus.STALE}


def wish(number: int, routing: Routing) -> Desired:
    return Desired(
        group_id=GroupId("shift"),
        state=b'{"step":%d}' % number,
        attributes_type="Shift",
        attributes=b'{"site":"Skerry"}',
        audience=Audience(everyone=True),
        policies=Policies(renew=True, routing=routing),
    )


def visible(service: VirtualService) -> dict[str, int]:
    return {
        phone.id: sum(card.status in VISIBLE and card.group_id == "shift" for card in phone.cards)
        for phone in service.world.phones.values()
    }


async def two_days(service: VirtualService, phones: int, routing: Routing) -> None:
    service.world.add_phones(phones - phones // 3)
    service.world.add_phones(phones // 3, os_version="17.5")
    await service.quiet()
    await service.desired.put(service.app_id, wish(0, routing))
    await service.quiet()
    swiper = "phone-2"
    for step in range(1, int(48 * 3600 / STEP) + 1):
        await service.pass_time(STEP)
        if step % 11 == 0:
            await service.desired.put(service.app_id, wish(step, routing))
            await service.pass_time(2.0)
        if step == 130:
            service.world.act(swiper, lambda phone, now: phone.dismiss("shift", now))
            await service.quiet()
        shown = visible(service)
        gone = {phone for phone, count in shown.items() if not count}
        assert gone == ({swiper} if step >= 130 else set()), f"after {step * STEP / 3600:.2f} hours"
    await service.pass_time(120.0)
    assert {count for phone, count in visible(service).items() if phone != swiper} == {1}
    newest = max(step for step in range(1, int(48 * 3600 / STEP) + 1) if step % 11 == 0)
    for phone in service.world.phones.values():
        for card in phone.cards:
            if card.status in VISIBLE:
                assert card.content_state == b'{"step":%d}' % newest


@pytest.mark.parametrize("routing", [Routing.TOKENS, Routing.CHANNEL])
async def test_for_two_days_every_phone_that_did_not_swipe_shows_the_activity(tmp_path: Path, routing: Routing) -> None:
    async with virtual_service(tmp_path) as service:
        await two_days(service, 12, routing)


@pytest.mark.parametrize("routing", [Routing.TOKENS, Routing.CHANNEL])
async def test_a_farewell_ends_cards_that_have_seen_an_update_since_it_was_decided_on(
    tmp_path: Path, routing: Routing
) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(3)
        await service.quiet()
        await service.desired.put(service.app_id, wish(0, routing))
        while visible(service) != {"phone-1": 2, "phone-2": 2, "phone-3": 2}:
            await service.pass_time(60.0)
        await service.desired.put(service.app_id, wish(1, routing))  # within the second of the renewal
        await service.pass_time(2.0)
        await service.pass_time(120.0)
        assert set(visible(service).values()) == {1}


@pytest.mark.parametrize("routing", [Routing.TOKENS, Routing.CHANNEL])
@pytest.mark.parametrize("known", [True, False])
async def test_a_renewal_that_a_dead_start_token_refused_is_made_up_for_when_the_next_one_is_told(
    tmp_path: Path, routing: Routing, *, known: bool
) -> None:
    """`known`: that it is dead is known before the renewal, from another start."""
    async with virtual_service(tmp_path, rules=PhoneRules(rotated_token_lives_s=0.0)) as service:
        (phone, *_) = service.world.add_phones(3)
        await service.quiet()
        await service.desired.put(service.app_id, wish(0, routing))
        await service.quiet()
        await service.pass_time(7 * 3600)
        phone.policy = ReportPolicy(start_token=ReportRule(delay_s=2_500.0))
        service.world.act(phone.id, lambda one, now: one.rotate_start_token(now))
        if known:
            await service.desired.put(service.app_id, replace(wish(0, Routing.TOKENS), group_id=GroupId("other")))
        for _ in range(41):
            await service.pass_time(60.0)
        assert [card.group_id for card in phone.cards if card.status in VISIBLE] == ["shift"]
        for _ in range(75):
            await service.pass_time(60.0)
        await service.desired.put(service.app_id, wish(1, routing))
        await service.pass_time(2.0)
        running = [card for one in service.world.phones.values() for card in one.cards if card.is_running]
        assert {card.content_state for card in running if card.group_id == "shift"} == {b'{"step":1}'}
        assert visible(service) == {"phone-1": 1, "phone-2": 1, "phone-3": 1}


@pytest.mark.parametrize("routing", [Routing.TOKENS, Routing.CHANNEL])
async def test_a_card_that_is_being_renewed_is_not_renewed_once_more_where_the_policy_is_said_again(
    tmp_path: Path, routing: Routing
) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(1)
        await service.quiet()
        await service.desired.put(service.app_id, wish(0, routing))
        while visible(service) != {"phone-1": 2}:
            await service.pass_time(10.0)
        for renew in (False, True):
            await service.desired.put(
                service.app_id, replace(wish(0, routing), policies=Policies(renew=renew, routing=routing))
            )
        await service.pass_time(5.0)
        assert visible(service) == {"phone-1": 2}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("routing", [Routing.TOKENS, Routing.CHANNEL])
async def test_the_same_on_a_thousand_phones(tmp_path: Path, routing: Routing) -> None:
    async with virtual_service(tmp_path) as service:
        await two_days(service, 1_000, routing)
