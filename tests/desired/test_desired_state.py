"""`PUT /v1/activities/{id}`: what is said is done, once, and nothing is done where nothing has changed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from whole_service import REST, Whole, whole_service

MATCH: dict[str, Any] = {
    "type": "MatchAttributes",
    "attributes": {"home": "Arsenal"},
    "state": {"score": 0},
    "audience": {"users": ["ada", "bob"]},
}


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole_service(tmp_path) as found:
        yield found


async def put(whole: Whole, body: dict[str, Any], name: str = "match", **headers: str) -> httpx2.Response:
    return await whole.client.put(f"/v1/activities/{name}", json=body, headers={"X-netmera-api-key": REST, **headers})


async def said(whole: Whole, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = await put(whole, body, **headers)
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def get(whole: Whole, path: str = "match") -> Any:
    answer = await whole.client.get(f"/v1/activities/{path}", headers={"X-netmera-api-key": REST})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def startable(whole: Whole, user: str, number: int = 0) -> None:
    token = {"name": "LiveActivityStartToken", "token": f"{user.encode().hex()}{number:02x}".ljust(64, "0")}
    assert (await whole.report(f"{user}-{number}", token, extId=user)).status_code == 200


async def swipe(whole: Whole, installation: str) -> None:
    joined = {
        "name": "LiveActivityUpdateToken",
        "token": installation.encode().hex().ljust(64, "1"),
        "groupId": "match",
    }
    await whole.report(installation, joined)
    await whole.report(installation, {"name": "LiveActivityClose", "groupId": "match"})


async def test_the_first_word_starts_the_activity_on_everybody_it_is_for(whole: Whole) -> None:
    await startable(whole, "ada")
    await startable(whole, "bob")
    answer = await put(whole, MATCH)
    assert answer.status_code == 201
    assert answer.json()["result"] == "created"
    assert answer.json()["counts"]["waiting"] == 2
    assert (await get(whole))["cards"]["starting"] == 2


async def test_the_same_word_again_does_nothing(whole: Whole) -> None:
    await startable(whole, "ada")
    first = await said(whole, MATCH)
    again = await said(whole, MATCH)
    assert again["result"] == "noop"
    assert again["revision"] == first["revision"]
    assert again["counts"]["noop"] == 1


async def test_a_new_state_updates_those_who_run_and_starts_nobody_twice(whole: Whole) -> None:
    await startable(whole, "ada")
    await said(whole, MATCH)
    changed = await said(whole, {**MATCH, "state": {"score": 1}})
    assert changed["result"] == "changed"
    assert (await get(whole))["cards"]["starting"] == 1
    kinds = [(await get(whole, f"match/revisions/{number}"))["kind"] for number in (1, 2, 3)]
    assert kinds == ["update", "start", "update"]


async def test_a_device_that_comes_later_is_started_with_the_newest_state(whole: Whole) -> None:
    await said(whole, MATCH)
    await said(whole, {**MATCH, "state": {"score": 1}})
    assert (await get(whole))["cards"]["starting"] == 0
    await startable(whole, "ada")
    assert (await get(whole))["cards"]["starting"] == 1


async def test_a_device_that_does_not_match_is_not_started(whole: Whole) -> None:
    await said(whole, MATCH)
    await startable(whole, "eve")
    assert (await get(whole))["cards"]["starting"] == 0


async def test_a_device_whose_user_signs_in_later_joins(whole: Whole) -> None:
    await said(whole, MATCH)
    token = {"name": "LiveActivityStartToken", "token": "ab" * 32}
    await whole.report("phone", token)
    assert (await get(whole))["cards"]["starting"] == 0
    await whole.report("phone", token, extId="ada")
    assert (await get(whole))["cards"]["starting"] == 1


async def test_who_is_tagged_later_joins(whole: Whole) -> None:
    await startable(whole, "ada")
    await said(whole, {**MATCH, "audience": {"tags": ["arsenal"]}})
    assert (await get(whole))["cards"]["starting"] == 0
    await whole.rest("tagUsers", {"tag": "arsenal", "extIds": ["ada"]})
    assert (await get(whole))["cards"]["starting"] == 1


async def test_late_joiners_can_be_left_out(whole: Whole) -> None:
    await said(whole, {**MATCH, "late_joiners": False})
    await startable(whole, "ada")
    assert (await get(whole))["cards"]["starting"] == 0


async def test_a_larger_audience_starts_whom_it_adds(whole: Whole) -> None:
    for user in ("ada", "bob", "eve"):
        await startable(whole, user)
    await said(whole, MATCH)
    await said(whole, {**MATCH, "audience": {"users": ["ada", "bob", "eve"]}})
    assert (await get(whole))["cards"]["starting"] == 3


class TestSwipes:
    @pytest.mark.parametrize(
        ("policy", "quiet", "alerting"),
        [("final", 0, 0), ("until_next_alert", 0, 1), ("ignore", 1, 1), ({"after": "PT2H"}, 0, 0)],
    )
    @pytest.mark.parametrize("audience", [{"users": ["ada"]}, {"all": True}])
    async def test_a_swipe_is_answered_as_the_policy_says(
        self, whole: Whole, policy: Any, quiet: int, alerting: int, audience: Any
    ) -> None:
        await startable(whole, "ada")
        wish = {**MATCH, "audience": audience, "dismissal": policy}
        await said(whole, wish)
        await swipe(whole, "ada-0")
        assert (await get(whole))["cards"]["dismissed"] == 1
        await said(whole, {**wish, "state": {"score": 1}})
        assert (await get(whole))["cards"]["starting"] == quiet
        await said(whole, {**wish, "state": {"score": 2}, "alert": {"title": "Goal", "body": "2 – 0"}})
        assert (await get(whole))["cards"]["starting"] == alerting

    async def test_a_swiped_device_does_not_come_back_by_reporting_its_start_token(self, whole: Whole) -> None:
        await startable(whole, "ada")
        await said(whole, MATCH)
        await swipe(whole, "ada-0")
        await whole.report("ada-0", {"name": "LiveActivityStartToken", "token": "cd" * 32})
        assert (await get(whole))["cards"]["starting"] == 0


class TestOrder:
    async def test_a_late_version_is_refused_and_changes_nothing(self, whole: Whole) -> None:
        await said(whole, {**MATCH, "version": 2})
        answer = await put(whole, {**MATCH, "version": 1, "state": {"score": 9}})
        assert answer.status_code == 409
        assert (await get(whole))["state"] == {"score": 0}

    async def test_the_same_version_is_a_repeat_or_a_conflict(self, whole: Whole) -> None:
        await said(whole, {**MATCH, "version": 2})
        assert (await said(whole, {**MATCH, "version": 2}))["result"] == "noop"
        assert (await put(whole, {**MATCH, "version": 2, "state": {"score": 9}})).status_code == 409

    async def test_if_match_refuses_what_was_not_seen(self, whole: Whole) -> None:
        first = await put(whole, MATCH)
        tag = first.headers["etag"]
        await said(whole, {**MATCH, "state": {"score": 1}}, **{"If-Match": tag})
        refused = await put(whole, {**MATCH, "state": {"score": 2}}, **{"If-Match": tag})
        assert refused.status_code == 412
        assert (await get(whole))["state"] == {"score": 1}

    async def test_an_idempotency_key_makes_a_retry_free_whatever_came_between(self, whole: Whole) -> None:
        key = {"Idempotency-Key": "k-1"}
        await said(whole, MATCH, **key)
        await said(whole, {**MATCH, "state": {"score": 1}})
        assert (await said(whole, MATCH, **key))["result"] == "created"
        assert (await get(whole))["state"] == {"score": 1}
        assert (await put(whole, {**MATCH, "state": {"score": 5}}, **key)).status_code == 409


class TestEnds:
    async def test_delete_ends_and_a_second_one_does_nothing(self, whole: Whole) -> None:
        await said(whole, MATCH)
        headers = {"X-netmera-api-key": REST}
        first = await whole.client.delete("/v1/activities/match", headers=headers)
        again = await whole.client.delete("/v1/activities/match", headers=headers)
        assert (first.json()["result"], again.json()["result"]) == ("changed", "noop")
        assert (await get(whole))["phase"] == "ended"

    async def test_an_unknown_activity_is_told_so(self, whole: Whole) -> None:
        answer = await whole.client.delete("/v1/activities/nothing", headers={"X-netmera-api-key": REST})
        assert answer.status_code == 404

    async def test_after_its_end_a_new_word_starts_it_again(self, whole: Whole) -> None:
        await startable(whole, "ada")
        await said(whole, MATCH)
        await swipe(whole, "ada-0")
        await whole.client.delete("/v1/activities/match", headers={"X-netmera-api-key": REST})
        again = await said(whole, MATCH)
        assert again["phase"] == "running"
        assert (await get(whole))["cards"]["starting"] == 1

    async def test_nobody_joins_what_has_ended(self, whole: Whole) -> None:
        await said(whole, MATCH)
        await whole.client.delete("/v1/activities/match", headers={"X-netmera-api-key": REST})
        await startable(whole, "ada")
        assert (await get(whole))["cards"]["starting"] == 0


class TestBudget:
    async def test_auto_spends_the_budget_and_keeps_a_reserve_for_what_matters(self, tmp_path: Path) -> None:
        async with whole_service(tmp_path, activities={"high_priority_per_hour": 8}) as whole:
            await startable(whole, "ada")
            await said(whole, MATCH)
            chosen = [(await said(whole, {**MATCH, "state": {"score": n}}))["priority"] for n in range(1, 12)]
            assert chosen[:6] == [10] * 6
            assert set(chosen[7:]) == {5}
            alert = {"title": "Goal", "body": "!"}
            assert (await said(whole, {**MATCH, "state": {"score": 20}, "alert": alert}))["priority"] == 10
            assert (await said(whole, {**MATCH, "state": {"score": 21}, "important": True}))["priority"] == 10
            assert (await get(whole))["high_priority_left"] == 0
            (card,) = (await get(whole, "match/cards"))["cards"]
            assert card["high_priority_left"] == 0
            await swipe(whole, "ada-0")
            assert (await get(whole, "match/cards"))["cards"][0]["high_priority_left"] is None

    async def test_a_fixed_priority_is_kept(self, whole: Whole) -> None:
        assert (await said(whole, {**MATCH, "priority": 5}))["priority"] == 5


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"state": 3}, "state"),
        ({"stat": {}}, "stat"),
        ({"priority": 7}, "priority"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
        ({"ends_at": "soon"}, "ends_at"),
        ({"version": -1}, "version"),
        ({"version": "1"}, "version"),
        ({"alert": {"title": 5}}, "alert.title"),
        ({"alert": {}}, "alert"),
        ({"state": {"text": "Hello @{name"}}, "state"),
        ({"attributes": {"text": "@{points:number} points"}}, "attributes"),
        ({"alert": {"title": "@{}"}}, "alert"),
        ({"params": {"name": {}}}, "params.name"),
        ({"params": {"n": "x"}, "state": {"n": "@{n:number}"}}, "params.n"),
        ({"alert": {"title": {"tr": "Gol"}}}, "alert.title.default"),
        ({"alert": {"title": {"default": "Goal", "not a tag": "x"}}}, "alert.title.not a tag"),
        ({"alert": {"body": {"default": "Goal", "tr": 5}}}, "alert.body.tr"),
        ({"alert": {"body": {"default": None}}}, "alert.body.default"),
        (
            {
                "alert": {
                    "body": {"default": "Goal"} | {f"x{chr(97 + n // 26)}{chr(97 + n % 26)}": "" for n in range(100)}
                }
            },
            "alert.body",
        ),
        ({"silence_ttl": "PT9999H"}, "silence_ttl"),
        ({"silence_ttl": "-PT1H"}, "silence_ttl"),
        ({"dismissal": "maybe"}, "dismissal"),
        ({"dismissal": {"after": "PT1H", "x": 1}}, "dismissal.x"),
        ({"no_token": "never"}, "no_token"),
        ({"no_token_after": "PT999H"}, "no_token_after"),
        ({"no_token_after": 600}, "no_token_after"),
        ({"type": ""}, "type"),
        ({"attributes": []}, "attributes"),
        ({"audience": {}}, "audience"),
        ({"audience": {"everybody": True}}, "audience.everybody"),
    ],
)
async def test_bad_input_names_the_field_and_changes_nothing(whole: Whole, change: dict[str, Any], field: str) -> None:
    answer = await put(whole, {**MATCH, **change})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field
    missing = await whole.client.get("/v1/activities/match", headers={"X-netmera-api-key": REST})
    assert missing.status_code == 404


@pytest.mark.parametrize("routing", ["channel", "auto"])
async def test_what_differs_does_not_go_by_channel(whole: Whole, routing: str) -> None:
    differs = {**MATCH, "audience": {"all": True}, "state": {"score": "@{score|0}"}, "routing": routing}
    answer = await put(whole, differs)
    if routing == "auto":
        assert answer.status_code == 201, "by token, then"
    else:
        assert (answer.status_code, answer.json()["title"]) == (409, "Same for everybody")
        assert "tokens" in answer.json()["detail"]


async def test_params_are_filled_in_once_and_for_all(whole: Whole) -> None:
    wish = {
        **MATCH,
        "state": {"text": "@{gate} for @{name|you}", "n": "@{n:number}"},
        "params": {"gate": "B@{", "n": 1},
    }
    await said(whole, wish)
    assert (await get(whole))["state"] == {"text": "B@{ for @{name|you}", "n": 1}
    assert (await said(whole, wish))["result"] == "noop"
    assert (await said(whole, {**wish, "params": {"gate": "C", "n": 1}}))["result"] == "changed"


@pytest.mark.parametrize("field", ["type", "attributes"])
async def test_a_start_needs_attributes_and_their_type(whole: Whole, field: str) -> None:
    body = {name: value for name, value in MATCH.items() if name != field}
    answer = await put(whole, body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_attributes_are_fixed_while_it_runs(whole: Whole) -> None:
    await startable(whole, "ada")
    await said(whole, MATCH)
    assert (await put(whole, {**MATCH, "attributes": {"home": "Chelsea"}})).status_code == 409
    assert (await said(whole, {**MATCH, "state": {"score": 1}}))["result"] == "changed"


async def test_cards_are_listed_page_by_page(whole: Whole) -> None:
    for number in range(3):
        await startable(whole, "ada", number)
    await said(whole, MATCH)
    first = await get(whole, "match/cards?limit=2")
    assert [one["number"] for one in first["cards"]] == [1, 2]
    rest = await get(whole, f"match/cards?limit=2&after={first['next_after']}")
    assert [one["user"] for one in rest["cards"]] == ["ada"]
    assert rest["next_after"] is None
