"""`POST /v1/events`: what installations report, how bad reports are answered, and how fast they may report."""

from typing import Any

import pytest

from skerry.api.ports import ApiSettings
from skerry.domain.commands import ReportResult
from skerry.domain.device import DeviceEvent, DeviceEventKind, DeviceReport
from skerry.domain.errors import OverloadedError, WrongSecretError
from skerry.domain.location import Location
from skerry.domain.push import Environment

NOW = 1_767_225_600_000
TOKEN = "ab" * 32
CLOSE = {"name": "n:lac", "groupId": "g"}


def report(*events: Any, **members: Any) -> dict[str, Any]:
    return {"installationId": "i-1", "events": list(events or [CLOSE]), **members}


def reported(api: Any) -> DeviceReport:
    [(name, (app_id, found), _)] = api.registry.calls
    assert (name, app_id) == ("report", 7)
    return found


async def test_a_report_may_say_where_the_device_is(api):
    location = {"latitude": 41, "longitude": 29.5, "time": NOW - 1000}
    assert (await api.report(report(location=location))).status_code == 200
    assert reported(api).location == Location(41.0, 29.5, NOW - 1000)
    assert not reported(api).forget_location


async def test_a_report_may_say_nothing_else(api):
    api.registry.answers["report"] = ReportResult(())
    answer = await api.report({"installationId": "i-1", "location": {"latitude": -90, "longitude": 180}})
    assert (answer.status_code, answer.json()) == (200, {"outcomes": []})
    assert (reported(api).location, reported(api).events) == (Location(-90.0, 180.0, NOW), ())


async def test_a_device_may_ask_to_have_its_location_forgotten(api):
    assert (await api.report({"installationId": "i-1", "location": False})).status_code == 200
    assert (reported(api).location, reported(api).forget_location) == (None, True)


@pytest.mark.parametrize(
    ("location", "field"),
    [
        (True, "location"),
        ([41, 29], "location"),
        ({"latitude": 41}, "location.longitude"),
        ({"latitude": "41", "longitude": 29}, "location.latitude"),
        ({"latitude": 90.1, "longitude": 29}, "location.latitude"),
        ({"latitude": 1, "longitude": -180.5}, "location.longitude"),
        ({"latitude": 1, "longitude": 1, "time": "yesterday"}, "location.time"),
    ],
)
async def test_a_location_that_is_none(api, location, field):
    answer = await api.report(report(location=location))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert not api.calls


async def test_a_whole_report(api):
    api.registry.answers["report"] = ReportResult(("accepted", "repeated", "stale"))
    answer = await api.report(
        report(
            {"name": "LiveActivityStartToken", "token": TOKEN.upper(), "attributesType": "Match", "time": NOW - 5000},
            {"code": "n:lut", "token": TOKEN, "group_id": "g", "ts": "2025-12-31T23:59:00Z"},
            {"event": "n:lac", "groupId": "g", "timestamp": 1767225000},
            installationSecret="s",
            extId="u",
            environment="sandbox",
            platform="IOS",
            osVersion="18.1",
            appVersion="3.2",
            deviceModel="iPhone17,1",
            deviceToken="CD" * 32,
            language="zh_Hant_TW",
        )
    )
    assert (answer.status_code, answer.json()) == (200, {"outcomes": ["accepted", "repeated", "stale"]})
    assert reported(api) == DeviceReport(
        "i-1",
        (
            DeviceEvent(DeviceEventKind.START_TOKEN, NOW - 5000, TOKEN, attributes_type="Match"),
            DeviceEvent(DeviceEventKind.UPDATE_TOKEN, 1767225540000, TOKEN, "g"),
            DeviceEvent(DeviceEventKind.CLOSE, 1767225000000, None, "g"),
        ),
        "s",
        "u",
        Environment.SANDBOX,
        "IOS",
        "18.1",
        "3.2",
        "iPhone17,1",
        "cd" * 32,
        language="zh-Hant-TW",
    )


@pytest.mark.parametrize(
    ("time", "expected"),
    [(None, NOW), (NOW + 60_000, NOW), ("2030-01-01T00:00:00Z", NOW), (NOW - 90 * 86_400_000, NOW - 90 * 86_400_000)],
)
async def test_a_time_is_never_later_than_ours(api, time, expected):
    assert (await api.report(report(CLOSE | {"time": time}))).status_code == 200
    assert reported(api).events[0].time == expected


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        ("production", Environment.PRODUCTION),
        ("prod", Environment.PRODUCTION),
        ("Sandbox", Environment.SANDBOX),
        ("dev", Environment.SANDBOX),
        ("development", Environment.SANDBOX),
        (None, None),
    ],
)
async def test_names_of_the_environment(api, name, environment):
    await api.report(report(environment=name))
    assert reported(api).environment is environment


async def test_an_empty_user_signs_out_and_none_says_nothing(api):
    await api.report(report(extId=""))
    assert reported(api).ext_id == ""


async def test_a_rest_key_may_report_too(api):
    assert (await api.report(report(), headers={"x-netmera-api-key": "rest-key"})).status_code == 200


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_a_report_without_a_good_key_is_a_problem(api, key):
    answer = await api.report(report(), headers={"x-netmera-api-key": key})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert not api.calls


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({"events": [CLOSE]}, "installationId"),
        (report(installationId=""), "installationId"),
        (report(installationId="i" * 129), "installationId"),
        (report(installationId=1), "installationId"),
        (report(installationId="i\0"), "installationId"),
        ({"installationId": "i"}, "events"),
        (report(events=[]), "events"),
        (report(*[CLOSE] * 101), "events"),
        (report(1), "events[0]"),
        (report(CLOSE, {"groupId": "g"}), "events[1].name"),
        (report({"name": "ShareEvent"}), "events[0].name"),
        (report({"name": "n:lst"}), "events[0].token"),
        (report({"name": "n:lst", "token": "xyz"}), "events[0].token"),
        (report({"name": "n:lut", "token": TOKEN}), "events[0].groupId"),
        (report({"name": "n:lut", "groupId": "g"}), "events[0].token"),
        (report({"name": "n:lac"}), "events[0].groupId"),
        (report({"name": "n:lac", "groupId": "g" * 257}), "events[0].groupId"),
        (report({"name": "n:lac", "groupId": "g\0"}), "events[0].groupId"),
        (report(CLOSE | {"time": "soon"}), "events[0].time"),
        (report(CLOSE | {"time": True}), "events[0].time"),
        (report(environment="staging"), "environment"),
        (report(deviceToken="xyz"), "deviceToken"),
        (report(language="Turkish, please"), "language"),
        (report(language=5), "language"),
        (report(extId=5), "extId"),
    ],
)
async def test_a_bad_report_names_its_field_and_the_fix(api, body, field):
    answer = await api.report(body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["instance"]) == (422, "/v1/events")
    [error] = problem["errors"]
    assert error["field"] == field
    assert error["problem"]
    assert error["fix"]
    assert not api.calls


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b'"\xff"', b"[" * 100_000, b'{"installationId":"\\ud800"}'])
async def test_a_report_that_is_not_json(api, body):
    answer = await api.report(body)
    assert answer.status_code == 400
    assert answer.json()["title"] == "Invalid JSON"
    assert not api.calls


async def test_a_wrong_secret(api):
    api.registry.answers["report"] = WrongSecretError("x")
    answer = await api.report(report(installationSecret="guess"))
    assert (answer.status_code, answer.json()["title"]) == (403, "Wrong installation secret")
    assert "guess" not in answer.text


async def test_a_full_queue_asks_for_patience(api):
    api.registry.answers["report"] = OverloadedError("the queue", 2.5)
    answer = await api.report(report())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")


async def test_an_installation_that_reports_too_fast(make_api):
    api = make_api(ApiSettings(events_per_minute={"installation": (0.001, 2), "address": (0.001, 100)}))
    assert (await api.report(report(CLOSE, CLOSE))).status_code == 200
    answer = await api.report(report())
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert (await api.report(report(installationId="i-2"))).status_code == 200
    assert len(api.calls) == 2


async def test_an_address_that_reports_too_fast(make_api):
    api = make_api(ApiSettings(events_per_minute={"installation": (0.001, 100), "address": (0.001, 3)}))
    answers = [await api.report(report(installationId=f"i-{number}")) for number in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
