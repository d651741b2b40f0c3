"""Segments, places and previews as callers and devices use them; a preview says what the start then does."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from whole_service import REST, Whole, whole_service

KEY = {"X-netmera-api-key": REST}
TYPE = "MatchAttributes"
ISTANBUL, IZMIR = (41.01, 28.98), (38.42, 27.14)


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole_service(tmp_path) as found:
        yield found


def start_token(installation: str, kind: str = "") -> dict[str, Any]:
    token = f"{installation}{kind}".encode().hex().ljust(64, "0")
    event = {"name": "LiveActivityStartToken", "token": token}
    return event | ({"attributesType": kind} if kind else {})


async def device(whole: Whole, installation: str, *, kind: str = "", token: bool = True, **members: Any) -> None:
    """An installation with a start token, whose user has its name."""
    events = [start_token(installation, kind)] if token else [{"name": "LiveActivityClose", "groupId": "none"}]
    answer = await whole.report(installation, *events, extId=installation, **members)
    assert answer.status_code == 200, answer.text


def at(place: tuple[float, float], time: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return {"latitude": place[0], "longitude": place[1], "time": time}


async def segment(whole: Whole, name: str, audience: dict[str, Any]) -> Any:
    return await whole.client.put(f"/v1/segments/{name}", json={"audience": audience}, headers=KEY)


async def preview(whole: Whole, audience: dict[str, Any], activity: str | None = None, **texts: Any) -> Any:
    body = {"audience": audience, "attributes_type": TYPE, "activity": activity, **texts}
    answer = await whole.client.post("/v1/audiences:preview", json=body, headers=KEY)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def put(whole: Whole, audience: dict[str, Any], name: str = "match", **members: Any) -> Any:
    body = {"type": TYPE, "attributes": {}, "state": {"score": 0}, "audience": audience, **members}
    return await whole.client.put(f"/v1/activities/{name}", json=body, headers=KEY)


async def running(whole: Whole, name: str = "match") -> set[str]:
    """The installations that have a card."""
    answer = await whole.client.get(f"/v1/activities/{name}/cards", headers=KEY)
    return {card["installation_id"] for card in answer.json()["cards"]} if answer.status_code == 200 else set()


async def tag(whole: Whole, name: str, *users: str) -> None:
    assert (await whole.rest("tagUsers", {"tag": name, "extIds": list(users)})).status_code == 200


async def test_a_preview_says_what_the_start_then_does(whole: Whole) -> None:
    for name in ("ada", "bob", "cem"):
        await device(whole, name, environment="production")
    await device(whole, "typed", kind=TYPE)
    await device(whole, "other", kind="OtherAttributes")
    await device(whole, "old", token=False, osVersion="16.4")
    await device(whole, "none", token=False, osVersion="18.1")
    await device(whole, "droid", token=False, platform="ANDROID")
    await whole.rest("disablePush", {"extId": "ada"})
    found = await preview(whole, {"all": True}, "match")
    assert found["matched"] == 8
    assert {reason: one["samples"] for reason, one in found["not_startable"].items()} == {
        "wrong_type": [{"installation_id": "other", "user": "other"}],
        "ios_too_old": [{"installation_id": "old", "user": "old"}],
        "no_start_token": [{"installation_id": "none", "user": "none"}],
        "not_ios": [{"installation_id": "droid", "user": "droid"}],
    }
    assert {doubt: one["count"] for doubt, one in found["doubts"].items()} == {"environment_unknown": 1, "push_off": 1}
    assert (await put(whole, {"all": True})).status_code == 201
    assert await running(whole) == {"ada", "bob", "cem", "typed"}
    assert found["startable"] == 4
    again = await preview(whole, {"all": True}, "match")
    assert (again["startable"], again["not_startable"]["already_running"]["count"]) == (0, 4)
    assert (await preview(whole, {"all": True}, "another match"))["startable"] == 4


async def test_a_preview_knows_who_swiped_the_activity_away(whole: Whole) -> None:
    await device(whole, "ada")
    await put(whole, {"users": ["ada"]})
    await whole.report("ada", {"name": "LiveActivityUpdateToken", "token": "cd" * 32, "groupId": "match"}, extId="ada")
    await whole.report("ada", {"name": "LiveActivityClose", "groupId": "match"}, extId="ada")
    found = await preview(whole, {"all": True}, "match")
    assert found["not_startable"]["swiped_away"]["samples"] == [{"installation_id": "ada", "user": "ada"}]


async def test_a_preview_knows_who_lacks_a_value(whole: Whole) -> None:
    for name in ("ada", "bob", "cem"):
        await device(whole, name)
    profiles = [{"extId": "ada", "profile": {"seat": 7}}, {"extId": "bob", "profile": {"seat": "in row 7"}}]
    assert (await whole.rest("setProfileAttributes", profiles)).status_code == 200
    texts = {"state": {"seat": "@{seat:number}"}, "alert": {"title": "", "body": "@{seat|your seat}"}}
    for audience in ({"all": True}, {"users": ["ada", "bob", "cem"]}):
        found = await preview(whole, audience, **texts)
        assert (found["startable"], found["not_startable"]["missing_value"]["count"]) == (1, 2)


async def test_a_preview_names_users_and_devices_that_there_are_not(whole: Whole) -> None:
    await device(whole, "ada")
    found = await preview(whole, {"users": ["ada", "eve"]})
    assert (found["startable"], found["users_without_device"]) == (1, {"count": 1, "samples": ["eve"]})
    found = await preview(whole, {"devices": ["ada", "i-9"]})
    assert (found["startable"], found["unknown_devices"]) == (1, {"count": 1, "samples": ["i-9"]})


async def test_a_rollout_starts_whom_the_preview_counted_and_grows(whole: Whole) -> None:
    for number in range(40):
        await device(whole, f"i-{number}")
    assert (await preview(whole, {"all": True, "percent": 25}, "match"))["startable"] > 0
    counted = await preview(whole, {"all": True, "percent": 25}, "match")
    await put(whole, {"all": True, "percent": 25})
    quarter = await running(whole)
    assert len(quarter) == counted["startable"]
    await put(whole, {"all": True, "percent": 60})
    more = await running(whole)
    assert quarter < more
    await put(whole, {"all": True, "percent": 100})
    assert len(await running(whole)) == 40


async def test_a_segment_reaches_those_it_stands_for(whole: Whole) -> None:
    for name in ("ada", "bob", "cem"):
        await device(whole, name)
    await tag(whole, "gold", "ada", "bob")
    await tag(whole, "staff", "bob")
    assert (await segment(whole, "staff", {"tags": "staff"})).status_code == 200
    assert (await segment(whole, "guests", {"tags": "gold", "exclude": {"segment": "staff"}})).status_code == 200
    await put(whole, {"segment": "guests"})
    assert await running(whole) == {"ada"}
    start = {
        "type": "LIVE_ACTIVITY",
        "message": {"title": "t", "text": "t", "platforms": ["IOS"], "contentState": {}, "liveActAttr": {}}
        | {"liveActAttrType": TYPE, "groupId": "drop-in"},
        "target": {"segment": {"$not": ["guests"]}},
    }
    assert (await whole.rest("sendBulkNotification", start)).status_code == 200
    assert await running(whole, "drop-in") == {"bob", "cem"}
    start["target"] = {"segment": "nothing"}
    answer = await whole.rest("sendBulkNotification", start)
    assert (answer.status_code, answer.json()["code"]) == (400, 5042)


async def test_segments_are_kept_in_order(whole: Whole) -> None:
    unknown = await segment(whole, "a", {"segment": "b"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "segment_not_found")
    await segment(whole, "b", {"tags": "b"})
    await segment(whole, "a", {"segment": "b"})
    circle = await segment(whole, "b", {"segment": "a"})
    assert (circle.status_code, circle.json()["code"]) == (422, "segment_cycle")
    assert "b → a → b" in circle.json()["detail"]
    used = await whole.client.delete("/v1/segments/b", headers=KEY)
    assert (used.status_code, used.json()["code"]) == (409, "segment_in_use")
    many = {"tags": {"$and": [f"t{number}" for number in range(198)]}}
    assert (await segment(whole, "b", many)).json()["code"] == "audience_too_complex"  # with what "a" adds to it
    assert (await whole.client.delete("/v1/segments/a", headers=KEY)).status_code == 200
    assert (await segment(whole, "b", many)).status_code == 200
    assert (await whole.client.delete("/v1/segments/b", headers=KEY)).json()["audience"] == many
    assert (await whole.client.get("/v1/segments", headers=KEY)).json() == {"segments": []}


async def test_an_activity_for_a_segment_that_there_is_not_is_refused_and_nothing_is_stored(whole: Whole) -> None:
    answer = await put(whole, {"segment": "nothing"})
    assert (answer.status_code, answer.json()["code"]) == (422, "segment_not_found")
    assert (await whole.client.get("/v1/activities/match", headers=KEY)).status_code == 404


async def test_who_comes_to_be_in_a_segment_later_is_started_as_the_segment_is_then(whole: Whole) -> None:
    await segment(whole, "fans", {"tags": "red"})
    await put(whole, {"segment": "fans"})
    await device(whole, "ada")
    assert await running(whole) == set()
    await segment(whole, "fans", {"tags": "blue"})
    await tag(whole, "red", "ada")
    assert await running(whole) == set()
    await tag(whole, "blue", "ada")
    assert await running(whole) == {"ada"}


async def test_nobody_joins_an_activity_whose_segment_is_gone(whole: Whole) -> None:
    """Not even where the audience is whoever is not in it."""
    await segment(whole, "staff", {"tags": "staff"})
    await put(whole, {"all": True, "exclude": {"segment": "staff"}})
    await whole.client.delete("/v1/segments/staff", headers=KEY)
    await device(whole, "ada")
    assert await running(whole) == set()


async def test_devices_are_reached_where_they_last_said_they_were(whole: Whole) -> None:
    await device(whole, "ada", location=at(ISTANBUL))
    await device(whole, "bob", location=at(IZMIR))
    await device(whole, "cem")
    near = {"location": {"latitude": 41.0, "longitude": 29.0, "radius": 30}}
    assert (await preview(whole, near))["matched"] == 1
    await whole.report("bob", location=at((41.02, 29.0), "2026-01-02T00:00:00Z"))
    await whole.report("bob", location=at(IZMIR, "2026-01-01T12:00:00Z"))  # late, and older
    assert (await preview(whole, near))["matched"] == 2
    await whole.report("ada", location=False)
    assert (await preview(whole, near))["matched"] == 1
    await put(whole, near)
    assert await running(whole) == {"bob"}
    await whole.report("cem", location=at(ISTANBUL))  # and joins
    assert await running(whole) == {"bob", "cem"}


async def test_the_drop_in_location_reaches_the_same_devices(whole: Whole) -> None:
    await device(whole, "ada", location=at((0.0, 179.99)))
    await device(whole, "bob", location=at(IZMIR))
    start = {
        "type": "LIVE_ACTIVITY",
        "message": {"title": "t", "text": "t", "platforms": ["IOS"], "contentState": {}, "liveActAttr": {}}
        | {"liveActAttrType": TYPE, "groupId": "match"},
        "target": {"location": {"latitude": 0, "longitude": -179.99, "radius": 5}},
    }
    assert (await whole.rest("sendBulkNotification", start)).status_code == 200
    assert await running(whole) == {"ada"}


async def test_segments_as_the_drop_in_api_tells_them(whole: Whole) -> None:
    await device(whole, "ada")
    await device(whole, "bob", platform="ANDROID", token=False)
    await whole.rest("registerUsers", [{"extId": "ada", "msisdn": "+90", "email": "ada@example.com"}])
    await tag(whole, "gold", "ada", "bob")
    stored = (await segment(whole, "gold", {"tags": "gold"})).json()
    headers = {**KEY, "X-netmera-os": "IOS"}
    listed = (await whole.client.get("/rest/3.0/getSegments", headers=headers)).json()
    assert listed == {"list": [{"id": stored["id"], "name": "gold", "userCount": 1, "type": "DYNAMIC"}]}
    users = f"/rest/3.0/getSegmentUsers?id={stored['id']}"
    assert (await whole.client.get(users, headers=headers)).json() == {
        "name": "gold",
        "list": [{"externalId": "ada", "msisdn": "+90", "email": "ada@example.com"}],
        "nextPage": None,
    }
    android = {**KEY, "X-netmera-os": "ANDROID"}
    assert [one["externalId"] for one in (await whole.client.get(users, headers=android)).json()["list"]] == ["bob"]


async def test_a_user_who_is_erased_is_in_no_segment_any_more_and_nowhere(whole: Whole) -> None:
    await device(whole, "ada", location=at(ISTANBUL))
    await segment(whole, "friends", {"users": ["ada", "bob"], "exclude": {"users": ["ada"]}})
    await whole.rest("deleteUsersPermanently", {"extIds": ["ada"]})
    kept = (await whole.client.get("/v1/segments/friends", headers=KEY)).json()["audience"]
    assert kept == {"users": ["bob"], "exclude": {"users": []}}
    everywhere = {"location": {"latitude": 0, "longitude": 0, "radius": 20_100}}
    assert (await preview(whole, everywhere))["matched"] == 0
