"""What of an activity's life becomes an event, on phones that keep Apple's rules: all that decides, and no more."""

from collections import Counter
from pathlib import Path
from typing import Any

from virtual_world import VirtualService, virtual_service

from skerry.domain.activity import End
from skerry.domain.audience import Audience
from skerry.domain.commands import BulkStart, Pace, Template
from skerry.domain.desired import Desired, Policies, Routing
from skerry.domain.device import DeviceEvent, DeviceEventKind, DeviceReport
from skerry.domain.event import EventFilter, EventId, EventKind, RecordedEvent
from skerry.domain.ids import GroupId, Millis
from skerry.receipts.service import Receipts
from skerry.simulator.phone.reports import Installation

TOLD_ONCE = {"activity.updated": 1, "revision.settled": 1}


def wish(number: int, **policies: Any) -> Desired:
    return Desired(
        group_id=GroupId("match-1"),
        state=b'{"goals":%d}' % number,
        attributes_type="Match",
        attributes=b'{"home":"Skerry"}',
        audience=Audience(everyone=True),
        policies=Policies(routing=Routing.TOKENS, **policies),
    )


async def told(service: VirtualService, after: int = 0) -> list[RecordedEvent]:
    page = await service.store.read(lambda tx: tx.events.page(service.app_id, EventFilter(), EventId(after), 10_000))
    return list(page.events)


async def kinds(service: VirtualService, after: int = 0) -> dict[str, int]:
    return dict(Counter(one.kind.value for one in await told(service, after)))


async def newest(service: VirtualService) -> int:
    return (await service.store.read(lambda tx: tx.events.span())).newest


async def put(service: VirtualService, desired: Desired) -> None:
    await service.desired.put(service.app_id, desired)
    await service.quiet()


async def test_a_life_from_start_to_end(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(3)
        await service.quiet()
        assert await kinds(service) == {"start_token.reported": 3}
        before = await newest(service)
        await put(service, wish(0))
        assert (await kinds(service, before))["card.joined"] == 3
        started = [one for one in await told(service, before) if one.kind is EventKind.ACTIVITY_STARTED]
        assert [one.activity for one in started] == ["match-1"]
        before = await newest(service)
        await put(service, wish(1))
        await service.pass_time(2.0)
        assert await kinds(service, before) == TOLD_ONCE
        (settled,) = [one for one in await told(service, before) if one.kind is EventKind.REVISION_SETTLED]
        assert settled.body["verdicts"] == {"accepted": 3}
        before = await newest(service)
        service.world.act("phone-2", lambda phone, now: phone.dismiss("match-1", now))
        await service.quiet()
        (swiped,) = await told(service, before)
        assert (swiped.kind, swiped.installation_id) == (EventKind.CARD_DISMISSED, _installation(service, "phone-2"))
        before = await newest(service)
        await service.desired.end(service.app_id, GroupId("match-1"), End())
        await service.pass_time(8 * 3600)
        assert await kinds(service, before) == {"activity.ended": 1, "revision.settled": 1, "card.ended": 2}


def _installation(service: VirtualService, phone_id: str) -> str:
    return _installed(service.world.phones[phone_id].installation)


def _installed(installation: Installation | None) -> str:
    assert installation is not None
    return installation.id


async def test_the_same_state_again_is_no_event_and_a_fan_out_writes_two_whatever_its_size(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(40)
        await service.quiet()
        await put(service, wish(0))
        await service.pass_time(2.0)
        for number in range(1, 4):
            before = await newest(service)
            await put(service, wish(number))
            await put(service, wish(number))
            await service.pass_time(2.0)
            assert await kinds(service, before) == TOLD_ONCE


async def test_an_update_that_a_newer_one_overtakes_has_settled_too(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(2)
        await service.quiet()
        await put(service, wish(0))
        await service.pass_time(2.0)
        before = await newest(service)
        for number in range(1, 4):  # within the second in which the newest counts
            await put(service, wish(number))
        await service.pass_time(2.0)
        settled = [one.body["verdicts"] for one in await told(service, before) if one.kind.value == "revision.settled"]
        assert settled.count({"accepted": 2}) == 2
        assert settled.count({"superseded": 2}) == 1


async def test_dead_tokens_are_told_with_apples_reason(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(2)
        await service.quiet()
        await put(service, wish(0))
        await service.pass_time(2.0)
        before = await newest(service)
        service.world.act("phone-1", lambda phone, now: phone.delete_app(now))
        await put(service, wish(1))
        await service.pass_time(2.0)
        lost = [one for one in await told(service, before) if one.kind is EventKind.CARD_LOST]
        assert [one.body for one in lost] == [{"reason": "Unregistered"}]
        before = await newest(service)
        await service.desired.end(service.app_id, GroupId("match-1"), End())
        await put(service, wish(2))
        refused = await told(service, before)
        assert {one.kind for one in refused} >= {EventKind.CARD_REFUSED, EventKind.START_TOKEN_LOST}
        assert {one.body["reason"] for one in refused if "lost" in one.kind or "refused" in one.kind} == {
            "Unregistered"
        }


async def test_a_start_that_misses_everybody_has_settled_and_says_why(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(1)
        await service.quiet()
        before = await newest(service)
        nobody = BulkStart(
            Template("t", "x", "Match", b"{}", b"{}", GroupId("match-2")), Audience(ext_ids=("nobody",)), Pace(), None
        )
        await service.activities.start_bulk(service.app_id, nobody)
        await service.quiet()
        assert await kinds(service, before) == {"activity.started": 1, "revision.settled": 1}
        (settled,) = [one for one in await told(service, before) if one.kind is EventKind.REVISION_SETTLED]
        assert (settled.body["verdicts"], settled.body["misses"]) == ({}, {"NO_DEVICE": 1})


async def test_a_renewal_is_told_once_and_the_old_cards_end(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(3)
        await service.quiet()
        await put(service, wish(0, renew=True))
        before = await newest(service)
        for _ in range(97):  # a little more than eight hours
            await service.pass_time(300.0)
        found = await kinds(service, before)
        assert found["activity.renewed"] == 1
        assert found["card.joined"] == 3
        assert found["card.ended"] == 3
        assert "card.dismissed" not in found


async def test_a_token_that_another_installation_takes_over_is_lost_to_its_card(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        report = lambda who, token="ab" * 40: DeviceReport(  # noqa: E731
            who, (DeviceEvent(DeviceEventKind.UPDATE_TOKEN, service.now(), token, GroupId("match-1")),), platform="IOS"
        )
        await service.registry.report(service.app_id, report("old"))
        assert await kinds(service) == {"activity.appeared": 1, "card.joined": 1}
        before = await newest(service)
        service.world.advance(90_000.0)  # the old one has fallen silent
        await service.registry.report(service.app_id, report("new"))
        events = await told(service, before)
        assert [(one.kind, one.installation_id) for one in events] == [
            (EventKind.CARD_LOST, "old"),
            (EventKind.CARD_JOINED, "new"),
        ]
        assert events[0].body == {"reason": "TokenMoved"}
        before = await newest(service)
        await service.registry.report(service.app_id, report("new", "cd" * 40))
        await service.registry.report(service.app_id, report("new", "cd" * 40))
        assert await kinds(service, before) == {"card.rotated": 1}


async def test_a_nameless_start_moves_into_the_group_that_the_phone_names(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(1)
        await service.quiet()
        before = await newest(service)
        nameless = BulkStart(
            Template("t", "x", "LiveActivityAttributes", b"{}", b"{}"), Audience(everyone=True), Pace(), None
        )
        await service.activities.start_bulk(service.app_id, nameless)
        installation = service.world.phones["phone-1"].installation
        assert installation is not None
        named = DeviceEvent(DeviceEventKind.UPDATE_TOKEN, service.now(), "ef" * 40, GroupId("own-name"))
        await service.registry.report(
            service.app_id, DeviceReport(installation.id, (named,), secret=installation.secret)
        )
        events = await told(service, before)
        moved = next(one for one in events if one.kind is EventKind.CARD_MOVED)
        joined = next(one for one in events if one.kind is EventKind.CARD_JOINED)
        assert (moved.activity or "").startswith("#")
        assert joined.activity == "own-name"
        found = await Receipts(service.store).activity(service.app_id, moved.body["to"])
        assert found is not None
        assert found.names == ("own-name",)


async def test_the_timeline_of_an_activity_is_paged_by_event(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(3)
        await service.quiet()
        await put(service, wish(0))
        receipts = Receipts(service.store)
        found = await receipts.activity(service.app_id, "match-1")
        assert found is not None
        first = await receipts.timeline(found.activity, after=EventId(0), maximum=2)
        assert first is not None
        assert first.following is not None
        rest = await receipts.timeline(found.activity, after=first.following, maximum=100)
        assert rest is not None
        assert (len(first.entries), rest.following) == (2, None)
        events = [one.event for one in (*first.entries, *rest.entries)]
        assert [one.event_id for one in events] == sorted({one.event_id for one in events})
        assert {one.activity for one in events} == {"match-1"}
        assert Millis(0) < events[0].at <= service.now()
