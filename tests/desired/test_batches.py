"""`POST /v1/activities:batch`: each line is carried out or refused by itself, in order, and answered from disk."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from whole_service import REST, Whole, whole_service

from skerry.activities.batch import Batches
from skerry.api.v1 import batch
from skerry.domain.errors import OverloadedError

URL = "/v1/activities:batch"


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole_service(tmp_path) as found:
        yield found


async def follow(whole: Whole, *names: str) -> None:
    """A phone of its own follows each of these activities."""
    for name in names:
        event = {"name": "LiveActivityUpdateToken", "token": name.encode().hex().ljust(64, "0"), "groupId": name}
        assert (await whole.report(f"phone of {name}", event)).status_code == 200


async def post(whole: Whole, *lines: Any, **headers: str) -> httpx2.Response:
    """A batch of these lines; what is no text becomes JSON."""
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return await whole.client.post(URL, content=body, headers={"X-netmera-api-key": REST, **headers})


async def told(whole: Whole, *lines: Any, **headers: str) -> list[dict[str, Any]]:
    answer = await post(whole, *lines, **headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def get(whole: Whole, name: str) -> dict[str, Any]:
    answer = await whole.client.get(f"/v1/activities/{name}", headers={"X-netmera-api-key": REST})
    found: dict[str, Any] = answer.json()
    return found


def state(name: str, n: int, **more: Any) -> dict[str, Any]:
    return {"id": name, "state": {"n": n}, **more}


def results(answers: list[dict[str, Any]]) -> list[str]:
    return [one["result"] for one in answers]


async def test_each_line_changes_its_activity_and_is_answered_in_order(whole: Whole) -> None:
    await follow(whole, "a", "b", "c")
    assert await told(whole, state("b", 1), state("a", 1), state("c", 1)) == [
        {"line": 1, "id": "b", "result": "changed", "revision": 1},
        {"line": 2, "id": "a", "result": "changed", "revision": 1},
        {"line": 3, "id": "c", "result": "changed", "revision": 1},
    ]
    assert (await get(whole, "a"))["state"] == {"n": 1}


async def test_a_repeated_line_is_a_noop(whole: Whole) -> None:
    await follow(whole, "a", "b")
    await told(whole, state("a", 1), state("b", 1))
    again = await told(whole, state("a", 1), state("b", 2))
    assert results(again) == ["noop", "changed"]
    assert [one["revision"] for one in again] == [1, 2]


async def test_lines_of_one_activity_are_carried_out_in_their_order(whole: Whole) -> None:
    await follow(whole, "a", "b")
    answers = await told(
        whole, state("a", 1), state("b", 1), state("a", 2), state("a", 2), state("a", 1), state("a", 9)
    )
    assert [(one["id"], one["result"], one["revision"]) for one in answers] == [
        ("a", "changed", 1),
        ("b", "changed", 1),
        ("a", "changed", 2),
        ("a", "noop", 2),
        ("a", "changed", 3),
        ("a", "changed", 4),
    ]
    assert (await get(whole, "a"))["state"] == {"n": 9}


async def test_a_lower_version_comes_too_late(whole: Whole) -> None:
    await follow(whole, "a")
    assert results(await told(whole, state("a", 1, version=5))) == ["changed"]
    same, late, equal, higher = await told(
        whole, state("a", 1, version=5), state("a", 2, version=4), state("a", 2, version=5), state("a", 2, version=6)
    )
    assert (same["result"], higher["result"]) == ("noop", "changed")
    for refused in (late, equal):
        assert refused["result"] == "refused"
        assert (refused["error"]["status"], refused["error"]["title"]) == (409, "Outdated")
    assert results(await told(whole, state("a", 2, version=7), state("a", 3, version=6))) == ["noop", "refused"]


async def test_updates_and_ends_may_be_mixed(whole: Whole) -> None:
    await follow(whole, "a", "b", "c")
    end = {"id": "a", "action": "end", "state": {"n": 2}, "dismiss_at": "2030-01-01T00:00:00Z"}
    answers = await told(
        whole, state("a", 1), end, state("a", 3), state("b", 1), end, {"id": "c", "action": "end"}, {**end, "id": "?"}
    )
    assert results(answers) == ["changed", "changed", "refused", "changed", "noop", "changed", "unknown"]
    assert (answers[2]["error"]["status"], answers[2]["error"]["title"]) == (409, "Ended")
    assert (await get(whole, "a"))["phase"] == "ended"
    assert (await get(whole, "a"))["state"] == {"n": 2}
    assert (await get(whole, "b"))["phase"] == "running"


async def test_a_line_makes_no_activity(whole: Whole) -> None:
    await follow(whole, "a")
    unknown, changed = await told(whole, state("nobody", 1), state("a", 1))
    assert changed["result"] == "changed"
    assert unknown["result"] == "unknown"
    assert unknown["revision"] is None
    assert unknown["error"]["status"] == 404
    assert "PUT it first" in unknown["error"]["detail"]
    assert (await get(whole, "nobody"))["status"] == 404


WRONG = {
    "no JSON": ("{", 400, None),
    "a list": ("[]", 422, "body"),
    "no id": ('{"state":{}}', 422, "id"),
    "an empty id": ('{"id":"","state":{}}', 422, "id"),
    "a long id": (json.dumps({"id": "x" * 600, "state": {}}), 422, "id"),
    "an id with U+0000": ('{"id":"\\u0000","state":{}}', 422, "id"),
    "a number for an id": ('{"id":7,"state":{}}', 422, "id"),
    "no state": ('{"id":"a"}', 422, "state"),
    "a text for a state": ('{"id":"a","state":"x"}', 422, "state"),
    "a deep state": ('{"id":"a","state":' + '{"a":' * 70 + "1" + "}" * 70 + "}", 422, "state"),
    "half a character": ('{"id":"a","state":{"x":"\\ud800"}}', 400, None),
    "an unknown action": ('{"id":"a","action":"pause","state":{}}', 422, "action"),
    "an unknown member": ('{"id":"a","state":{},"stat":1}', 422, "stat"),
    "an alert without a title": ('{"id":"a","state":{},"alert":{"body":1}}', 422, "alert.body"),
    "another priority": ('{"id":"a","state":{},"priority":7}', 422, "priority"),
    "no boolean": ('{"id":"a","state":{},"important":"yes"}', 422, "important"),
    "no number": ('{"id":"a","state":{},"relevance":"high"}', 422, "relevance"),
    "no date": ('{"id":"a","state":{},"stale_at":"soon"}', 422, "stale_at"),
    "an end's date": ('{"id":"a","state":{},"dismiss_at":1900000000}', 422, "dismiss_at"),
    "no version": ('{"id":"a","state":{},"version":"1"}', 422, "version"),
    "a negative version": ('{"id":"a","state":{},"version":-1}', 422, "version"),
    "too much for a push": (json.dumps({"id": "a", "state": {"x": "y" * 4_100}}), 413, None),
    "too long a line": (json.dumps({"id": "a", "state": {"x": "y" * 70_000}}), 413, None),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_line_is_refused_alone(whole: Whole, name: str) -> None:
    line, status, field = WRONG[name]
    await follow(whole, "a", "b", "c")
    first, wrong, last = await told(whole, state("b", 1), "", line, " \t ", state("c", 1))
    assert [first["result"], last["result"]] == ["changed", "changed"]
    assert [first["line"], wrong["line"], last["line"]] == [1, 3, 5]
    assert wrong["result"] == "refused"
    assert wrong["error"]["status"] == status
    assert wrong["error"]["detail"]
    if field is not None:
        (error,) = wrong["error"]["errors"]
        assert error["field"] == field
        assert error["problem"]
        assert error["fix"]
    assert (await get(whole, "a"))["revision"] == 0


async def test_a_batch_of_wrong_lines_only_is_answered_too(whole: Whole) -> None:
    assert results(await told(whole, "{", "[", '"x"')) == ["refused"] * 3


@pytest.mark.parametrize("body", ["", "\n", " \n\n \r\n"])
async def test_a_batch_without_a_line_is_refused(whole: Whole, body: str) -> None:
    answer = await post(whole, body)
    assert (answer.status_code, answer.json()["title"]) == (400, "Nothing to do")


async def test_batches_have_limits(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    await follow(whole, "a")
    answer = await post(whole, *[""] * 100_002)
    assert (answer.status_code, answer.json()["title"]) == (413, "Body too large")
    assert "100000" in answer.json()["detail"]
    monkeypatch.setattr(batch, "MOST_BYTES", 100)
    answer = await post(whole, state("a", 1), state("a", 2, alert={"title": "t" * 100, "body": "b"}))
    assert (answer.status_code, answer.json()["title"]) == (413, "Body too large")
    assert (await get(whole, "a"))["revision"] == 0


async def test_a_key_that_may_not_is_refused(whole: Whole) -> None:
    answer = await whole.client.post(URL, content="{}", headers={"X-netmera-api-key": "wrong"})
    assert answer.status_code == 403


async def test_many_lines_are_answered_in_order(whole: Whole) -> None:
    await follow(whole, "a", "b")
    lines = [state("ab"[n % 2], n) if n % 50 else "{" for n in range(1, 1_001)]
    answers = await told(whole, *lines)
    assert [one["line"] for one in answers] == list(range(1, 1_001))
    assert results(answers) == ["changed" if n % 50 else "refused" for n in range(1, 1_001)]
    assert (await get(whole, "a"))["state"] == {"n": 998}


async def test_a_repeat_with_the_same_key_gets_the_first_answer(whole: Whole) -> None:
    await follow(whole, "a", "b")
    lines = [state("a", 1), "{", state("b", 1), *(state("ab"[n % 2], n) for n in range(600))]
    first = await post(whole, *lines, **{"Idempotency-Key": "k"})
    newest = (await get(whole, "a"))["revision"]
    await told(whole, state("a", 7_000))
    again = await post(whole, *lines, **{"Idempotency-Key": "k"})
    assert again.text == first.text
    assert (await get(whole, "a"))["state"] == {"n": 7_000}
    assert (await get(whole, "a"))["revision"] == newest + 1


async def test_a_key_is_for_one_request(whole: Whole) -> None:
    await follow(whole, "a")
    await told(whole, state("a", 1), **{"Idempotency-Key": "k"})
    answer = await post(whole, state("a", 2), **{"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["title"]) == (409, "Idempotency key used again")
    assert (await get(whole, "a"))["state"] == {"n": 1}
    answer = await post(whole, state("a", 2), **{"Idempotency-Key": "k" * 301})
    assert answer.status_code == 422


def failing_at(monkeypatch: pytest.MonkeyPatch, *places: int) -> None:
    """Parts of a batch, counted from 0, for which the store has no room."""
    real, calls = Batches.carry_out, iter(range(1_000))

    async def carry_out(self: Batches, *arguments: Any) -> str:
        if next(calls) in places:
            raise OverloadedError("the store's write queue", 2.0)
        return await real(self, *arguments)

    monkeypatch.setattr(Batches, "carry_out", carry_out)


async def test_where_the_store_has_no_room_nothing_is_begun(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    await follow(whole, "a")
    failing_at(monkeypatch, 0)
    answer = await post(whole, state("a", 1))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert results(await told(whole, state("a", 1))) == ["changed"]


async def test_lines_that_find_no_room_in_the_midst_say_so_and_may_be_repeated(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"order-{n}" for n in range(600)]
    await follow(whole, *names)
    lines = [state(name, 1) for name in names]
    failing_at(monkeypatch, 1)
    first = await told(whole, *lines, **{"Idempotency-Key": "k"})
    assert results(first) == ["changed"] * 256 + ["refused"] * 256 + ["changed"] * 88
    assert {one["error"]["status"] for one in first[256:512]} == {429}
    again = await told(whole, *lines, **{"Idempotency-Key": "k"})
    assert again[:256] + again[512:] == first[:256] + first[512:]
    assert results(again[256:512]) == ["changed"] * 256


async def test_an_error_in_the_midst_is_told_of_each_line_and_logged_once(
    whole: Whole, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await follow(whole, "a")
    real, calls = Batches.carry_out, iter(range(1_000))

    async def carry_out(self: Batches, *arguments: Any) -> str:
        if next(calls) == 1:
            raise RuntimeError("a bug")
        return await real(self, *arguments)

    monkeypatch.setattr(Batches, "carry_out", carry_out)
    answers = await told(whole, *(state("a", n) for n in range(300)))
    assert results(answers) == ["changed"] * 256 + ["refused"] * 44
    assert {one["error"]["code"] for one in answers[256:]} == {"internal_error"}
    assert capsys.readouterr().out.count("RuntimeError: a bug") == 1


async def test_batches_that_are_too_large_together_have_to_wait(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    await follow(whole, "a")
    monkeypatch.setattr(batch, "MOST_HELD", 200)
    small, large = state("a", 1), state("a", 1, alert={"title": "t" * 200, "body": "b"})
    answer = await post(whole, large)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    for _ in range(10):
        assert (await post(whole, small)).status_code == 200, "what was held is let go"


async def disconnected(whole: Whole, body: bytes, after: int, headers: dict[str, str]) -> bytes:
    """What a caller has got who goes away after so many pieces of the answer."""
    gone = asyncio.Event()
    asked = False
    got: list[bytes] = []

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        got.append(message.get("body", b""))
        if len(list(filter(None, got))) >= after:
            gone.set()
            await asyncio.sleep(0.2)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": URL,
        "raw_path": URL.encode(), "query_string": b"", "root_path": "", "scheme": "http", "client": ("127.0.0.1", 1),
        "server": ("skerry.test", 80),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    await whole.service.api(scope, receive, send)
    return b"".join(got)


async def test_where_the_caller_goes_away_what_has_not_begun_is_not_done_and_a_repeat_does_it(whole: Whole) -> None:
    names = [f"order-{n}" for n in range(1_024)]
    await follow(whole, *names)
    body = "\n".join(json.dumps(state(name, 1)) for name in names).encode()
    headers = {"X-netmera-api-key": REST, "Idempotency-Key": "k"}
    got = await disconnected(whole, body, 1, headers)
    assert len(got.splitlines()) == 256
    assert (await get(whole, "order-255"))["revision"] == 1
    assert (await get(whole, "order-1023"))["revision"] == 0
    answer = await whole.client.post(URL, content=body, headers=headers)
    assert results([json.loads(line) for line in answer.text.splitlines()]) == ["changed"] * 1_024
    assert answer.text.encode().startswith(got)


async def test_audience_and_policies_stay_as_they_are(whole: Whole) -> None:
    match = {
        "type": "MatchAttributes", "attributes": {"home": "Arsenal"}, "state": {"n": 0},
        "audience": {"users": ["ada"]}, "stale_after": "PT5M", "ends_at": "2035-01-01T00:00:00Z",
    }  # fmt: skip
    headers = {"X-netmera-api-key": REST}
    assert (await whole.client.put("/v1/activities/match", json=match, headers=headers)).status_code == 201
    await follow(whole, "match", "plain")
    before = await get(whole, "match")
    answers = await told(whole, state("match", 1), state("plain", 1), state("match", 1), state("match", 2, version=3))
    assert results(answers) == ["changed", "changed", "noop", "changed"]
    after = await get(whole, "match")
    assert after["state"] == {"n": 2}
    changing = {"state", "revision", "version", "cards", "updated_at", "priority", "high_priority_left"}
    for name in before.keys() - changing:
        assert after[name] == before[name], name


async def test_what_fails_after_it_has_written_leaves_no_trace(whole: Whole) -> None:
    """The update is written before it turns out that the start of somebody who lacks the card is too large with it."""
    await follow(whole, "a", "b")
    headers = {"X-netmera-api-key": REST}
    put = {
        "state": {"n": 0}, "type": "T", "attributes": {"x": "y" * 3_000}, "audience": {"users": ["ada"]},
        "late_joiners": False,
    }  # fmt: skip
    assert (await whole.client.put("/v1/activities/large", json=put, headers=headers)).status_code == 201
    token = {"name": "LiveActivityStartToken", "token": "ab" * 32}
    assert (await whole.report("phone of ada", token, extId="ada")).status_code == 200
    refused, changed = await told(whole, {"id": "large", "state": {"x": "y" * 2_000}}, state("b", 1))
    assert refused["result"] == "refused"
    assert refused["error"]["status"] == 413
    assert changed["result"] == "changed"
    assert (await get(whole, "large"))["state"] == {"n": 0}


async def test_every_change_is_told(whole: Whole, tmp_path: Path) -> None:
    await follow(whole, "a", "b")
    await told(whole, state("a", 1), state("b", 1, alert={"title": "t", "body": "b"}), state("a", 1))
    database = sqlite3.connect(tmp_path / "skerry.db")
    events = database.execute("SELECT body FROM events WHERE kind = 'activity.updated' ORDER BY event_id").fetchall()
    database.close()
    assert [(one["revision"], one["alert"]) for one in (json.loads(body) for (body,) in events)] == [
        (1, False),
        (1, True),
    ]
