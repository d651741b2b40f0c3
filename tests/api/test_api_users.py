"""Users, profiles, statistics and fired events: what services are asked, and how their answers look."""

from ipaddress import ip_network
from typing import Any

import pytest

from skerry.api.ports import ApiSettings
from skerry.domain.device import DeviceEvent, DeviceEventKind
from skerry.domain.receipt import Slice
from skerry.domain.user import Page, UserRegistration

NOW = 1_767_225_600_000
TOKEN = "ab" * 32
TWO_WEEKS = 14 * 24 * 3600 * 1000


async def done(api: Any, operation: str, body: Any) -> Any:
    """The one call that a write led to."""
    answer = await api.post(operation, body)
    assert (answer.status_code, answer.content) == (200, b""), answer.text
    [call] = api.registry.calls
    return call


async def test_registering_users_skips_invalid_entries(api):
    name, (app_id, entries), _ = await done(
        api,
        "registerUsers",
        [
            {
                "extId": "u1",
                "platform": "ios",
                "deviceToken": TOKEN.upper(),
                "email": "a@b.c",
                "tags": ["x"],
                "profile": {"age": 3, "langs": ["tr", "en"]},
            },
            {"platform": "IOS"},
            {"extId": "u2"},
            {"extId": "u3", "platform": "IOS", "profile": "x"},
            {"extId": "u4", "msisdn": "+90"},
        ],
    )
    assert (name, app_id) == ("register_users", 7)
    assert list(entries) == [
        UserRegistration("u1", "IOS", TOKEN, email="a@b.c", tags=("x",), profile={"age": 3, "langs": ["tr", "en"]}),
        UserRegistration("u4", msisdn="+90"),
    ]


async def test_registering_only_invalid_users_is_refused(api):
    answer = await api.post("registerUsers", [{"extId": "u"}, {}])
    assert (answer.status_code, answer.json()) == (400, {"code": 2020, "error": "platform is required"})
    assert not api.calls


@pytest.mark.parametrize(
    ("operation", "method"), [("deleteUsers", "delete_users"), ("deleteUsersPermanently", "erase_users")]
)
async def test_deleting_users(api, operation, method):
    assert await done(api, operation, {"extIds": ["u", "v", "u"]}) == (method, (7, ["u", "v"]), {})


@pytest.mark.parametrize(("operation", "enabled"), [("enablePush", True), ("disablePush", False)])
async def test_permitting_ordinary_notifications(api, operation, enabled):
    named = {"ext_id": "u", "device_token": None, "enabled": enabled}
    assert await done(api, operation, {"extId": "u"}) == ("set_push", (7,), named)


async def test_permitting_needs_a_user_or_a_device(api):
    answer = await api.post("enablePush", {})
    assert (answer.status_code, answer.json()) == (400, {"code": 2020, "error": "extId is required"})


@pytest.mark.parametrize(("operation", "method"), [("tagUsers", "tag_users"), ("untagUsers", "untag_users")])
@pytest.mark.parametrize(("tag", "tags"), [("Sport", ["Sport"]), (["a", "b"], ["a", "b"])])
async def test_tagging_users(api, operation, method, tag, tags):
    assert await done(api, operation, {"tag": tag, "extIds": ["u"]}) == (method, (7, tags, ["u"]), {})


@pytest.mark.parametrize(
    ("operation", "method", "profile"),
    [
        ("setProfileAttributes", "set_profile", {"age": 3}),
        ("unsetProfileAttributes", "unset_profile", ["age"]),
        ("pushProfileAttributes", "push_profile", {"langs": ["tr"]}),
        ("pullProfileAttributes", "pull_profile", {"langs": ["tr"]}),
    ],
)
async def test_changing_profiles(api, operation, method, profile):
    assert await done(api, operation, [{"extId": "u", "profile": profile}]) == (method, (7, [("u", profile)]), {})


async def test_deleting_attributes_and_values(api):
    assert (await api.post("deleteProfileAttributes", [{"profile": ["a", "b"]}])).status_code == 200
    assert (await api.post("deleteProfileAttributeValue", [{"key": "a", "value": "x"}])).status_code == 200
    assert [(name, arguments[1:]) for name, arguments, _ in api.registry.calls] == [
        ("delete_profile_attributes", (["a", "b"],)),
        ("delete_profile_value", ("a", "x")),
    ]


@pytest.mark.parametrize(
    ("operation", "good"),
    [("deleteProfileAttributes", {"profile": ["a"]}), ("deleteProfileAttributeValue", {"key": "a", "value": "x"})],
)
async def test_deleting_changes_nothing_where_a_later_entry_is_bad(api, operation, good):
    answer = await api.post(operation, [good, {}])
    assert answer.status_code == 400
    assert not api.calls


async def test_a_users_profile(api):
    answer = await api.get("getProfileAttributes", extId="u-1")
    assert answer.json() == {"extId": "u-1", "profile": {"age": 30, "born": 946684800000}}


@pytest.mark.parametrize(("operation", "method"), [("getProfileAttributes", "profile"), ("getDevices", "devices")])
async def test_an_unknown_user(api, operation, method):
    api.registry.answers[method] = None
    answer = await api.get(operation, extId="nobody")
    assert (answer.status_code, answer.json()["code"]) == (400, 5016)
    answer = await api.get(operation)
    assert answer.json() == {"code": 2020, "error": "extId is required"}


async def test_a_users_devices(api):
    answer = await api.get("getDevices", extId="u-1", pushPermitted="true")
    device = {"platform": "IOS", "token": TOKEN, "deviceModel": "iPhone17,1", "pushPermitted": True}
    assert answer.json() == {"extId": "u-1", "devices": [device]}
    assert api.registry.calls == [("devices", (7, "u-1", True), {})]
    assert (await api.get("getDevices", extId="u", pushPermitted="maybe")).json()["code"] == 2004


async def test_device_tokens_page_by_page(api):
    answer = await api.get("getDeviceTokens", max=2)
    page = answer.json()
    assert (page["total"], page["devices"]) == (3, [TOKEN, "cd" * 32])
    assert page["nextPage"] == "http://skerry.test/rest/3.0/getDeviceTokens?max=2&offset=2"
    api.registry.answers["device_tokens"] = Page(3, ("ef" * 32,))
    answer = await api.client.get(page["nextPage"])
    assert answer.json() == {"nextPage": None, "total": 3, "devices": ["ef" * 32]}
    assert [arguments for _, arguments, _ in api.registry.calls] == [(7, 2, 0), (7, 2, 2)]


@pytest.mark.parametrize(
    "query", [{"max": "0"}, {"max": "x"}, {"max": "1001"}, {"offset": "-1"}, {"offset": "9" * 40}, {"max": "٣"}]
)
async def test_pages_that_cannot_be(api, query):
    answer = await api.get("getDeviceTokens", **query)
    assert (answer.status_code, answer.json()["code"]) == (400, 2004)
    assert next(iter(query)) in answer.json()["error"]
    assert not api.calls


STATS = {
    "notificationKey": 234,
    "status": "FINISHED",
    "startDate": 1,
    "endDate": 2,
    "stats": [{"platform": "IOS", "sent": 100, "failed": 5, "clicked": 0}],
}


async def test_statistics_of_one_key(api):
    assert (await api.get("getPushStats", notificationKey="234")).json() == STATS
    api.receipts.answers["stats"] = None
    answer = await api.get("getPushStats", notificationKey="235")
    assert answer.json() == {"code": 5003, "error": "Message with given messageId could not be found"}


async def test_statistics_of_a_window(api):
    assert (await api.get("getPushStats", start="1700000000000", end="1700000100000")).json() == {"messages": [STATS]}
    assert api.receipts.calls == [("stats_between", (7, 1700000000000, 1700000100000), {})]


async def test_results_page_by_page(api):
    answer = await api.get("getPushResult", notificationKey="234", token=TOKEN.upper(), max="1")
    page = answer.json()
    assert page["list"] == [
        {
            "platform": "IOS",
            "status": "FAILED",
            "errorCode": "8",
            "errorMsg": "INVALID_TOKEN",
            "installationId": "i-1",
            "extId": "u-1",
            "timeStamp": NOW,
            "msgTitle": "t",
            "msgText": "x",
        }
    ]
    assert "offset=1" in page["nextPage"]
    assert "notificationKey=234" in page["nextPage"]
    [(_, _, named)] = api.receipts.calls
    assert named["token"] == TOKEN
    assert named["end"] - named["start"] == TWO_WEEKS
    api.receipts.answers["results"] = Slice((), more=False)
    assert (await api.client.get(page["nextPage"])).json() == {"nextPage": None, "list": []}
    assert api.receipts.calls[1][2]["offset"] == 1


async def test_results_of_an_unknown_key(api):
    api.receipts.answers["results"] = None
    assert (await api.get("getPushResult", notificationKey="1")).json()["code"] == 5003


@pytest.mark.parametrize("query", [{"start": "x"}, {"end": "-1"}, {"notificationKey": "abc"}, {"start": "9" * 30}])
@pytest.mark.parametrize("operation", ["getPushResult", "getPushStats"])
async def test_windows_and_keys_that_cannot_be(api, operation, query):
    answer = await api.get(operation, **query)
    assert (answer.status_code, answer.json()["code"] in (2004, 5003)) == (400, True)
    assert not api.calls


@pytest.mark.parametrize("group_id", ["groupId", "group_id"])
async def test_events_are_fired_by_name_or_code(api, group_id):
    answer = await api.post(
        "fireEvents",
        [
            {"extId": "u", "name": "LiveActivityStartToken", "token": TOKEN.upper(), "attributesType": "Match"},
            {"extId": "u", "name": "n:lut", "token": TOKEN, group_id: "g", "installationId": "i-1"},
            {"extId": "u", "name": "n:lac", group_id: "g", "deviceToken": "CD" * 32},
        ],
    )
    assert (answer.status_code, answer.content) == (200, b"")
    assert [(name, arguments[1:], named) for name, arguments, named in api.registry.calls] == [
        (
            "fire",
            ("u", DeviceEvent(DeviceEventKind.START_TOKEN, NOW, TOKEN, attributes_type="Match")),
            {"installation_id": None, "device_token": None},
        ),
        (
            "fire",
            ("u", DeviceEvent(DeviceEventKind.UPDATE_TOKEN, NOW, TOKEN, "g")),
            {"installation_id": "i-1", "device_token": None},
        ),
        (
            "fire",
            ("u", DeviceEvent(DeviceEventKind.CLOSE, NOW, None, "g")),
            {"installation_id": None, "device_token": "cd" * 32},
        ),
    ]


@pytest.mark.parametrize(
    ("event", "code", "text"),
    [
        ({"extId": "u"}, 2020, "name is required"),
        ({"name": "n:lst", "token": TOKEN}, 2020, "extId is required"),
        ({"extId": "u", "name": "ShareEvent"}, 5028, "Event is not found"),
        ({"extId": "u", "name": "n:lst"}, 2020, "token is required"),
        ({"extId": "u", "name": "n:lut", "token": TOKEN}, 2020, "groupId is required"),
        ({"extId": "u", "name": "n:lut", "groupId": "g"}, 2020, "token is required"),
        ({"extId": "u", "name": "n:lac"}, 2020, "groupId is required"),
        ({"extId": "u", "name": "n:lst", "token": "zz"}, 2004, None),
        ({"extId": "u", "name": "n:lac", "groupId": "g", "deviceToken": "zz"}, 2004, None),
        ({"extId": 1, "name": "n:lst"}, 2004, "Field 'extId' should be a text"),
    ],
)
async def test_one_bad_event_refuses_all(api, event, code, text):
    good = {"extId": "u", "name": "n:lac", "groupId": "g"}
    answer = await api.post("fireEvents", [good, event])
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert text is None or answer.json()["error"] == text
    assert not api.calls


async def test_entries_that_are_no_objects_are_skipped_like_other_invalid_ones(api):
    answer = await api.post("registerUsers", [5, None, {"extId": "u", "platform": "IOS"}])
    assert answer.status_code == 200
    [(_, (_, (registration,)), _)] = api.registry.calls
    assert registration.ext_id == "u"
    assert (await api.post("registerUsers", [5])).json()["code"] == 2004


async def test_the_next_page_is_where_a_trusted_proxy_says_callers_come_from(make_api):
    for trusted, scheme in ((), "http"), ((ip_network("192.0.2.0/24"),), "https"):
        api = make_api(ApiSettings(trusted_proxies=trusted), client_address="192.0.2.1")
        api.registry.answers["device_tokens"] = Page(3, ("ab" * 32,))
        answer = await api.client.get("/rest/3.0/getDeviceTokens?max=1", headers={"X-Forwarded-Proto": "https"})
        assert answer.json()["nextPage"].startswith(f"{scheme}://skerry.test/")
