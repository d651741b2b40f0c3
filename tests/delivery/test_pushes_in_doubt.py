"""Pushes that are not answered, and starts that are overtaken or go out late, on phones that keep Apple's rules."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from virtual_world import FINE, Apple, Directory, Mishap, VirtualService, stepped_service

from skerry.domain.activity import End
from skerry.domain.audience import Audience
from skerry.domain.desired import Desired, Policies, Routing, Swipe
from skerry.domain.device import DeviceEventKind
from skerry.domain.ids import AppId, GroupId, Millis
from skerry.domain.push import Environment, Outcome, Outcomes, PushBatch, Rejected, Route
from skerry.simulator.phone.card import Card
from skerry.simulator.phone.phone import Phone
from skerry.simulator.phone.reports import Report, ReportPolicy, ReportRule
from skerry.simulator.phone.rules import PhoneRules

GROUP = GroupId("match")
LOST = Mishap(Outcome.UNKNOWN, arrives=False)
UNANSWERED = Mishap(Outcome.UNKNOWN)
REFUSED = Mishap(Outcome.NOT_PROCESSED, arrives=False)
NO_CHANNEL = Mishap(Outcome.REJECTED, arrives=False, rejected=Rejected(503, "Shutdown"))


class ScriptedApple(Apple):
    """Whose mishaps are written down beforehand, one after the other."""

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self.script: dict[str, list[Mishap]] = {}

    def mishap(self, what: str, whom: str, aps: dict[str, Any]) -> Mishap:
        waiting = self.script.get(what)
        return waiting.pop(0) if waiting else FINE


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[VirtualService]:
    async with stepped_service(tmp_path, "0", ScriptedApple) as found:
        yield found


def goes_wrong(service: VirtualService, **script: list[Mishap]) -> None:
    assert isinstance(service.apple, ScriptedApple)
    service.apple.script = script


async def put(
    service: VirtualService, number: int = 1, *, group: GroupId = GROUP, alert: bytes | None = None, **policies: Any
) -> None:
    wish = Desired(
        group_id=group,
        state=b'{"n":%d}' % number,
        attributes_type="Match",
        attributes=b"{}",
        audience=Audience(everyone=True),
        alert=alert,
        policies=Policies(**{"routing": Routing.TOKENS, **policies}),
    )
    await service.desired.put(service.app_id, wish)


async def pass_minutes(service: VirtualService, minutes: int) -> None:
    for _ in range(minutes):
        await service.pass_time(60.0)


async def show_on(service: VirtualService, phones: int) -> None:
    """Until each of so many new phones has a live card."""
    service.world.add_phones(phones)
    await service.quiet()
    await put(service)
    await service.quiet()


async def phone_whose_repeat_waits(service: VirtualService) -> Phone:
    """A new phone with a card of which we have no word yet: the repeat of its start has come to nothing, for now."""
    late = ReportPolicy(update_token=ReportRule(delay_s=1_000.0))
    (phone,) = service.world.add_phones(1, policy=late)
    await service.quiet()
    goes_wrong(service, start=[UNANSWERED, REFUSED])
    await put(service)
    for _ in range(40):
        await service.pass_time(10.0)
        if service.apple.counts["start"] == 2:
            break
    return phone


def running(service: VirtualService) -> list[Card]:
    return [card for phone in service.world.phones.values() for card in phone.cards if card.is_running]


async def test_a_start_that_came_to_nothing_before_its_answer_was_lost_is_still_repeated_once(
    service: VirtualService,
) -> None:
    service.world.add_phones(1)
    await service.quiet()
    goes_wrong(service, start=[REFUSED, LOST, LOST, FINE])
    await put(service)
    await pass_minutes(service, 30)
    assert service.apple.counts["start"] == 3  # the refused one, the lost one and its repeat
    assert running(service) == []
    await put(service, 2)
    await pass_minutes(service, 10)
    assert [card.content_state for card in running(service)] == [b'{"n":2}']


async def test_a_start_that_waits_does_not_go_out_once_its_run_is_over_and_the_next_has_begun(
    service: VirtualService,
) -> None:
    service.world.add_phones(3)
    await service.quiet()
    goes_wrong(service, start=[REFUSED] * 3)
    await put(service)
    await service.quiet()
    await service.desired.end(service.app_id, GROUP, End())
    await put(service, 2)
    await pass_minutes(service, 10)
    assert [card.content_state for card in running(service)] == [b'{"n":2}'] * 3
    assert all(len(phone.cards) == 1 for phone in service.world.phones.values())


async def test_a_start_that_waits_while_its_run_ends_goes_out_with_the_end_behind_it(service: VirtualService) -> None:
    (phone,) = service.world.add_phones(1)
    await service.quiet()
    goes_wrong(service, start=[REFUSED])
    await put(service)
    await service.quiet()
    await service.desired.end(service.app_id, GROUP, End())
    await pass_minutes(service, 10)
    assert [card.is_running for card in phone.cards] == [False]


async def test_a_clock_that_jumps_while_a_start_is_on_its_way_has_it_sent_once(
    service: VirtualService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.world.add_phones(1)
    await service.quiet()
    ask = Directory.default_environment

    async def after_a_jump(directory: Directory, app_id: AppId) -> Environment:
        """Asked when the chunk is leased, and nothing says yet that its starts are in flight."""
        monkeypatch.undo()
        service.world.advance(3_600.0)
        service.wake()
        for _ in range(300):  # turns enough for anybody to take the chunk for abandoned
            await asyncio.sleep(0)
        return await ask(directory, app_id)

    monkeypatch.setattr(Directory, "default_environment", after_a_jump)
    await put(service)
    await pass_minutes(service, 10)
    assert service.apple.counts["start"] == 1


async def test_a_start_that_gets_no_channel_at_its_second_attempt_is_reached_by_its_token(
    service: VirtualService,
) -> None:
    """The run has ended meanwhile, and a channel would bring nothing more."""
    late = ReportPolicy(update_token=ReportRule(delay_s=30.0))
    (phone,) = service.world.add_phones(1, policy=late)
    await service.quiet()
    goes_wrong(service, start=[REFUSED])
    await put(service, routing=Routing.CHANNEL)
    await service.quiet()
    await service.desired.end(service.app_id, GROUP, End())
    await pass_minutes(service, 10)
    assert [(card.channel, card.is_running) for card in phone.cards] == [(None, False)]


async def test_a_swipe_that_counts_for_a_time_is_not_forgotten_without_a_revision(service: VirtualService) -> None:
    (phone,) = service.world.add_phones(1)
    await service.quiet()
    after = {"swipe": Swipe.AFTER, "swipe_for": Millis(300_000)}
    await put(service, **after)
    await service.quiet()
    service.world.act(phone.id, lambda one, now: one.dismiss(GROUP, now))
    await pass_minutes(service, 10)
    service.world.act(phone.id, lambda one, now: one.rotate_start_token(now))
    await pass_minutes(service, 1)
    assert running(service) == []
    await put(service, 2, **after)
    await pass_minutes(service, 1)
    assert [card.content_state for card in running(service)] == [b'{"n":2}']


class ReplacingApple(Apple):
    """Before it has looked at the first start, the phone gets a new start token and the app has said so."""

    async def send(self, route: Route, batch: PushBatch, outcomes: Outcomes | None = None) -> Outcomes:
        if not self.counts:
            (phone,) = self.world.phones.values()
            self.world.act(phone.id, lambda one, now: one.rotate_start_token(now))
            assert isinstance(self.world.reporter, VirtualService)
            await self.world.reporter.take_reports()
        return await super().send(route, batch, outcomes)


async def test_a_start_whose_token_was_replaced_on_its_way_goes_to_the_new_one(tmp_path: Path) -> None:
    rules = PhoneRules(rotated_token_lives_s=0.0)
    async with stepped_service(tmp_path, "0", ReplacingApple, rules=rules) as service:
        (phone,) = service.world.add_phones(1)
        await service.quiet()
        await put(service)
        await pass_minutes(service, 5)
        assert [card.content_state for card in phone.cards] == [b'{"n":1}']


async def test_a_swipe_that_is_told_after_the_revision_that_revokes_it_is_revoked_at_once(
    service: VirtualService,
) -> None:
    (phone,) = service.world.add_phones(1, policy=ReportPolicy(close=ReportRule(delay_s=30.0)))
    await service.quiet()
    await put(service, swipe=Swipe.IGNORE)
    await service.quiet()
    service.world.act(phone.id, lambda one, now: one.dismiss(GROUP, now))
    await service.pass_time(5.0)
    await put(service, 2, swipe=Swipe.IGNORE)
    await service.pass_time(5.0)
    assert running(service) == []
    await service.pass_time(30.0)
    assert [card.content_state for card in running(service)] == [b'{"n":2}']


@pytest.mark.parametrize("routing", [Routing.TOKENS, Routing.CHANNEL])
async def test_a_clock_that_is_set_back_keeps_no_update_from_a_card_that_was_started_before(
    service: VirtualService, routing: Routing
) -> None:
    service.world.add_phones(1, policy=ReportPolicy(update_token=ReportRule(delay_s=30.0)))
    await service.quiet()
    await put(service, routing=routing)
    await service.quiet()
    service.skew = -3_600.0
    await put(service, 2, routing=routing)
    await pass_minutes(service, 70)
    assert [card.content_state for card in running(service)] == [b'{"n":2}']


async def test_an_alert_that_waited_does_not_bring_an_older_state_back(service: VirtualService) -> None:
    """Though the newest revision has been stamped anew for another phone, and so the one before it, just below."""
    service.world.add_phones(2)
    await service.quiet()
    await put(service)
    await pass_minutes(service, 1)
    overloaded = Mishap(Outcome.REJECTED, arrives=False, rejected=Rejected(500, "InternalServerError"))
    too_many = Mishap(Outcome.REJECTED, arrives=False, rejected=Rejected(429, "TooManyRequests"))
    goes_wrong(service, update=[overloaded, FINE, FINE, too_many])
    await put(service, 2, alert=b'{"title":"Goal","body":"2"}')
    await service.quiet()
    await put(service, 3)
    await pass_minutes(service, 20)
    assert [card.content_state for card in running(service)] == [b'{"n":3}'] * 2


async def test_a_start_in_doubt_is_not_repeated_once_its_run_is_over_and_the_end_follows_its_token(
    service: VirtualService,
) -> None:
    """Both cards would be there, and the close of the one would pass for that of the other."""
    late = ReportPolicy(update_token=ReportRule(delay_s=1_000.0))
    (phone,) = service.world.add_phones(1, policy=late)
    await service.quiet()
    goes_wrong(service, start=[UNANSWERED])
    await put(service)
    await service.quiet()
    await service.desired.end(service.app_id, GROUP, End())
    await pass_minutes(service, 60)
    assert [card.is_running for card in phone.cards] == [False]


async def test_a_start_whose_token_has_died_while_it_waited_goes_out_with_the_next_token(tmp_path: Path) -> None:
    rules = PhoneRules(rotated_token_lives_s=0.0)
    async with stepped_service(tmp_path, "0", ScriptedApple, rules=rules) as service:
        (phone,) = service.world.add_phones(1)
        await service.quiet()
        goes_wrong(service, start=[REFUSED])
        await put(service)
        await service.pass_time(0.2)
        phone.policy = ReportPolicy(start_token=ReportRule(delay_s=600.0))
        service.world.act(phone.id, lambda one, now: one.rotate_start_token(now))
        await put(service, 2, group=GroupId("order"))  # the dead token is refused here, and forgotten
        await service.quiet()
        await pass_minutes(service, 5)
        assert phone.cards == []
        await pass_minutes(service, 10)
        assert {card.group_id: card.content_state for card in phone.cards} == {"match": b'{"n":1}', "order": b'{"n":2}'}


async def test_a_repeat_that_was_decided_on_does_not_go_out_once_the_run_is_over(service: VirtualService) -> None:
    """It waits for another attempt when the end comes."""
    phone = await phone_whose_repeat_waits(service)
    await service.desired.end(service.app_id, GROUP, End())
    await pass_minutes(service, 60)
    assert service.apple.counts["start"] == 2
    assert [card.is_running for card in phone.cards] == [False]


async def test_nor_does_it_once_the_next_run_has_begun(service: VirtualService) -> None:
    phone = await phone_whose_repeat_waits(service)
    await service.desired.end(service.app_id, GROUP, End())
    await put(service, 2)
    await pass_minutes(service, 60)
    assert [(card.content_state, card.is_running) for card in phone.cards] == [(b'{"n":1}', False), (b'{"n":2}', True)]


async def test_where_both_a_start_in_doubt_and_its_repeat_have_come_the_end_reaches_both_cards(
    service: VirtualService,
) -> None:
    """The second one's token is told when the first one has been closed."""
    late = ReportPolicy(update_token=ReportRule(delay_s=400.0))
    (phone,) = service.world.add_phones(1, policy=late)
    await service.quiet()
    goes_wrong(service, start=[UNANSWERED])
    await put(service)
    while len(phone.cards) < 2:
        await service.pass_time(10.0)
    await pass_minutes(service, 4)  # the first one's token is told, the second one's is not yet
    await service.desired.end(service.app_id, GROUP, End())
    await pass_minutes(service, 20)
    assert [card.is_running for card in phone.cards] == [False, False]


async def test_a_start_to_a_token_that_the_phone_had_replaced_long_before_is_made_up_for(
    service: VirtualService,
) -> None:
    """APNs says 200 to the old one; the report of the new one says since when it is old."""
    (phone,) = service.world.add_phones(1)
    await service.quiet()
    phone.policy = ReportPolicy(start_token=ReportRule(delay_s=600.0))
    service.world.act(phone.id, lambda one, now: one.rotate_start_token(now))
    await pass_minutes(service, 2)
    await put(service)
    await pass_minutes(service, 2)
    assert (service.apple.counts["start"], phone.cards) == (1, [])
    await pass_minutes(service, 10)
    assert [card.content_state for card in phone.cards] == [b'{"n":1}']


async def test_a_token_that_is_new_because_of_the_start_says_nothing_against_it(tmp_path: Path) -> None:
    """Also where the phone's clock is behind ours, so that the new token seems to be older than the start."""
    rules = PhoneRules(start_rotates_start_token=True)
    async with stepped_service(tmp_path, "0", ScriptedApple, rules=rules) as service:
        service.skew = 90.0
        (phone,) = service.world.add_phones(1, policy=ReportPolicy(update_token=ReportRule(delay_s=600.0)))
        await service.quiet()
        await put(service)
        await pass_minutes(service, 20)
        assert [card.is_running for card in phone.cards] == [True]


async def test_a_repeat_that_a_dead_token_refuses_waits_for_what_the_phone_says_next(tmp_path: Path) -> None:
    """The first start has come, and with it a new start token, which is told a moment before the card's own."""
    rules = PhoneRules(start_rotates_start_token=True, rotated_token_lives_s=0.0)
    policy = ReportPolicy(start_token=ReportRule(delay_s=601.0), update_token=ReportRule(delay_s=602.0))
    async with stepped_service(tmp_path, "0", ScriptedApple, rules=rules) as service:
        (phone,) = service.world.add_phones(1, policy=policy)
        await service.pass_time(700.0)
        goes_wrong(service, start=[UNANSWERED])
        await put(service)
        for _ in range(40):
            await service.pass_time(60.5)
        assert [card.is_running for card in phone.cards] == [True]


async def test_a_repeat_that_a_dead_token_refuses_goes_to_the_next_one(tmp_path: Path) -> None:
    """The first start was lost."""
    async with stepped_service(tmp_path, "0", ScriptedApple, rules=PhoneRules(rotated_token_lives_s=0.0)) as service:
        (phone,) = service.world.add_phones(1)
        await service.quiet()
        goes_wrong(service, start=[LOST])
        await put(service)
        await service.quiet()
        phone.policy = ReportPolicy(start_token=ReportRule(delay_s=600.0))
        service.world.act(phone.id, lambda one, now: one.rotate_start_token(now))
        await pass_minutes(service, 30)
        assert [card.content_state for card in running(service)] == [b'{"n":1}']


async def test_a_start_in_doubt_that_is_not_to_be_repeated_keeps_later_ones_from_its_phone(
    service: VirtualService,
) -> None:
    service.resend_unknown_starts = False
    await service.crash()
    service.start()
    (phone,) = service.world.add_phones(1, policy=ReportPolicy(update_token=ReportRule(delay_s=1_000.0)))
    await service.quiet()
    goes_wrong(service, start=[UNANSWERED])
    await put(service)
    await pass_minutes(service, 10)
    await put(service, 2)
    service.world.act(phone.id, lambda one, now: one.rotate_start_token(now))
    await pass_minutes(service, 30)
    assert [card.content_state for card in phone.cards] == [b'{"n":2}']


@pytest.mark.parametrize("only_the_older", [True, False])
async def test_a_token_that_was_first_said_by_an_app_that_started_anew_goes_back_to_the_card_it_is_of(
    service: VirtualService, *, only_the_older: bool
) -> None:
    """It passes for the newer card's, until the first report of it says that it is older than that card."""
    (phone,) = service.world.add_phones(1, policy=ReportPolicy(update_token=ReportRule(delay_s=100.0)))
    await service.quiet()
    await put(service)
    await service.quiet()
    await service.pass_time(10.0)
    await service.desired.end(service.app_id, GROUP, End())
    await put(service, 2)
    await service.pass_time(10.0)
    older, newer = phone.cards
    said_first = [older] if only_the_older else [newer, older]
    assert phone.installation is not None
    for card in said_first:
        now = service.world.clock.now()
        said = Report(phone.installation, DeviceEventKind.UPDATE_TOKEN, now, card.update_token, GROUP)
        service.reports.append(said)
        await service.quiet()
        service.world.advance(1.0)
    await put(service, 3)
    await pass_minutes(service, 10)
    assert [(card.content_state, card.is_running) for card in (older, newer)] == [
        (b'{"n":1}', False),
        (b'{"n":3}', True),
    ]


async def test_an_update_without_an_answer_is_sent_again(service: VirtualService) -> None:
    await show_on(service, 2)
    goes_wrong(service, update=[LOST, UNANSWERED, LOST])
    await put(service, 2)
    await pass_minutes(service, 3)
    assert [card.content_state for card in running(service)] == [b'{"n":2}'] * 2
    assert service.apple.counts["update"] == 5  # of one phone two, of the other three


async def test_an_update_that_is_never_answered_is_given_up_and_the_next_one_is_not(service: VirtualService) -> None:
    await show_on(service, 1)
    goes_wrong(service, update=[LOST] * 3)
    await put(service, 2)
    await pass_minutes(service, 10)
    assert service.apple.counts["update"] == 3
    assert [card.content_state for card in running(service)] == [b'{"n":1}']
    await put(service, 3)
    await service.quiet()
    assert [card.content_state for card in running(service)] == [b'{"n":3}']


async def test_an_end_without_an_answer_is_sent_again(service: VirtualService) -> None:
    await show_on(service, 1)
    goes_wrong(service, end=[LOST, LOST])
    await service.desired.end(service.app_id, GROUP, End())
    await pass_minutes(service, 3)
    assert service.apple.counts["end"] == 3
    assert running(service) == []
