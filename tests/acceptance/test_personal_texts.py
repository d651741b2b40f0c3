"""Phones that each show their own text: asked for over HTTP, pushed over HTTP/2, and through a `kill -9`."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from dev_service import REST, Dev, dev_service, free_port, until

from skerry.cli.dev import REST_KEY, run_dev
from skerry.simulator.phone.phone import Phone

PHONES = 200
BOARDING: dict[str, Any] = {
    "type": "LiveActivityAttributes",
    "attributes": {"referenceId": "flight", "category": "seat @{seat|free}"},
    "state": {"title": "Hello @{first_name|there}", "subtitle": "@{gate}", "progress": "@{progress:number|0}"},
    "alert": {"title": {"default": "Boarding", "tr": "Biniş"}, "body": "@{first_name|You}, go to @{gate}"},
    "params": {"gate": 'B"12'},
    "audience": {"users": ["user-1", "user-2", "user-3"]},
}
BULK: dict[str, Any] = {
    "message": {
        "title": "Campaign",
        "text": "@{first_name|You} have @{count} points",
        "platforms": ["IOS"],
        "contentState": {"title": "@{first_name|there}", "subtitle": "", "progress": 0},
        "liveActAttr": {"referenceId": "points", "category": "@{tier|none}"},
        "liveActAttrType": "LiveActivityAttributes",
        "groupId": "points",
        "params": {"count": 7},
    },
    "languages": {"tr": {"title": "Kampanya", "text": "@{first_name|Senin} @{count} puan"}},
    "type": "LIVE_ACTIVITY",
    "target": {"sendToAll": True},
}


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with dev_service(tmp_path_factory.mktemp("personal"), 2) as found:
        people = [
            {"extId": "user-1", "platform": "IOS", "profile": {"first_name": "Ada", "seat": "12A", "progress": 0.5}},
            {"extId": "user-3", "platform": "IOS", "profile": {"first_name": "Çağla"}},
        ]
        found.rest("registerUsers", people)
        found.client.post("/simulator/phones", json={"language": "tr-TR"})
        until(lambda: 'operation="reportEvents",status="200"} 3' in found.client.get("/metrics").text)
        yield found


def card(dev: Dev, number: int, group: str) -> dict[str, Any]:
    return next(one for one in dev.phone(number)["cards"] if one["group_id"] == group)


def test_each_phone_shows_its_own(dev: Dev) -> None:
    answer = dev.put("flight", BOARDING)
    assert answer["counts"]["started"] == 3
    until(lambda: all(dev.phone(number)["cards"] for number in (1, 2, 3)))
    shown = [card(dev, number, "flight") for number in (1, 2, 3)]
    assert [one["content_state"]["title"] for one in shown] == ["Hello Ada", "Hello there", "Hello Çağla"]
    assert [one["content_state"]["progress"] for one in shown] == [0.5, 0, 0]
    assert {one["content_state"]["subtitle"] for one in shown} == {'B"12'}
    assert [one["attributes"]["category"] for one in shown] == ["seat 12A", "seat free", "seat free"]
    assert [one["alert"]["title"] for one in shown] == ["Boarding", "Boarding", "Biniş"]
    assert [one["alert"]["body"] for one in shown] == [f'{who}, go to B"12' for who in ("Ada", "You", "Çağla")]


def test_who_cannot_be_told_is_counted_and_says_why(dev: Dev) -> None:
    dev.put("flight", BOARDING)
    until(lambda: dev.client.get("/v1/activities/flight", headers=REST).json()["cards"]["live"] == 3)
    state = {**BOARDING["state"], "title": "Seat @{seat}"}
    answer = dev.put("flight", {**BOARDING, "state": state})
    assert (answer["counts"]["updated"], answer["counts"]["refused"]) == (1, {"MissingValue: seat": 2})
    cards = dev.client.get("/v1/activities/flight/cards", headers=REST).json()["cards"]
    assert sorted((one["user"], one["verdict"], one["reason"]) for one in cards) == [
        ("user-1", "accepted", None),
        ("user-2", "rejected", "MissingValue: seat"),
        ("user-3", "rejected", "MissingValue: seat"),
    ]
    until(lambda: card(dev, 1, "flight")["content_state"]["title"] == "Seat 12A")
    assert card(dev, 2, "flight")["content_state"]["title"] == "Hello there"


def test_the_drop_in_calls_do_the_same(dev: Dev) -> None:
    key = dev.rest("sendBulkNotification", BULK)["notificationKey"]
    until(lambda: len(dev.cards("points")) == 3)
    shown = [card(dev, number, "points") for number in (1, 2, 3)]
    assert [one["content_state"]["title"] for one in shown] == ["Ada", "there", "Çağla"]
    assert [(one["alert"]["title"], one["alert"]["body"]) for one in shown] == [
        ("Campaign", "Ada have 7 points"),
        ("Campaign", "You have 7 points"),
        ("Kampanya", "Çağla 7 puan"),
    ]
    results = dev.client.get("/rest/3.0/getPushResult", params={"notificationKey": key}, headers=REST).json()["list"]
    assert sorted((one["extId"], one["msgText"]) for one in results) == [
        ("user-1", "Ada have 7 points"),
        ("user-2", "You have 7 points"),
        ("user-3", "Çağla have 7 points"),
    ]
    until(lambda: dev.client.get("/v1/activities/points", headers=REST).json()["cards"]["live"] == 3)
    state = {"title": "Bye @{first_name|you}", "subtitle": "@@{", "progress": 1}
    dev.rest("update-live-activity", {"groupId": "points", "action": "UPDATE", "contentState": state, "priority": 10})
    until(
        lambda: (
            [card(dev, n, "points")["content_state"]["title"] for n in (1, 2, 3)] == ["Bye Ada", "Bye you", "Bye Çağla"]
        )
    )
    assert card(dev, 1, "points")["content_state"]["subtitle"] == "@{"
    dev.rest("update-live-activity", {"groupId": "points", "action": "END", "priority": 10})
    until(lambda: {one["status"] for one in dev.cards("points").values()} == {"ended"})
    assert [card(dev, n, "points")["content_state"]["title"] for n in (1, 2, 3)] == ["Bye Ada", "Bye you", "Bye Çağla"]


@pytest.mark.parametrize(
    "killed", [{"Bye"}, pytest.param({"Hello", "Bye"}, marks=pytest.mark.slow)], ids=["update", "start and update"]
)
async def test_killed_in_the_middle_every_phone_still_ends_on_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: set[str]
) -> None:
    # A start whose answer died with the service is looked at again when every phone has had the time to report.
    monkeypatch.setenv("SKERRY_DELIVERY__UNKNOWN_START_AFTER_S", "20")
    wish = {**BOARDING, "audience": {"all": True}, "attributes": {"referenceId": "flight", "category": "all"}}
    async with run_dev(tmp_path, host="127.0.0.1", port=free_port(), phones=PHONES) as service:
        phones = service.simulation.world.phones
        headers = {"X-netmera-api-key": REST_KEY}
        async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=20.0) as client:
            users = [
                {"extId": phone.user, "platform": "IOS", "profile": {"first_name": phone.id}}
                for phone in phones.values()
            ]
            assert (await client.post("/rest/3.0/registerUsers", json=users)).status_code == 200
            for greeting in ("Hello", "Bye"):
                state = {**BOARDING["state"], "title": f"{greeting} @{{first_name}}"}
                answer = await client.put("/v1/activities/flight", json={**wish, "state": state})
                assert answer.is_success, answer.text
                if greeting in killed:
                    await asyncio.sleep(0.02)
                    service.process.kill()
                async with asyncio.timeout(60):
                    while not all(shows(phone, f"{greeting} {phone.id}") for phone in phones.values()):
                        await asyncio.sleep(0.1)
                    while await live(client) < PHONES:
                        await asyncio.sleep(0.1)


def shows(phone: Phone, title: str) -> bool:
    """Whether the phone has one card, and this is its title."""
    return len(phone.cards) == 1 and json.loads(phone.cards[0].content_state)["title"] == title


async def live(client: httpx2.AsyncClient) -> int:
    """Cards that can be updated."""
    with suppress(httpx2.HTTPError):
        return int((await client.get("/v1/activities/flight")).json()["cards"]["live"])
    return 0
