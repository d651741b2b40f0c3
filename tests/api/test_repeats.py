"""`Idempotency-Key` on every write of `/v1`: a repeat gets the first answer and changes nothing."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from whole_service import REST, Whole, whole_service

KEY = {"X-netmera-api-key": REST}
MATCH: dict[str, Any] = {
    "type": "MatchAttributes",
    "attributes": {"home": "Arsenal"},
    "state": {"score": 0},
    "audience": {"users": ["ada"]},
}
HOOK = {"url": "https://example.com/skerry"}
VIP = {"audience": {"tags": ["vip"]}}


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole_service(tmp_path) as one:
        yield one


async def call(whole: Whole, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
    content = None if body is None else json.dumps(body).encode()
    return await whole.client.request(method, f"/v1/{path}", content=content, headers={**KEY, **headers})


async def keyed(whole: Whole, method: str, path: str, body: Any = None, key: str = "k") -> httpx2.Response:
    return await call(whole, method, path, body, **{"Idempotency-Key": key})


async def test_a_put_that_is_repeated_after_a_change_has_the_first_outcome_and_changes_nothing(whole: Whole) -> None:
    first = await keyed(whole, "PUT", "activities/match", MATCH)
    await call(whole, "PUT", "activities/match", {**MATCH, "state": {"score": 1}})
    again = await keyed(whole, "PUT", "activities/match", MATCH)
    assert (again.status_code, again.headers["etag"]) == (201, first.headers["etag"])
    assert again.json() == first.json()
    assert (await call(whole, "GET", "activities/match")).json()["state"] == {"score": 1}


async def test_counts_of_a_repeat_are_as_they_are_by_then(whole: Whole) -> None:
    token = {"name": "LiveActivityStartToken", "token": "ab" * 32}
    await whole.report("phone", token, extId="ada")
    first = (await keyed(whole, "PUT", "activities/match", MATCH)).json()
    assert first["counts"]["waiting"] == 1
    await call(whole, "DELETE", "activities/match")
    again = (await keyed(whole, "PUT", "activities/match", MATCH)).json()
    assert (again["result"], again["phase"], again["revision"]) == ("created", "running", first["revision"])


async def test_a_delete_that_is_repeated_does_not_end_what_was_started_since(whole: Whole) -> None:
    await call(whole, "PUT", "activities/match", MATCH)
    first = await keyed(whole, "DELETE", "activities/match")
    assert first.json()["result"] == "changed"
    await call(whole, "PUT", "activities/match", MATCH)
    again = await keyed(whole, "DELETE", "activities/match")
    assert again.json() == first.json()
    assert again.headers["etag"] == first.headers["etag"]
    assert (await call(whole, "GET", "activities/match")).json()["phase"] == "running"


async def test_a_repeat_is_known_before_if_match_and_version_are_asked(whole: Whole) -> None:
    tag = (await call(whole, "PUT", "activities/match", MATCH)).headers["etag"]
    headers = {"If-Match": tag, "Idempotency-Key": "k"}
    changed = {**MATCH, "state": {"score": 1}, "version": 1}
    first = await call(whole, "PUT", "activities/match", changed, **headers)
    await call(whole, "PUT", "activities/match", {**MATCH, "state": {"score": 2}, "version": 2})
    again = await call(whole, "PUT", "activities/match", changed, **headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json()["revision"] == first.json()["revision"]


async def test_if_match_keeps_a_delete_from_ending_what_it_has_not_seen(whole: Whole) -> None:
    tag = (await call(whole, "PUT", "activities/match", MATCH)).headers["etag"]
    newer = await call(whole, "PUT", "activities/match", {**MATCH, "state": {"score": 1}})
    refused = await call(whole, "DELETE", "activities/match", **{"If-Match": tag})
    assert (refused.status_code, refused.json()["title"]) == (412, "Changed meanwhile")
    assert (await call(whole, "GET", "activities/match")).json()["phase"] == "running"
    wrong = await call(whole, "DELETE", "activities/match", **{"If-Match": "soon"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "If-Match")
    assert (await call(whole, "DELETE", "activities/match", **{"If-Match": newer.headers["etag"]})).is_success


async def test_what_was_refused_is_not_remembered(whole: Whole) -> None:
    assert (await keyed(whole, "DELETE", "activities/match")).status_code == 404
    await call(whole, "PUT", "activities/match", MATCH)
    assert (await keyed(whole, "DELETE", "activities/match")).json()["result"] == "changed"


async def test_segments(whole: Whole) -> None:
    first = await keyed(whole, "PUT", "segments/vip", VIP)
    await call(whole, "PUT", "segments/vip", {"audience": {"tags": ["gold"]}})
    assert (await keyed(whole, "PUT", "segments/vip", VIP)).json() == first.json()
    assert (await call(whole, "GET", "segments/vip")).json()["audience"] == {"tags": ["gold"]}
    gone = await keyed(whole, "DELETE", "segments/vip", key="gone")
    await call(whole, "PUT", "segments/vip", VIP)
    assert (await keyed(whole, "DELETE", "segments/vip", key="gone")).json() == gone.json()
    assert (await call(whole, "GET", "segments/vip")).is_success


async def test_webhooks(whole: Whole) -> None:
    first = await keyed(whole, "PUT", "webhooks/hook", HOOK)
    assert first.status_code == 201
    await call(whole, "PUT", "webhooks/hook", {**HOOK, "enabled": False})
    again = await keyed(whole, "PUT", "webhooks/hook", HOOK)
    assert (again.status_code, again.json()) == (201, first.json())
    assert not (await call(whole, "GET", "webhooks/hook")).json()["enabled"]
    rotated = (await keyed(whole, "POST", "webhooks/hook:rotate-secret", key="rotate")).json()
    assert rotated["secret"] != first.json()["secret"]
    assert (await keyed(whole, "POST", "webhooks/hook:rotate-secret", key="rotate")).json() == rotated
    replayed = await keyed(whole, "POST", "webhooks/hook/dead-letters:replay", key="replay")
    assert (await keyed(whole, "POST", "webhooks/hook/dead-letters:replay", key="replay")).json() == replayed.json()
    assert (await keyed(whole, "DELETE", "webhooks/hook", key="gone")).is_success
    await call(whole, "PUT", "webhooks/hook", HOOK)
    assert (await keyed(whole, "DELETE", "webhooks/hook", key="gone")).is_success
    assert (await call(whole, "GET", "webhooks/hook")).is_success


async def test_one_event_is_told_once_more_and_not_twice(whole: Whole) -> None:
    await call(whole, "PUT", "webhooks/hook", {**HOOK, "enabled": False})
    await call(whole, "PUT", "activities/match", MATCH)
    path = "webhooks/hook/events/1:resend"
    assert (await keyed(whole, "POST", "webhooks/hook/events/999:resend", key="no")).status_code == 404
    assert (await keyed(whole, "POST", path)).is_success
    assert (await call(whole, "GET", "webhooks/hook")).json()["pending"] == 1
    assert (await keyed(whole, "POST", path)).is_success
    assert (await call(whole, "GET", "webhooks/hook")).json()["pending"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "activities/match", {**MATCH, "state": {"score": 1}}),
        ("PUT", "activities/other", MATCH),
        ("DELETE", "activities/match", None),
        ("PUT", "segments/vip", VIP),
        ("DELETE", "segments/vip", None),
        ("PUT", "webhooks/hook", HOOK),
        ("DELETE", "webhooks/hook", None),
        ("POST", "webhooks/hook:rotate-secret", None),
        ("POST", "webhooks/hook/dead-letters:replay", None),
        ("POST", "webhooks/hook/events/1:resend", None),
    ],
)
async def test_a_key_belongs_to_one_request(whole: Whole, method: str, path: str, body: Any) -> None:
    for known in (("PUT", "segments/vip", VIP), ("PUT", "webhooks/hook", HOOK)):
        await call(whole, *known)
    await keyed(whole, "PUT", "activities/match", MATCH)
    before = (await call(whole, "GET", "activities/match")).json()
    refused = await keyed(whole, method, path, body)
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_key_used")
    assert (await call(whole, "GET", "activities/match")).json() == before
    long = await call(whole, method, path, body, **{"Idempotency-Key": "x" * 301})
    assert (long.status_code, long.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_every_write_says_that_it_takes_a_key(whole: Whole) -> None:
    paths = (await whole.client.get("/openapi.json")).json()["paths"]
    writes = {
        operation["operationId"]: {one["name"] for one in operation.get("parameters", ())}
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith("/v1/") and method in ("put", "post", "delete", "patch")
    }
    without = {name for name, parameters in writes.items() if "Idempotency-Key" not in parameters}
    assert without == {"reportEvents", "previewAudience"}  # free to repeat; changes nothing
