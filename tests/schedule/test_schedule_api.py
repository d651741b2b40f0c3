"""`/v1/schedule` over the whole service: what is taken, what is refused and why, what is shown, and what is erased."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from whole_service import REST, Whole, whole_service

from skerry.api import examples

HEADERS = {"X-netmera-api-key": REST}
PUT: dict[str, Any] = {
    "at": "2099-03-01T09:00:00Z",
    "type": "Match",
    "attributes": {"home": "Arsenal"},
    "state": {"score": 0},
    "audience": {"users": ["ada"]},
}
END: dict[str, Any] = {"at": "2099-03-01T11:00:00Z", "action": "end"}


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole_service(tmp_path) as found:
        yield found


async def ask(whole: Whole, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
    return await whole.client.request(method, f"/v1/{path}", json=body, headers=HEADERS | headers)


async def schedule(whole: Whole, body: dict[str, Any], name: str = "match", **headers: str) -> dict[str, Any]:
    answer = await ask(whole, "POST", f"activities/{name}/schedule", body, **headers)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def changes(whole: Whole, path: str = "schedule") -> list[dict[str, Any]]:
    answer = await ask(whole, "GET", path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["changes"]
    return found


def millis(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


async def test_a_change_waits_and_changes_nothing_until_its_time(whole: Whole) -> None:
    made = await schedule(whole, PUT)
    assert (made["action"], made["state"], made["at"]) == ("put", "waiting", millis("2099-03-01T09:00:00"))
    assert (await ask(whole, "GET", "activities/match")).status_code == 404
    found = (await ask(whole, "GET", f"schedule/{made['id']}")).json()
    said = found.pop("change")
    assert found == made
    assert said == {
        "type": "Match",
        "attributes": {"home": "Arsenal"},
        "state": {"score": 0},
        "audience": {"users": ["ada"]},
        "priority": "auto",
    }


async def test_the_example_is_taken_and_its_local_time_is_a_moment(whole: Whole) -> None:
    assert (await schedule(whole, examples.SCHEDULED))["at"] == millis("2099-09-17T18:00:00")


async def test_an_offset_is_stronger_than_the_zone(whole: Whole) -> None:
    body = PUT | {"at": "2099-03-01T09:00:00+01:00", "time_zone": "Europe/Istanbul"}
    assert (await schedule(whole, body))["at"] == millis("2099-03-01T08:00:00")


async def test_a_time_may_be_a_number(whole: Whole) -> None:
    assert (await schedule(whole, PUT | {"at": 4_075_000_000}))["at"] == 4_075_000_000_000


async def test_what_waits_is_listed_page_by_page(whole: Whole) -> None:
    ids = [(await schedule(whole, body, name))["id"] for body, name in ((PUT, "a"), (END, "a"), (PUT, "b"))]
    assert [one["id"] for one in await changes(whole)] == ids
    assert [one["id"] for one in await changes(whole, "activities/a/schedule")] == ids[:2]
    assert await changes(whole, "activities/unheard-of/schedule") == []
    first = (await ask(whole, "GET", "schedule?limit=2")).json()
    rest = (await ask(whole, "GET", f"schedule?limit=2&after={first['next_after']}")).json()
    assert [one["id"] for one in first["changes"] + rest["changes"]] == ids
    assert rest["next_after"] is None


async def test_a_cancelled_change_stays_visible_and_cancelled(whole: Whole) -> None:
    made = await schedule(whole, PUT)
    for _ in range(2):
        answer = await ask(whole, "DELETE", f"schedule/{made['id']}")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert await changes(whole) == []
    assert [one["id"] for one in await changes(whole, "schedule?state=cancelled")] == [made["id"]]


async def test_what_is_not_there_is_told_so(whole: Whole) -> None:
    for method in ("GET", "DELETE"):
        assert (await ask(whole, method, "schedule/999")).status_code == 404


async def test_a_change_of_another_app_is_not_there(whole: Whole) -> None:
    from skerry.domain.app import KeyKind

    made = await schedule(whole, PUT)
    other = await whole.service.apps.create("other", "com.example.other")
    await whole.service.apps.create_key(other.app_id, KeyKind.REST, "tests", text="other-key")
    for method in ("GET", "DELETE"):
        answer = await whole.client.request(
            method, f"/v1/schedule/{made['id']}", headers={"X-netmera-api-key": "other-key"}
        )
        assert answer.status_code == 404


async def test_what_has_been_done_cannot_be_cancelled(whole: Whole) -> None:
    made = await schedule(whole, PUT | {"at": (time.time() + 0.3) * 1000, "audience": {"all": True}})
    async with asyncio.timeout(30):
        while not (done := await changes(whole, "schedule?state=done")):
            await asyncio.sleep(0.05)
    assert done[0]["revision"] == 2
    answer = await ask(whole, "DELETE", f"schedule/{made['id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "has_run")


async def test_a_repeat_with_an_idempotency_key_gets_the_change_that_was_made(whole: Whole) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = await schedule(whole, PUT, **key)
    assert await schedule(whole, PUT, **key) == first
    assert len(await changes(whole)) == 1
    again = await ask(whole, "POST", "activities/match/schedule", END, **key)
    assert again.status_code == 409


async def test_a_cancellation_that_is_repeated_with_its_key_has_the_first_answer(whole: Whole) -> None:
    first, second = await schedule(whole, PUT), await schedule(whole, END)
    key = {"Idempotency-Key": "k-2"}
    answers = [(await ask(whole, "DELETE", f"schedule/{first['id']}", **key)).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert (await ask(whole, "DELETE", f"schedule/{second['id']}", **key)).status_code == 409


async def test_a_version_that_comes_too_late_already_now_is_refused(whole: Whole) -> None:
    body = {name: value for name, value in PUT.items() if name != "at"}
    assert (await ask(whole, "PUT", "activities/match", body | {"version": 7})).is_success
    for change in (PUT, END):
        answer = await ask(whole, "POST", "activities/match/schedule", change | {"version": 7})
        assert answer.status_code == 409
        await schedule(whole, change | {"version": 8})


async def test_a_start_needs_attributes_from_somebody(whole: Whole) -> None:
    bare = {name: value for name, value in PUT.items() if name not in ("type", "attributes")}
    answer = await ask(whole, "POST", "activities/match/schedule", bare)
    assert answer.json()["errors"][0]["field"] == "type"
    await schedule(whole, PUT)
    await schedule(whole, bare | {"at": "2099-03-01T10:00:00Z"})


async def test_an_activity_has_room_for_so_many_changes(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.activities.schedule.MOST_WAITING", 2)
    made = [await schedule(whole, END) for _ in range(2)]
    refused = await ask(whole, "POST", "activities/match/schedule", END)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_scheduled")
    await ask(whole, "DELETE", f"schedule/{made[0]['id']}")
    await schedule(whole, END)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"at": None}, "at"),
        ({"at": "tomorrow"}, "at"),
        ({"at": "2020-01-01T00:00:00Z"}, "at"),
        ({"at": {}}, "at"),
        ({"at": True}, "at"),
        ({"at": "2099-03-01T09:00:00", "time_zone": "Mars/Olympus"}, "time_zone"),
        ({"at": "2099-03-01T09:00:00", "time_zone": ""}, "time_zone"),
        ({"at": "2099-03-01T09:00:00", "time_zone": 3}, "time_zone"),
        ({"at": "9999-12-31T23:59:59", "time_zone": "America/Los_Angeles"}, "at"),
        ({"zone": "device"}, "zone"),
        ({"action": "start"}, "action"),
        ({"action": "end"}, "type"),
        ({"state": 3}, "state"),
        ({"alert": {}}, "alert"),
        ({"priority": 7}, "priority"),
        ({"version": -1}, "version"),
        ({"ends_at": "2099-03-01T09:00:00Z"}, "ends_at"),
        ({"dismiss_after": "PT9999H"}, "dismiss_after"),
        ({"audience": {}}, "audience"),
        ({"phases": {}}, "phases"),
        ({"phases": [{"state": {}}]}, "phases[0].at"),
        ({"phases": [{"at": "2099-03-01T10:00:00Z", "after": "PT1H", "state": {}}]}, "phases[0].at"),
        ({"phases": [{"after": "PT1H"}]}, "phases[0].state"),
        ({"phases": [{"after": "PT1H", "state": []}]}, "phases[0].state"),
        ({"phases": [{"after": "-PT1H", "state": {}}]}, "phases[0].after"),
        ({"phases": [{"after": "1h", "state": {}}]}, "phases[0].after"),
        ({"phases": [{"at": "soon", "state": {}}]}, "phases[0].at"),
        ({"phases": [{"after": "PT1H", "state": {}, "alert": {"title": 3}}]}, "phases[0].alert.title"),
        ({"phases": [{"after": "PT1H", "state": {}, "priority": 7}]}, "phases[0].priority"),
        ({"phases": [{"after": "PT1H", "state": {}, "relevance": "x"}]}, "phases[0].relevance"),
        ({"phases": [{"after": "PT1H", "state": {}, "stale_at": "x"}]}, "phases[0].stale_at"),
        ({"phases": [{"after": "PT1H", "state": {}, "x": 1}]}, "phases[0].x"),
        ({"phases": [{"after": "PT1H", "state": {}}, {"after": "PT0S", "state": {}}]}, "phases[1].after"),
        ({"phases": [{"at": "2098-01-01T00:00:00Z", "state": {}}]}, "phases"),
        ({"phases": [{"after": "PT1H", "state": {"x": "y" * 5_000}}]}, "phases[0]"),
        ({"phases": [{"after": "PT1H", "state": {}}] * 101}, "phases"),
        ({"phases": [{"after": "PT1H", "state": {}}], "end_after": "soon"}, "end_after"),
        ({"phases": [{"after": "PT1H", "state": {}}], "end_after": "-PT1H"}, "end_after"),
        ({"end_after": "PT1H"}, "end_after"),
    ],
)
async def test_bad_input_names_the_field_and_schedules_nothing(
    whole: Whole, change: dict[str, Any], field: str
) -> None:
    answer = await ask(whole, "POST", "activities/match/schedule", PUT | change)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field
    assert await changes(whole) == []


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"state": {"x": "y" * 5_000}}, 413, "too_large"),
        ({"attributes": {"x": "y" * 4_000}, "state": {"x": "y" * 200}}, 413, "too_large"),
        ({"audience": {"segment": "nobody"}}, 422, "segment_not_found"),
    ],
)
async def test_what_could_never_be_sent_is_refused_now(
    whole: Whole, change: dict[str, Any], status: int, code: str
) -> None:
    answer = await ask(whole, "POST", "activities/match/schedule", PUT | change)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await changes(whole) == []


@pytest.mark.parametrize(
    "query", ["state=over", "limit=0", "limit=9999", "after=x", "unknown=1", "state=done&state=done"]
)
async def test_a_list_is_asked_for_properly(whole: Whole, query: str) -> None:
    for path in ("schedule", "activities/match/schedule"):
        assert (await ask(whole, "GET", f"{path}?{query}")).status_code == 422


async def test_an_sdk_key_may_not_schedule(whole: Whole) -> None:
    answer = await whole.client.post(
        "/v1/activities/match/schedule", json=PUT, headers={"X-netmera-api-key": "sdk-key-of-the-tests"}
    )
    assert answer.status_code == 403


async def test_cancelling_is_told(whole: Whole) -> None:
    made = await schedule(whole, PUT)
    await ask(whole, "DELETE", f"schedule/{made['id']}")
    assert await told(whole) == [
        ("schedule.cancelled", {"schedule": made["id"], "action": "put", "at": "2099-03-01T09:00:00.000Z"})
    ]


async def test_what_was_to_be_said_to_an_erased_user_alone_is_gone_and_others_keep_theirs(tmp_path: Path) -> None:
    async with whole_service(tmp_path) as whole:
        for number, user in enumerate(("alice-0815", "bob-4711")):
            event = {"name": "n:lst", "token": f"{number:064x}"}
            await whole.report(f"phone-of-{user}", event, extId=user)
        hers = PUT | {"state": {"said": "only-to-0815"}, "audience": {"users": ["alice-0815"]}}
        both = PUT | {"state": {"said": "to-both"}, "audience": {"users": ["alice-0815", "bob-4711"]}}
        await schedule(whole, hers, "hers")
        kept = await schedule(whole, both, "theirs")
        running = {name: value for name, value in hers.items() if name != "at"}
        script = {"phases": [{"after": "PT1H", "state": {"later": "0815"}}]}
        assert (await ask(whole, "PUT", "activities/order", running | script)).is_success
        await schedule(whole, {"at": PUT["at"], "state": {"update": "0815"}}, "order")
        await whole.rest("deleteUsersPermanently", {"extIds": ["alice-0815"]})
        assert [one["id"] for one in await changes(whole)] == [kept["id"]]
        said = (await ask(whole, "GET", f"schedule/{kept['id']}")).json()["change"]
        assert said["audience"] == {"users": ["bob-4711"]}
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"0815" not in left
    assert b"to-both" not in left, "it is kept in base64"
    for said, is_left in (("only-to-0815", False), ("to-both", True)):
        assert (b64encode(b'{"said":"%s"}' % said.encode()) in left) is is_left


async def told(whole: Whole) -> list[tuple[str, dict[str, Any]]]:
    """The events of the schedule and of scripts."""
    from skerry.domain.event import EventFilter, EventId, EventKind

    kinds = tuple(kind for kind in EventKind if kind.startswith(("schedule.", "script.")))
    page = await whole.service.feed.page(whole.app.app_id, EventFilter(kinds), EventId(0), 100)
    return [(event.kind.value, dict(event.body)) for event in page.events]
