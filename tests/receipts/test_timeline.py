"""`GET /v1/activities/{id}/timeline`: what happened; and for one phone, whether it is there and if not, why."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from virtual_world import Apple, VirtualService, virtual_service
from whole_service import REST, Whole, whole_service

from skerry.domain.app import KeyKind
from skerry.domain.audience import Audience
from skerry.domain.desired import Desired, Policies, Routing
from skerry.domain.event import EventId, EventKind
from skerry.domain.ids import GroupId
from skerry.domain.push import Outcome, Outcomes, PushBatch, Rejected, Route
from skerry.domain.receipt import ActivityReceipt
from skerry.domain.timeline import NO_START_TOKEN, NOT_STARTED, Phone, Timeline
from skerry.domain.verdict import Verdict
from skerry.receipts.service import Receipts

WISH = Desired(
    group_id=GroupId("match"),
    state=b'{"goals":0}',
    attributes_type="Match",
    attributes=b'{"home":"Skerry"}',
    audience=Audience(everyone=True),
    policies=Policies(routing=Routing.TOKENS),
)


async def put(service: VirtualService, wish: Desired) -> None:
    await service.desired.put(service.app_id, wish)
    await service.pass_time(2)  # an update that may wait goes out within a second


async def activity(service: VirtualService) -> ActivityReceipt:
    found = await Receipts(service.store).activity(service.app_id, "match")
    assert found is not None
    return found


async def timeline(service: VirtualService, **asked: Any) -> Timeline:
    asked = {"after": EventId(0), "maximum": 100, **asked}
    found = await Receipts(service.store).timeline((await activity(service)).activity, **asked)
    assert found is not None
    return found


def installation(service: VirtualService, phone: str) -> str:
    found = service.world.phones[phone].installation
    assert found is not None
    return found.id


async def on(service: VirtualService, phone: str) -> Timeline:
    return await timeline(service, installation_id=installation(service, phone))


def phone_of(found: Timeline) -> Phone:
    assert found.phone is not None
    return found.phone


async def test_one_phone_sees_its_own_events_and_what_became_of_each_revision_on_it(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(3)
        await service.quiet()
        await put(service, WISH)
        await put(service, replace(WISH, state=b'{"goals":1}'))
        found = await on(service, "phone-2")
        assert [one.event.kind.value for one in found.entries if one.event.card is not None] == ["card.joined"]
        assert {one.event.installation_id for one in found.entries} == {None, installation(service, "phone-2")}
        verdicts = [one.on_phone.verdict for one in found.entries if one.on_phone is not None]
        # The first state came before there was a card; the start showed it.
        assert verdicts == [None, Verdict.ACCEPTED, Verdict.ACCEPTED]
        card = phone_of(found).card
        assert card is not None
        assert (card.status.name, card.verdict) == ("LIVE", Verdict.ACCEPTED)


async def test_a_phone_that_is_swiped_says_so(tmp_path: Path) -> None:
    async with virtual_service(tmp_path) as service:
        service.world.add_phones(2)
        await service.quiet()
        await put(service, WISH)
        service.world.act("phone-1", lambda phone, now: phone.dismiss("match", now))
        await service.quiet()
        await put(service, replace(WISH, state=b'{"goals":1}'))
        found = await on(service, "phone-1")
        assert [one.event.kind for one in found.entries][-2:] == [
            EventKind.ACTIVITY_UPDATED,
            EventKind.REVISION_SETTLED,
        ]
        assert found.entries[-2].on_phone is not None
        assert found.entries[-2].on_phone.verdict is Verdict.OVER
        card = phone_of(found).card
        assert card is not None
        assert card.status.name == "DISMISSED"


class Refusing(Apple):
    """Refuses every update, and says why."""

    async def send(self, route: Route, batch: PushBatch, outcomes: Outcomes | None = None) -> Outcomes:
        outcomes = await super().send(route, batch, outcomes)
        if b'"update"' in batch.body:
            for place in range(len(batch.tokens)):
                outcomes.codes[place] = Outcome.REJECTED
                outcomes.rejections[place] = Rejected(400, "TopicDisallowed")
        return outcomes


async def test_refusals_are_counted_by_reason_and_told_of_the_phone(tmp_path: Path) -> None:
    async with virtual_service(tmp_path, Refusing) as service:
        service.world.add_phones(2)
        await service.quiet()
        await put(service, WISH)
        await put(service, replace(WISH, state=b'{"goals":1}'))
        found = await on(service, "phone-1")
        settled = [one.event.body for one in found.entries if one.event.kind is EventKind.REVISION_SETTLED]
        assert settled[-1]["verdicts"] == {"rejected": 2}
        assert settled[-1]["refused"] == {"TopicDisallowed": 2}
        assert "refused" not in settled[0]
        updated = [one.on_phone for one in found.entries if one.event.kind is EventKind.ACTIVITY_UPDATED][-1]
        assert updated is not None
        assert (updated.verdict, updated.reason) == (Verdict.REJECTED, "TopicDisallowed")
        card = phone_of(found).card
        assert card is not None
        assert card.reason == "TopicDisallowed"


async def test_a_phone_that_was_never_started_says_why(tmp_path: Path) -> None:
    async with whole_service(tmp_path) as whole:
        for name, events in (("mute", []), ("able", [START_TOKEN])):
            await whole.report(name, *events, location={"latitude": 1, "longitude": 1}, extId=name)
        await whole.client.put("/v1/activities/match", json={**BODY, "audience": {"users": ["mute"]}}, headers=KEY)
        for name, reason in (("mute", NO_START_TOKEN), ("able", NOT_STARTED)):
            answer = await whole.client.get(f"/v1/activities/match/timeline?installation={name}", headers=KEY)
            assert answer.json()["phone"] == {"installation_id": name, "card": None, "reason": reason}
        mute = (await whole.client.get("/v1/activities/match/timeline?installation=mute", headers=KEY)).json()
        started = next(one for one in mute["events"] if one["type"] == "activity.started")
        assert started["on_phone"] == {"card": None, "verdict": None, "reason": NO_START_TOKEN}


KEY = {"X-netmera-api-key": REST}
START_TOKEN = {"name": "LiveActivityStartToken", "token": "ab" * 32}
BODY: dict[str, Any] = {
    "type": "Match",
    "attributes": {},
    "state": {"goals": 0},
    "audience": {"users": ["ada"]},
}


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    """Two phones that wait for an APNs key, and an activity with one more revision than its start."""
    async with whole_service(tmp_path) as one:
        for number in range(2):
            token = {**START_TOKEN, "token": f"{number:02x}" * 32}
            await one.report(f"phone-{number}", token, extId="ada")
        await one.client.put("/v1/activities/match", json=BODY, headers=KEY)
        await one.client.put("/v1/activities/match", json={**BODY, "state": {"goals": 1}}, headers=KEY)
        for number in range(2):
            token = {"name": "LiveActivityUpdateToken", "token": f"f{number}" * 32, "groupId": "match"}
            await one.report(f"phone-{number}", token)
        yield one


async def ask(whole: Whole, query: str = "", status: int = 200) -> Any:
    answer = await whole.client.get(f"/v1/activities/match/timeline{query}", headers=KEY)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_it_is_paged_and_filtered_by_kind(whole: Whole) -> None:
    every = await ask(whole)
    assert every["next_after"] is None
    assert "phone" not in every
    types = [one["type"] for one in every["events"]]
    assert types[:2] == ["activity.updated", "activity.started"]
    assert types[-2:] == ["card.joined", "card.joined"]
    first = await ask(whole, "?limit=2")
    rest = await ask(whole, f"?after={first['next_after']}")
    assert [*first["events"], *rest["events"]] == every["events"]
    assert {one["type"] for one in (await ask(whole, "?kinds=card.*"))["events"]} == {"card.joined"}
    mine = await ask(whole, "?kinds=card.joined&installation=phone-1")
    assert [one["data"]["installation_id"] for one in mine["events"]] == ["phone-1"]
    assert mine["phone"]["card"]["status"] == "live"
    one_by_one = [(await ask(whole, f"?installation=phone-1&limit=1&after={one['id'] - 1}"))["events"][0]["id"]
                  for one in (await ask(whole, "?installation=phone-1"))["events"]]  # fmt: skip
    assert one_by_one == [one["id"] for one in every["events"] if one["data"].get("card") != 1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?after=-1", "after"),
        ("?after=x", "after"),
        ("?kinds=card.flew", "kinds"),
        ("?installation=", "installation"),
        (f"?installation={'x' * 129}", "installation"),
        ("?installatoin=x", "installatoin"),
        ("?limit=1&limit=2", "limit"),
    ],
)
async def test_what_cannot_be_asked_is_named(whole: Whole, query: str, field: str) -> None:
    assert (await ask(whole, query, 422))["errors"][0]["field"] == field


async def test_who_has_never_reported_and_what_never_was_is_not_found(whole: Whole) -> None:
    assert "nobody" in (await ask(whole, "?installation=nobody", 404))["detail"]
    answer = await whole.client.get("/v1/activities/other/timeline", headers=KEY)
    assert answer.status_code == 404


async def test_another_apps_installations_are_unknown(whole: Whole) -> None:
    other = await whole.service.apps.create("other", "com.example.other")
    await whole.service.apps.create_key(other.app_id, KeyKind.REST, "tests", text="other-key")
    theirs = {"X-netmera-api-key": "other-key"}
    assert (await whole.client.get("/v1/activities/match/timeline", headers=theirs)).status_code == 404
    await whole.client.put("/v1/activities/match", json=BODY, headers=theirs)
    answer = await whole.client.get("/v1/activities/match/timeline?installation=phone-0", headers=theirs)
    assert answer.status_code == 404
