"""Every error of the contract that can touch a Live Activity: status, code, text, and that nothing was asked for."""

import copy
from typing import Any

import pytest

from skerry.api.ports import ApiSettings
from skerry.domain.errors import (
    IdempotencyConflictError,
    NotALiveActivityError,
    OverloadedError,
    PayloadTooLargeError,
    UnknownNotificationError,
)

MISSING = object()
BULK: dict[str, Any] = {
    "type": "LIVE_ACTIVITY",
    "message": {
        "title": "Title",
        "text": "Text",
        "platforms": ["IOS"],
        "contentState": {"score": 1},
        "liveActAttr": {"name": "x"},
        "liveActAttrType": "Match",
    },
    "target": {"sendToAll": True},
}
DEFINITION: dict[str, Any] = {
    **{name: value for name, value in BULK["message"].items() if name != "text"},
    "message": "Text",
}
SEND: dict[str, Any] = {"notificationKey": "1", "target": {"extId": "u"}}
UPDATE: dict[str, Any] = {"groupId": "g", "action": "UPDATE", "contentState": {}}
END: dict[str, Any] = {"groupId": "g", "action": "END"}


def changed(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one member set, or taken out."""
    result = copy.deepcopy(body)
    *parents, name = path.split(".")
    place = result
    for parent in parents:
        place = place.setdefault(parent, {})
    if value is MISSING:
        del place[name]
    else:
        place[name] = value
    return result


async def refused(api: Any, operation: str, body: Any, status: int, code: int, text: str | None = None) -> str:
    answer = await api.post(operation, body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert set(found) == {"code", "error"}
    assert found["code"] == code
    if text is not None:
        assert found["error"] == text
    assert not api.calls
    return found["error"]


# 2010, 2021, 2022: the key


@pytest.mark.parametrize("key", ["", "wrong", "REST-KEY"])
async def test_a_wrong_key(api, key):
    answer = await api.post("update-live-activity", UPDATE, headers={"x-netmera-api-key": key})
    assert (answer.status_code, answer.json()) == (403, {"code": 2010, "error": "API key is invalid"})
    assert not api.calls


async def test_a_missing_key(api):
    del api.client.headers["x-netmera-api-key"]
    answer = await api.post("update-live-activity", UPDATE)
    assert (answer.status_code, answer.json()) == (403, {"code": 2010, "error": "API key is invalid"})


async def test_the_key_is_checked_before_the_body(api):
    answer = await api.post("update-live-activity", b"nonsense", headers={"x-netmera-api-key": "wrong"})
    assert answer.json()["code"] == 2010


@pytest.mark.parametrize("headers", [{"X-NETMERA-API-KEY": " rest-key  "}, {"Authorization": "Bearer rest-key"}])
async def test_a_key_may_have_blanks_around_it_or_be_a_bearer_token(api, headers):
    del api.client.headers["x-netmera-api-key"]
    assert (await api.post("update-live-activity", UPDATE, headers=headers)).status_code == 200


async def test_a_key_from_an_address_that_may_not_use_it(api):
    answer = await api.post("update-live-activity", UPDATE, headers={"x-netmera-api-key": "office-key"})
    assert (answer.status_code, answer.json()) == (403, {"code": 2021, "error": "Your IP is not allowed"})


async def test_an_sdk_key_opens_no_rest_route(api):
    answer = await api.post("update-live-activity", UPDATE, headers={"x-netmera-api-key": "sdk-key"})
    assert answer.status_code == 403
    assert answer.json() == {"code": 2022, "error": "You are not authorized to do this action"}
    assert not api.calls


# 2009: not JSON


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"groupId": "g",}',
        b'{"groupId": NaN}',
        b'{"groupId": Infinity}',
        b"{'groupId': 'g'}",
        b'{"groupId": "\xff"}',
        b'{"groupId": "\\ud800"}',
        b'{"groupId": "g\x00"}',
        b'\xef\xbb\xbf{"groupId": "g"}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[" * 100_000,
        b'{"groupId":"g","action":"UPDATE","contentState":{"a":"\\udc00"}}',
        b'{"groupId":"g","action":"UPDATE","contentState":{"a":01}}',
    ],
)
@pytest.mark.parametrize(
    "operation",
    ["sendBulkNotification", "createNotificationDefinition", "sendNotification", "update-live-activity", "fireEvents"],
)
async def test_what_is_not_json(api, operation, body):
    await refused(api, operation, body, 400, 2009, "Invalid JSON")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true", b'[{"groupId": "g"}]'])
@pytest.mark.parametrize("operation", ["sendBulkNotification", "createNotificationDefinition", "update-live-activity"])
async def test_json_that_is_not_an_object(api, operation, body):
    assert "object" in await refused(api, operation, body, 400, 2004)


@pytest.mark.parametrize("body", [b"{}", b"1", b"null", b"[1]", b"[[]]", b"[null]"])
@pytest.mark.parametrize("operation", ["fireEvents", "registerUsers", "setProfileAttributes"])
async def test_json_that_is_not_a_list_of_objects(api, operation, body):
    assert "list" in await refused(api, operation, body, 400, 2004)


async def test_the_last_of_two_members_with_one_name_counts(api):
    answer = await api.post("update-live-activity", b'{"groupId":"a","groupId":"b","action":"END"}')
    assert answer.status_code == 200
    assert api.activities.calls[0][1][1] == "b"


# 2020: what is required, in the documented order


@pytest.mark.parametrize("how", [MISSING, None])
@pytest.mark.parametrize(
    ("operation", "body", "path"),
    [
        ("sendBulkNotification", BULK, "message"),
        *(("sendBulkNotification", BULK, f"message.{name}") for name in BULK["message"]),
        ("sendBulkNotification", BULK, "target"),
        *(("createNotificationDefinition", DEFINITION | {"type": "LIVE_ACTIVITY"}, name) for name in DEFINITION),
        ("sendNotification", SEND, "notificationKey"),
        ("sendNotification", SEND, "target"),
        ("update-live-activity", UPDATE, "groupId"),
        ("update-live-activity", UPDATE, "action"),
        ("update-live-activity", UPDATE, "contentState"),
        ("update-live-activity", END, "groupId"),
    ],
)
async def test_a_missing_field_is_named(api, operation, body, path, how):
    await refused(api, operation, changed(body, path, how), 400, 2020, f"{path} is required")


@pytest.mark.parametrize(
    ("operation", "body", "first"),
    [
        ("sendBulkNotification", {"type": "LIVE_ACTIVITY", "message": {}}, "message.title"),
        ("sendBulkNotification", {"type": "LIVE_ACTIVITY", "message": {"title": "t"}}, "message.text"),
        ("sendNotification", {}, "notificationKey"),
        ("update-live-activity", {}, "groupId"),
        ("update-live-activity", {"groupId": "g"}, "action"),
        ("tagUsers", {}, "tag"),
        ("setProfileAttributes", [{}], "extId"),
        ("fireEvents", [{}], "extId"),
        ("registerUsers", [{}], "extId"),
    ],
)
async def test_of_several_missing_fields_the_first_is_named(api, operation, body, first):
    await refused(api, operation, body, 400, 2020, f"{first} is required")


@pytest.mark.parametrize("target", [{}, {"sendToAll": False}, {"lastActiveDevice": True}, {"unknown": 1}])
async def test_an_empty_target(api, target):
    await refused(api, "sendBulkNotification", BULK | {"target": target}, 400, 2020, "target is required")


# 2004: types and values


@pytest.mark.parametrize(
    ("operation", "body", "path", "value", "kind"),
    [
        ("sendBulkNotification", BULK, "message", "x", "an object"),
        ("sendBulkNotification", BULK, "message.title", 1, "a text"),
        ("sendBulkNotification", BULK, "message.title", {}, "a text"),
        ("sendBulkNotification", BULK, "message.text", [], "a text"),
        ("sendBulkNotification", BULK, "message.contentState", [], "an object"),
        ("sendBulkNotification", BULK, "message.contentState", "{}", "an object"),
        ("sendBulkNotification", BULK, "message.contentState", 1, "an object"),
        ("sendBulkNotification", BULK, "message.liveActAttr", [{}], "an object"),
        ("sendBulkNotification", BULK, "message.liveActAttrType", 1, "a text"),
        ("sendBulkNotification", BULK, "message.groupId", 1, "a text"),
        ("sendBulkNotification", BULK, "message.ios", "x", "an object"),
        ("sendBulkNotification", BULK, "message.params", [], "an object"),
        ("sendBulkNotification", BULK, "message.params.a", {}, "a text or a number"),
        ("sendBulkNotification", BULK, "target", [], "an object"),
        ("sendBulkNotification", BULK, "target.sendToAll", "true", "a boolean"),
        ("sendBulkNotification", BULK, "schedule", 1, "an object"),
        ("sendBulkNotification", BULK, "extRef", 1, "a text"),
        ("sendNotification", SEND, "notificationKey", True, "a text"),
        ("sendNotification", SEND, "notificationKey", 1.5, "a text"),
        ("sendNotification", SEND, "message", "x", "an object"),
        ("sendNotification", SEND, "message.contentState", [], "an object"),
        ("sendNotification", SEND, "target.extId", 5, "a text or a list of texts"),
        ("sendNotification", SEND, "target.extId", [5], "a text or a list of texts"),
        ("update-live-activity", UPDATE, "groupId", 5, "a text"),
        ("update-live-activity", UPDATE, "action", 5, "a text"),
        ("update-live-activity", UPDATE, "action", "START", "UPDATE or END"),
        ("update-live-activity", UPDATE, "contentState", [], "an object"),
        ("update-live-activity", END, "contentState", "x", "an object"),
        ("update-live-activity", UPDATE, "priority", 7, "5 or 10"),
        ("update-live-activity", UPDATE, "priority", "10", "5 or 10"),
        ("update-live-activity", UPDATE, "priority", True, "5 or 10"),
        ("update-live-activity", UPDATE, "alert", "Goal", "an object"),
        (
            "update-live-activity",
            UPDATE | {"alert": {"title": "", "body": ""}},
            "alert.title",
            {"default": 5},
            "a text",
        ),
        ("update-live-activity", UPDATE, "staleDate", "tomorrow", "a date"),
        ("update-live-activity", UPDATE, "staleDate", "2026-13-01T00:00:00Z", "a date"),
        ("update-live-activity", UPDATE, "staleDate", -1, "a date"),
        ("update-live-activity", UPDATE, "staleDate", 1e300, "a date"),
        ("update-live-activity", UPDATE, "staleDate", True, "a date"),
        ("update-live-activity", UPDATE, "staleDate", {}, "a date"),
        ("update-live-activity", END, "dismissalDate", "0001-01-01T00:00:00+14:00", "a date"),
    ],
)
async def test_a_wrong_type_or_value_is_named(api, operation, body, path, value, kind):
    error = await refused(api, operation, changed(body, path, value), 400, 2004)
    assert error.startswith(f"Field '{path}' should be {kind}")


@pytest.mark.parametrize(
    ("operation", "body", "path", "value"),
    [
        ("sendBulkNotification", BULK, "message.title", "Hello @{name"),
        ("sendBulkNotification", BULK, "message.text", "@{}"),
        ("sendBulkNotification", BULK, "message.ios.title", "@{a:date}"),
        ("sendBulkNotification", BULK, "message.contentState.a", "@{n:number} points"),
        ("sendBulkNotification", BULK, "message.liveActAttr.a", "@{|x}"),
        ("sendBulkNotification", BULK, "languages.tr.text", "@{"),
        ("sendBulkNotification", BULK, "languages.tr.ios.title", "@{"),
        ("sendNotification", SEND, "message.contentState.a", "@{"),
        ("sendNotification", SEND, "message.text", "@{"),
        ("update-live-activity", UPDATE, "contentState.a", "@{"),
        ("update-live-activity", UPDATE, "alert", {"title": "@{", "body": ""}),
    ],
)
async def test_what_begins_like_a_placeholder_and_is_none(api, operation, body, path, value):
    error = await refused(api, operation, changed(body, path, value), 400, 2004)
    assert path.startswith(error.split("'")[1])
    assert "should have placeholders such as @{name}" in error


@pytest.mark.parametrize(
    ("languages", "text"),
    [
        ("tr", "an object"),
        ({"tr": "Merhaba"}, "an object"),
        ({"tr": {"text": 5}}, "a text"),
        ({"turkish language": {"text": "x"}}, "named by a language tag such as tr"),
        ({"default": {"text": "x"}}, "named by a language tag such as tr"),
    ],
)
async def test_languages_that_are_none(api, languages, text):
    error = await refused(api, "sendBulkNotification", BULK | {"languages": languages}, 400, 2004)
    assert error.endswith(f"should be {text}")


async def test_too_many_languages(api):
    languages = {f"a{chr(97 + n // 26)}{chr(97 + n % 26)}": {} for n in range(101)}
    await refused(api, "sendBulkNotification", BULK | {"languages": languages}, 400, 2004)


@pytest.mark.parametrize("date", ["2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", 1767225600, 1767225600000])
async def test_a_planned_end_that_is_not_in_the_future(api, date):
    body = changed(BULK, "message.liveActEndDate", date)
    error = await refused(api, "sendBulkNotification", body, 400, 2004)
    assert error == "Field 'message.liveActEndDate' should be a date in the future"


@pytest.mark.parametrize("platforms", [[], ["ANDROID"]])
async def test_platforms_without_ios(api, platforms):
    error = await refused(api, "sendBulkNotification", changed(BULK, "message.platforms", platforms), 400, 2004)
    assert error.startswith("Field 'message.platforms' should")


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("sendBulkNotification", changed(changed(BULK, "type", MISSING), "message.liveActAttrType", MISSING)),
        ("sendBulkNotification", changed(changed(BULK, "type", "PUSH"), "message.liveActAttrType", MISSING)),
        ("createNotificationDefinition", {"title": "t", "message": "m", "platforms": ["IOS"]}),
    ],
)
async def test_messages_that_are_no_live_activity_are_not_served(api, operation, body):
    assert "LIVE_ACTIVITY" in await refused(api, operation, body, 400, 2004)


async def test_one_bad_entry_refuses_all_entries_of_a_send(api):
    await refused(api, "sendNotification", [SEND, {"notificationKey": "2"}], 400, 2020)


async def test_more_than_a_thousand_unique_ids_in_one_request(api):
    ids = [f"u{number}" for number in range(1001)]
    await refused(api, "sendNotification", changed(SEND, "target.extId", ids), 400, 2004)
    halves = [changed(SEND, "target.extId", ids[:501]), changed(SEND, "target.extId", ids[501:])]
    await refused(api, "sendNotification", halves, 400, 2004)
    await refused(api, "tagUsers", {"tag": "t", "extIds": ids}, 400, 2004)
    assert (await api.post("sendNotification", changed(SEND, "target.extId", ids[:1000] * 2))).status_code == 200


# What services refuse


@pytest.mark.parametrize(
    ("error", "status", "code", "text"),
    [
        (PayloadTooLargeError(5000, 4096), 400, 2101, "Push message size exceed limit"),
        (UnknownNotificationError("x"), 400, 5003, "Message with given messageId could not be found"),
        (OverloadedError("the queue", 1.2), 429, 5022, "Service usage quota is exceeded"),
        (NotALiveActivityError("the definition lacks a content state"), 400, 2004, None),
        (IdempotencyConflictError("x"), 400, 2004, None),
        (RuntimeError("disk on fire"), 500, 2001, "Internal server error"),
    ],
)
async def test_what_services_refuse(api, error, status, code, text):
    api.activities.answers["send"] = error
    answer = await api.post("sendNotification", SEND)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert text is None or answer.json()["error"] == text
    assert answer.headers.get("retry-after") == ("2" if status == 429 else None)


async def test_an_unknown_key_is_an_unknown_message_even_where_it_is_no_number(api):
    api.activities.answers["send"] = UnknownNotificationError("x")
    for key in ("abc", "99999999999999999999999", "-1"):
        answer = await api.post("sendNotification", SEND | {"notificationKey": key})
        assert (answer.status_code, answer.json()["code"]) == (400, 5003)


async def test_a_body_beyond_the_limit(make_api):
    api = make_api(ApiSettings(max_body_bytes=1000))
    body = changed(UPDATE, "contentState.x", "y" * 1000)
    await refused(api, "update-live-activity", body, 400, 2101, "Push message size exceed limit")
    answer = await api.report({"installationId": "i" * 1000})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


# Numbers and texts that a database cannot hold


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("sendBulkNotification", changed(BULK, "message.params.a", 10**30)),
        ("sendBulkNotification", changed(BULK, "target.profile.age", 10**30)),
        ("sendBulkNotification", changed(BULK, "target.profile.age", [1, -(10**30)])),
        ("deleteProfileAttributeValue", [{"key": "age", "value": 10**30}]),
        ("setProfileAttributes", [{"extId": "u", "profile": {"age": 10**30}}]),
    ],
)
async def test_integers_beyond_64_bits(api, operation, body):
    await refused(api, operation, body, 400, 2004)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("update-live-activity", changed(END, "groupId", "g\0")),
        ("sendNotification", changed(SEND, "target.extId", ["u\0"])),
        ("sendBulkNotification", changed(BULK, "target.tag", ["t\0"])),
        ("sendBulkNotification", changed(BULK, "target.profile", {"a\0": 1})),
        ("sendBulkNotification", changed(BULK, "target.profile", {"a": "\0"})),
        ("setProfileAttributes", [{"extId": "u", "profile": {"a": "\0"}}]),
        ("tagUsers", {"tag": "t\0", "extIds": ["u"]}),
    ],
)
async def test_texts_with_a_nul(api, operation, body):
    """PostgreSQL cannot hold U+0000 in a text."""
    await refused(api, operation, body, 400, 2004)


async def test_a_group_id_that_is_too_long(api):
    await refused(api, "update-live-activity", changed(END, "groupId", "g" * 257), 400, 2004)


# Routes


@pytest.mark.parametrize("path", ["/rest/3.0/getPushStatus", "/rest/3.0/nothing", "/", "/rest/3.0/sendNotification/"])
async def test_an_unknown_route_answers_with_a_problem_document(api, path):
    answer = await api.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "code", "detail", "instance"}
    assert (problem["status"], problem["code"], problem["instance"]) == (404, "not_found", path)


async def test_a_wrong_method_names_the_right_one(api):
    answer = await api.client.get("/rest/3.0/sendNotification")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert answer.headers["content-type"] == "application/problem+json"
    answer = await api.client.post("/rest/3.0/getPushStats")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_the_clients_address_behind_a_trusted_proxy(make_api):
    from ipaddress import ip_network

    api = make_api(ApiSettings(trusted_proxies=(ip_network("192.0.2.0/24"),)), client_address="192.0.2.1")

    async def status(forwarded: str) -> int:
        headers = {"x-netmera-api-key": "office-key", "x-forwarded-for": forwarded}
        return (await api.post("update-live-activity", END, headers=headers)).status_code

    assert await status("10.1.2.3") == 200
    assert await status("10.1.2.3, 192.0.2.7") == 200
    assert await status("10.1.2.3, 203.0.113.5") == 403, "what an untrusted hop says does not count"
    assert await status("10.1.2.3, unknown") == 403, "an address that cannot be read hides all before it"
    assert await status("203.0.113.5") == 403


async def test_forwarded_for_does_not_count_from_anybody(api):
    headers = {"x-netmera-api-key": "office-key", "x-forwarded-for": "10.1.2.3"}
    assert (await api.post("update-live-activity", END, headers=headers)).status_code == 403


async def test_a_conflict_names_where_the_used_key_came_from(api):
    api.activities.answers["start_bulk"] = IdempotencyConflictError("extRef:mine")
    answer = await api.post("sendBulkNotification", BULK | {"extRef": "mine"})
    assert (answer.status_code, answer.json()["code"]) == (400, 2004)
    assert answer.json()["error"] == "Field 'extRef' should not be used again for another request"
    api.activities.answers["start_bulk"] = IdempotencyConflictError("mine")
    answer = await api.post("sendBulkNotification", BULK, headers={"Idempotency-Key": "mine"})
    assert answer.json()["error"].startswith("Header 'Idempotency-Key'")


async def test_an_empty_key_of_a_definition_is_a_missing_one(api):
    await refused(api, "sendNotification", SEND | {"notificationKey": " "}, 400, 2020, "notificationKey is required")


async def test_a_body_that_announces_itself_as_too_long_is_not_waited_for(make_api):
    api = make_api(ApiSettings(max_body_bytes=1000))

    async def body():
        yield b"{"
        raise AssertionError("nobody needs the rest")

    headers = {"content-length": "1001"}
    answer = await api.client.post("/rest/3.0/update-live-activity", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, 2101)
