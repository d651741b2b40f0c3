"""Starts that APNs has taken and whose phone never says a token: they wait, are lost, or are sent once more."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from virtual_world import Apple, VirtualService, virtual_service

from skerry.domain.activity import End
from skerry.domain.audience import Audience
from skerry.domain.card import NO_ANSWER, NO_TOKEN, Card, CardStatus, TokenReport, report_token
from skerry.domain.desired import Desired, NoToken, Policies, Routing
from skerry.domain.event import EventFilter, EventId, EventKind
from skerry.domain.ids import ActivityId, CardNumber, DeviceId, GroupId, Millis, RevisionNumber
from skerry.domain.push import Outcome, Outcomes, PushBatch, Route
from skerry.domain.receipt import CardReceipt
from skerry.domain.verdict import Verdict
from skerry.receipts.service import Receipts
from skerry.simulator.phone.reports import Report

HOUR = 3600.0


def wish(policy: NoToken | None = None, after: float | None = None, **members: Any) -> Desired:
    routing = members.pop("routing", Routing.TOKENS)
    millis = None if after is None else Millis(int(after * 1000))
    return Desired(
        group_id=GroupId("match"),
        state=b'{"goals":0}',
        attributes_type="Match",
        attributes=b'{"home":"Skerry"}',
        audience=Audience(everyone=True),
        policies=Policies(routing=routing, no_token=policy, no_token_after=millis, **members),
    )


def hush(service: VirtualService, *phones: str) -> list[Report]:
    """What these phones report from now on goes nowhere; returns what that was."""
    unheard: list[Report] = []
    submit = service.submit

    def some(phone_id: str, reports: Sequence[Report]) -> None:
        if phone_id in phones:
            unheard.extend(reports)
        else:
            submit(phone_id, reports)

    service.submit = some  # type: ignore[method-assign]
    return unheard


async def begin(service: VirtualService, desired: Desired, *silent: str) -> list[Report]:
    """Phones that reported their start token long ago; some of them say nothing from then on."""
    service.world.add_phones(3)
    await service.quiet()
    await service.pass_time(2 * HOUR)
    unheard = hush(service, *silent)
    await put(service, desired)
    return unheard


async def put(service: VirtualService, desired: Desired) -> None:
    await service.desired.put(service.app_id, desired)
    await service.pass_time(2.0)


async def cards(service: VirtualService) -> list[CardReceipt]:
    receipts = Receipts(service.store)
    found = await receipts.activity(service.app_id, "match")
    assert found is not None
    return list((await receipts.cards(found.activity, after=CardNumber(0), maximum=100)).items)


async def standing(service: VirtualService) -> list[tuple[str, str | None]]:
    return [(one.status.name, one.reason) for one in await cards(service)]


LIVE, STARTING, LOST = ("LIVE", None), ("STARTING", None), ("LOST", NO_TOKEN)


async def test_after_apples_limit_a_start_without_a_token_is_lost_and_told(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        await begin(service, wish(), "phone-2")
        await service.pass_time(7.9 * HOUR)
        assert (await standing(service))[1] == STARTING
        await service.pass_time(1.0 * HOUR)
        assert (await standing(service))[1] == LOST
        page = await service.store.read(
            lambda tx: tx.events.page(service.app_id, EventFilter((EventKind.CARD_LOST,)), EventId(0), 10)
        )
        assert [(one.card, one.body) for one in page.events] == [(2, {"reason": NO_TOKEN})]


async def test_a_lost_one_that_is_reported_after_all_is_live_with_the_newest_state(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        unheard = await begin(service, wish(NoToken.LOST, 600), "phone-2")
        await service.pass_time(700)
        assert await standing(service) == [LIVE, LOST, LIVE]
        newer = replace(wish(NoToken.LOST, 600), state=b'{"goals":1}')
        await put(service, newer)
        assert (await cards(service))[1].verdict is Verdict.OVER
        service.reports.extend(unheard)  # a queue that is emptied late: its token is older than our giving up
        await service.quiet()
        assert await standing(service) == [LIVE, LIVE, LIVE]
        assert (await cards(service))[1].verdict is Verdict.ACCEPTED
        (card,) = service.world.phones["phone-2"].cards
        assert card.content_state == b'{"goals":1}'


async def test_a_lost_one_is_not_started_again_while_it_may_run(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        await begin(service, wish(NoToken.LOST, 600), "phone-2")
        await service.pass_time(700)
        starts = service.apple.counts["start"]
        installation = service.world.phones["phone-2"].installation
        assert installation is not None
        for audience in (Audience(everyone=True), Audience(installation_ids=(installation.id,))):
            await put(service, replace(wish(NoToken.LOST, 600), state=b'{"goals":1}', audience=audience))
        assert service.apple.counts["start"] == starts
        assert len(service.world.phones["phone-2"].cards) == 1


async def test_its_end_reaches_a_lost_one_that_is_reported_late(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        unheard = await begin(service, wish(NoToken.LOST, 600), "phone-2")
        await service.pass_time(700)
        await service.desired.end(service.app_id, GroupId("match"), End())
        await service.quiet()
        service.reports.extend(unheard)
        await service.quiet()
        found = await Receipts(service.store).activity(service.app_id, "match")
        assert found is not None
        assert found.activity.phase.name == "ENDED"
        (card,) = service.world.phones["phone-2"].cards
        assert card.status.name == "ENDED"


async def test_who_waits_waits_on(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        await begin(service, wish(NoToken.WAIT, 600), "phone-2")
        await service.pass_time(12 * HOUR)
        assert (await standing(service))[1] == STARTING


class Deaf(Apple):
    """APNs takes a start for one phone and the phone never gets it, the first time."""

    lost = 1

    async def send(self, route: Route, batch: PushBatch, outcomes: Outcomes | None = None) -> Outcomes:
        phone = self.world.phones["phone-2"]
        if phone.start_token in batch.tokens and self.lost:
            self.lost -= 1
            self.counts["lost"] += 1
            others = [token for token in batch.tokens if token != phone.start_token]
            found = await super().send(route, replace(batch, tokens=others))
            codes = bytearray(found.codes)
            codes.insert(list(batch.tokens).index(phone.start_token), Outcome.ACCEPTED)
            return Outcomes(codes)
        return await super().send(route, batch, outcomes)


async def test_again_brings_the_card_to_a_phone_that_never_got_it(tmp_path: Path) -> None:
    async with virtual_service(tmp_path, Deaf) as service:
        await begin(service, wish(NoToken.AGAIN, 600))
        assert await standing(service) == [LIVE, STARTING, LIVE]
        starts = service.apple.counts["start"]
        await service.pass_time(700)
        assert await standing(service) == [LIVE, LIVE, LIVE]
        assert service.apple.counts["start"] == starts + 1
        assert [len(phone.cards) for phone in service.world.phones.values()] == [1, 1, 1]


async def test_again_is_once_and_then_the_card_is_lost(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        await begin(service, wish(NoToken.AGAIN, 600), "phone-2")
        starts = service.apple.counts["start"]
        await service.pass_time(700)
        assert service.apple.counts["start"] == starts + 1
        assert (await standing(service))[1] == ("STARTING", NO_TOKEN)
        await service.pass_time(700)
        await service.pass_time(700)
        assert service.apple.counts["start"] == starts + 1
        assert (await standing(service))[1] == LOST


async def test_again_is_never_for_a_phone_that_has_said_anything_since(tmp_path: Path) -> None:
    """It has: so its app ran after the start, and whether it shows the card nobody can say."""
    async with virtual_service(tmp_path, Deaf) as service:
        await begin(service, wish(NoToken.AGAIN, 600))
        starts = service.apple.counts["start"]
        service.world.act("phone-2", lambda phone, now: phone.rotate_start_token(now))
        await service.quiet()
        await service.pass_time(700)
        assert service.apple.counts["start"] == starts
        assert await standing(service) == [LIVE, LOST, LIVE]


async def test_a_swipe_is_no_missing_token(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        await begin(service, wish(NoToken.AGAIN, 600))
        service.world.act("phone-2", lambda phone, now: phone.dismiss("match", now))
        await service.quiet()
        starts = service.apple.counts["start"]
        await service.pass_time(700)
        assert service.apple.counts["start"] == starts
        assert (await standing(service))[1] == ("DISMISSED", None)


async def test_cards_on_a_channel_need_no_token(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        await begin(service, wish(NoToken.LOST, 600, routing=Routing.CHANNEL), "phone-1", "phone-2", "phone-3")
        await service.pass_time(700)
        assert await standing(service) == [LIVE, LIVE, LIVE]
        assert not await service.store.read(lambda tx: tx.timers.due(Millis(2**60), 10))


@pytest.mark.parametrize("policy", [NoToken.LOST, NoToken.AGAIN])
async def test_what_is_to_be_decided_outlives_a_crash(tmp_path: Path, policy: NoToken) -> None:
    async with virtual_service(tmp_path) as service:
        await begin(service, wish(policy, 600), "phone-2")
        starts = service.apple.counts["start"]
        await service.crash()
        service.start()
        await service.pass_time(700)
        assert (await standing(service))[1] == (LOST if policy is NoToken.LOST else ("STARTING", NO_TOKEN))
        assert service.apple.counts["start"] == starts + (policy is NoToken.AGAIN)


@pytest.mark.parametrize("status", CardStatus)
@pytest.mark.parametrize("reason", [None, NO_ANSWER, NO_TOKEN, "Unregistered"])
def test_a_first_token_of_any_age_wakes_a_card_that_awaits_one(status: CardStatus, reason: str | None) -> None:
    card = Card(
        ActivityId(1), CardNumber(1), DeviceId(1), status, RevisionNumber(1), Millis(1_000), reason=reason
    )  # fmt: skip
    given_up = status is CardStatus.LOST and reason in (NO_ANSWER, NO_TOKEN)
    assert card.awaits_token is (status is CardStatus.STARTING or given_up)
    if card.awaits_token:
        live, meaning = report_token(card, "ab", Millis(1), Millis(9_000))
        assert (live.status, live.reason, meaning) == (CardStatus.LIVE, None, TokenReport.JOINED)
