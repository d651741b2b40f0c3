"""The simulator's HTTP API, asked as a browser or a test would."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from skerry.domain.channel import Channel, StoragePolicy
from skerry.domain.push import Environment
from skerry.simulator.apns.channels import Channels
from skerry.simulator.apns.chaos import Chaos
from skerry.simulator.apns.ledger import Ledger
from skerry.simulator.carrier import Delivery
from skerry.simulator.clock import FrozenClock
from skerry.simulator.phone.reporter import Reporter, Service
from skerry.simulator.phone.swift_types import AttributesType
from skerry.simulator.web import build_app
from skerry.simulator.world import World


class Site:
    """A world with one phone and its API; `push` plays APNs."""

    def __init__(self, client: httpx2.AsyncClient, world: World) -> None:
        self.client = client
        self.world = world
        self.stamp = int(world.clock.now())

    def push(self, token: str, event: str, state: str) -> None:
        self.stamp += 1
        attributes = '"attributes-type":"LiveActivityAttributes","attributes":{"referenceId":"upload-456"},'
        start = attributes + '"alert":{"title":"t"},'
        extra = start if event == "start" else ""
        body = f'{{"aps":{{"timestamp":{self.stamp},"event":"{event}",{extra}"content-state":{state}}}}}'.encode()
        now = self.world.clock.now()
        self.world.deliver(Delivery(Environment.SANDBOX, token, "id-1", "t", "liveactivity", 10, None, body, now))

    def start(self, state: str = '{"title":"a","subtitle":"b","progress":1}') -> None:
        token = self.world.phone("phone-1").start_token
        assert token is not None
        self.push(token, "start", state)

    async def get(self, path: str) -> Any:
        response = await self.client.get(f"/simulator/{path}")
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: object = None) -> Any:
        response = await self.client.post(f"/simulator/{path}", json=body if body is not None else {})
        assert response.status_code in {200, 201}, response.text
        return response.json()

    async def refusal(self, method: str, path: str, status: int, **options: Any) -> dict[str, Any]:
        response = await self.client.request(method, f"/simulator/{path}", **options)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = response.json()
        assert document["status"] == status
        assert document["instance"] == f"/simulator/{path}".partition("?")[0]
        assert document["title"]
        return document


@pytest.fixture
def channels() -> Channels:
    return Channels()


@pytest.fixture
async def site(upload_type: dict[str, Any], channels: Channels) -> AsyncIterator[Site]:
    clock = FrozenClock()
    known = AttributesType.declared(upload_type)
    reporter = Reporter(Service("http://127.0.0.1:9", "key"), clock)
    world = World(clock, types={known.name: known}, reporter=reporter)
    world.add_phones()
    app = build_app(world, Ledger(), Chaos(clock), channels)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://simulator") as client:
        yield Site(client, world)


async def test_the_list_shows_every_phone_in_short(site: Site) -> None:
    (phone,) = await site.get("phones")
    assert phone["id"] == "phone-1"
    assert phone["user"] == "user-1"
    assert phone["environment"] == "sandbox"
    assert phone["os_version"] == "18.1"
    assert len(phone["start_token"]) == 160
    assert phone["cards"] == 0
    assert phone["online"] is True


async def test_the_list_can_be_cut_and_filtered(site: Site) -> None:
    site.world.add_phones(9)
    assert [phone["id"] for phone in await site.get("phones?offset=2&limit=2")] == ["phone-3", "phone-4"]
    assert [phone["id"] for phone in await site.get("phones?user=user-7")] == ["phone-7"]


async def test_a_phone_shows_cards_pushes_and_reports(site: Site) -> None:
    site.start()
    site.push(site.world.phone("phone-1").cards[0].update_token or "", "update", '{"title":"x"}')
    phone = await site.get("phones/phone-1")
    (card,) = phone["cards"]
    assert (card["group_id"], card["status"], card["alert"]) == ("upload-456", "live", {"title": "t"})
    assert card["attributes"] == {"referenceId": "upload-456"}
    started, dropped = phone["pushes"]
    assert (started["verdict"], started["dropped"], started["event"]) == ("started", False, "start")
    assert (dropped["verdict"], dropped["dropped"]) == ("undecodable_content_state", True)
    assert "keyNotFound" in dropped["why"]
    assert dropped["timestamp"] == site.stamp
    assert dropped["priority"] == 10
    assert phone["verdicts"] == {"started": 1, "undecodable_content_state": 1}
    assert phone["reports"]["waiting"] == 2
    assert phone["reports"]["policy"]["close"] == {"delay_s": 0.0, "times": 1}
    assert phone["attributes_types"] == ["LiveActivityAttributes"]


async def test_the_state_passes_byte_for_byte(site: Site) -> None:
    state = '{"title":"a","subtitle":"b","progress":1.0, "count":1}'
    site.start(state)
    text = (await site.client.get("/simulator/phones/phone-1")).text
    assert f'"content_state":{state}' in text
    assert json.loads(text)["cards"][0]["content_state_raw"] == state


async def test_a_swiped_card_stays_in_the_list_as_dismissed(site: Site) -> None:
    site.start()
    phone = await site.post("phones/phone-1/dismiss", {"group_id": "upload-456"})
    assert [card["status"] for card in phone["cards"]] == ["dismissed"]
    assert phone["cards"][0]["ended_by"] == "person"
    document = await site.refusal("POST", "phones/phone-1/dismiss", 404, json={"group_id": "upload-456"})
    assert "no visible card of group 'upload-456'" in document["detail"]


async def test_tokens_rotate_on_request(site: Site) -> None:
    site.start()
    before = await site.get("phones/phone-1")
    after = await site.post("phones/phone-1/rotate", {"group_id": "upload-456"})
    assert after["cards"][0]["update_token"] != before["cards"][0]["update_token"]
    assert after["start_token"] == before["start_token"]
    again = await site.post("phones/phone-1/rotate", {"token": "start"})
    assert again["start_token"] != before["start_token"]
    document = await site.refusal("POST", "phones/phone-1/rotate", 422, json={})
    assert document["field"] == "group_id"


async def test_a_phone_goes_offline_and_comes_back(site: Site) -> None:
    assert (await site.post("phones/phone-1/offline"))["online"] is False
    site.start()
    assert (await site.get("phones/phone-1"))["pushes"][0]["verdict"] == "stored"
    assert (await site.post("phones/phone-1/online"))["pushes"][0]["verdict"] == "started"


async def test_the_report_policy_is_replaced(site: Site) -> None:
    body = {"update_token": {"delay_s": 90, "times": 2}, "close": {"times": 0}, "shuffle": True}
    response = await site.client.put("/simulator/phones/phone-1/reports", json=body)
    assert response.json()["reports"]["policy"] == {
        "start_token": {"delay_s": 0.0, "times": 1},
        "update_token": {"delay_s": 90.0, "times": 2},
        "close": {"delay_s": 0.0, "times": 0},
        "shuffle": True,
    }
    site.start()
    assert (await site.get("phones/phone-1"))["reports"]["on_phone"] == 2


async def test_the_app_starts_an_activity_itself(site: Site) -> None:
    body = {
        "attributes_type": "LiveActivityAttributes",
        "attributes": {"referenceId": "own"},
        "content_state": {"title": "a", "subtitle": "b", "progress": 1},
    }
    phone = await site.post("phones/phone-1/start", body)
    assert phone["cards"][0]["group_id"] == "own"
    body["content_state"] = {"title": "a"}
    document = await site.refusal("POST", "phones/phone-1/start", 409, json=body)
    assert "keyNotFound" in document["detail"]


async def test_the_app_is_deleted_installed_launched_and_signed_in(site: Site) -> None:
    token = site.world.phone("phone-1").start_token
    phone = await site.post("phones/phone-1/delete-app", {"unregistered_after_s": 5})
    assert (phone["installation_id"], phone["start_token"]) == (None, None)
    await site.refusal("POST", "phones/phone-1/launch-app", 409)
    phone = await site.post("phones/phone-1/install-app")
    assert phone["start_token"] != token
    assert (await site.post("phones/phone-1/user", {"user": None}))["user"] is None
    assert (await site.post("phones/phone-1/launch-app"))["reports"]["waiting"] == 3
    assert (await site.post("phones/phone-1/live-activities", {"enabled": False}))["activities_enabled"] is False


async def test_phones_are_added_with_their_own_types_and_policy(site: Site) -> None:
    body = {
        "count": 2,
        "user": "fan-{n}",
        "environment": "production",
        "os_version": "17.4",
        "types": [{"name": "Match", "attributes": {"id": "String"}, "content_state": {"score": "Int"}}],
        "reports": {"start_token": {"times": 0}},
    }
    added = await site.post("phones", body)
    assert [(phone["id"], phone["user"]) for phone in added] == [("phone-2", "fan-2"), ("phone-3", "fan-3")]
    phone = await site.get("phones/phone-3")
    assert (phone["environment"], phone["attributes_types"]) == ("production", ["Match"])
    assert phone["reports"]["waiting"] == 0


async def test_the_clock_moves_and_takes_the_cards_along(site: Site) -> None:
    site.start()
    before = await site.get("clock")
    after = await site.post("clock", {"advance_s": 8 * 3600})
    assert after["now"] == before["now"] + 8 * 3600
    assert (await site.get("phones/phone-1"))["cards"][0]["status"] == "ended"
    assert (await site.get("verdicts")) == {
        "phones": 1,
        "verdicts": {"started": 1},
        "cards": {"ended": 1},
        "reports_pending": 3,
    }


async def test_the_ledger_is_read_page_by_page(site: Site) -> None:
    assert (await site.get("ledger"))["entries"] == []
    assert (await site.get("ledger?since=0&limit=5&token=80aa&event=start"))["next"] == 0
    for query, field in (("limit=0", "limit"), ("since=-1", "since"), ("limit=x", "limit"), ("page=2", "page")):
        document = await site.refusal("GET", f"ledger?{query}", 422)
        assert document["field"] == field
        assert document["fix"]


async def test_chaos_is_shown_and_replaced_and_a_bad_plan_changes_nothing(site: Site) -> None:
    peace = await site.get("chaos")
    plan = {"latency_ms": 5}
    response = await site.client.put("/simulator/chaos", json=plan)
    assert response.status_code == 200, response.text
    assert response.json() != peace
    await site.refusal("PUT", "chaos", 422, json={"no_such_fault": 1})
    await site.refusal("PUT", "chaos", 400, content=b"{")
    assert await site.get("chaos") == response.json()
    await site.client.put("/simulator/chaos", json={})
    assert await site.get("chaos") == peace


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "phones/phone-1/dismiss", {}, "group_id"),
        ("POST", "phones/phone-1/dismiss", {"group_id": 7}, "group_id"),
        ("POST", "phones/phone-1/dismiss", {"group_id": ""}, "group_id"),
        ("POST", "phones/phone-1/dismiss", {"group_id": "a", "groupId": "a"}, "groupId"),
        ("POST", "phones/phone-1/rotate", {"token": "both"}, "token"),
        ("PUT", "phones/phone-1/reports", {"close": {"times": 11}}, "close.times"),
        ("PUT", "phones/phone-1/reports", {"close": {"often": 1}}, "close.often"),
        ("PUT", "phones/phone-1/reports", {"close": 3}, "close"),
        ("POST", "phones", {"count": 0}, "count"),
        ("POST", "phones", {"count": 20_001}, "count"),
        ("POST", "phones", {"os_version": "eighteen"}, "os_version"),
        ("POST", "phones", {"environment": "staging"}, "environment"),
        ("POST", "phones", {"types": [{"name": "A", "attributes": {"a": "Dbl"}}]}, "types[0]"),
        ("POST", "clock", {"advance_s": -1}, "advance_s"),
        ("POST", "clock", {"advance_s": 1e300}, "advance_s"),
        ("POST", "clock", {"advance_s": "8h"}, "advance_s"),
        ("POST", "clock", {}, "advance_s"),
        ("POST", "phones/phone-1/user", {"user": ""}, "user"),
        ("POST", "phones/phone-1/offline", {"for_s": 3}, "for_s"),
    ],
)
async def test_a_bad_field_is_named_with_its_fix_and_changes_nothing(
    site: Site, method: str, path: str, body: dict[str, Any], field: str
) -> None:
    before = (await site.client.get("/simulator/phones/phone-1")).content
    document = await site.refusal(method, path, 422, json=body)
    assert document["field"] == field
    assert document.get("fix") or "unknown type" in document["detail"] or field in document["detail"]
    assert (await site.client.get("/simulator/phones/phone-1")).content == before
    assert len(site.world.phones) == 1


async def test_the_fix_says_what_the_field_is(site: Site) -> None:
    document = await site.refusal("PUT", "phones/phone-1/reports", 422, json={"close": {"times": "often"}})
    assert document["fix"] == "close.times: 0: never, 1: once, 2: twice, at most 10"
    document = await site.refusal("POST", "phones/phone-1/dismiss", 422, json={"group": "a", "group_id": "b"})
    assert document["fix"] == "fields here are: group_id, card_id"


@pytest.mark.parametrize("content", [b"{", b"\xff", b"nope"])
async def test_what_is_not_json_is_400(site: Site, content: bytes) -> None:
    assert "not JSON" in (await site.refusal("POST", "clock", 400, content=content))["detail"]


async def test_a_body_that_is_not_an_object_is_422(site: Site) -> None:
    assert (await site.refusal("POST", "clock", 422, content=b"[1]"))["fix"] == "fields here are: advance_s"


async def test_a_body_that_is_too_large_is_413(site: Site) -> None:
    await site.refusal("POST", "clock", 413, content=b" " * (256 * 1024 + 1))


async def test_unknown_phones_pages_and_methods_are_problems_too(site: Site) -> None:
    assert "phone-7" in (await site.refusal("GET", "phones/phone-7", 404))["detail"]
    await site.refusal("POST", "phones/phone-7/dismiss", 404, json={"group_id": "a"})
    await site.refusal("GET", "nothing", 404)
    await site.refusal("DELETE", "chaos", 405)


async def test_channels_are_shown_with_who_listens_and_can_be_switched_off(site: Site, channels: Channels) -> None:
    channel = Channel(channels.draw_id(), StoragePolicy.MOST_RECENT_MESSAGE_STORED)
    channels.create(Environment.SANDBOX, site.world.bundle_id, channel, 1_790_000_000.0)
    body = {
        "attributes_type": "LiveActivityAttributes",
        "attributes": {"referenceId": "match"},
        "content_state": {"title": "a", "subtitle": "b", "progress": 0.5},
        "channel": channel.channel_id,
    }
    await site.post("phones/phone-1/start", body)
    assert await site.get("channels") == {
        "enabled": True,
        "channels": [
            {
                "environment": "sandbox",
                "bundle_id": site.world.bundle_id,
                "id": channel.channel_id,
                "message_storage_policy": 1,
                "created_at": 1_790_000_000.0,
                "broadcasts": 0,
                "listeners": 1,
            }
        ],
    }
    answer = await site.client.put("/simulator/channels", json={"enabled": False})
    assert answer.json() == {"enabled": False, "channels": []}


async def test_the_ledger_can_be_asked_for_one_operation(site: Site) -> None:
    assert (await site.get("ledger?operation=broadcast"))["entries"] == []
