"""Whatever is sent: never a server error, and a refused call reaches no service."""

import asyncio
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

START = {
    "title": "Title",
    "text": "Text",
    "platforms": ["IOS"],
    "contentState": {"score": 1},
    "liveActAttr": {"name": "x"},
    "liveActAttrType": "Match",
    "groupId": "g",
    "liveActEndDate": "2030-01-01T00:00:00Z",
    "params": {"a": 1},
    "ios": {"title": "t"},
}
PROFILES = [{"extId": "u", "profile": {"a": [1]}}]
AUDIENCE = {
    "users": ["u"],
    "devices": "i",
    "tags": {"$and": ["a"]},
    "segment": ["s"],
    "profile": {"$or": [{"a": 1}, {"b": {"$exists": True}}]},
    "location": {"latitude": 41.0, "longitude": 29, "radius": 10},
    "exclude": {"tags": "b"},
    "percent": 12.5,
    "salt": "x",
}
GOOD: dict[str, Any] = {
    "/rest/3.0/sendBulkNotification": {
        "type": "LIVE_ACTIVITY",
        "message": START,
        "target": {"profile": {"$or": {"a": 1, "b": {"$exists": True}}}, "tag": {"$and": ["a"]}, "segment": "s"},
        "schedule": {"startTime": "2030-01-01T00:00:00", "localTimezone": False},
        "speed": {"intervalMins": 1, "packageSize": 10},
        "extRef": "r",
    },
    "/rest/3.0/createNotificationDefinition": START | {"message": "Text"},
    "/rest/3.0/sendNotification": [{"notificationKey": "1", "message": START, "target": {"extId": ["u"]}}],
    "/rest/3.0/update-live-activity": {
        "groupId": "g",
        "action": "UPDATE",
        "contentState": {},
        "staleDate": 1769614537,
        "alert": {"title": "t", "body": "b"},
        "priority": 5,
    },
    "/rest/3.0/fireEvents": [{"extId": "u", "name": "n:lut", "token": "ab" * 32, "groupId": "g", "time": 1}],
    "/rest/3.0/registerUsers": [{"extId": "u", "platform": "IOS", "tags": ["t"], "profile": {"a": 1}}],
    "/rest/3.0/deleteUsers": {"extIds": ["u"]},
    "/rest/3.0/deleteUsersPermanently": {"extIds": ["u"]},
    "/rest/3.0/enablePush": {"extId": "u", "deviceToken": "ab" * 32},
    "/rest/3.0/disablePush": {"extId": "u"},
    "/rest/3.0/tagUsers": {"tag": ["t"], "extIds": ["u"]},
    "/rest/3.0/untagUsers": {"tag": "t", "extIds": ["u"]},
    "/rest/3.0/setProfileAttributes": PROFILES,
    "/rest/3.0/unsetProfileAttributes": [{"extId": "u", "profile": ["a"]}],
    "/rest/3.0/pushProfileAttributes": PROFILES,
    "/rest/3.0/pullProfileAttributes": PROFILES,
    "/rest/3.0/deleteProfileAttributes": [{"profile": ["a"]}],
    "/rest/3.0/deleteProfileAttributeValue": [{"key": "a", "value": "x"}],
    "/v1/events": {
        "installationId": "i",
        "installationSecret": "s",
        "environment": "sandbox",
        "deviceToken": "ab" * 32,
        "location": {"latitude": 41.0, "longitude": 29, "time": 1},
        "events": [{"name": "n:lut", "token": "ab" * 32, "groupId": "g", "time": 1}],
    },
    "/v1/audiences:preview": {"audience": AUDIENCE, "attributes_type": "Match", "activity": "g"},
    "/v1/segments/s": {"audience": AUDIENCE},
    "/v1/activities/g/schedule": {
        "at": "2030-01-01T00:00:00",
        "time_zone": "Europe/Istanbul",
        "action": "put",
        "type": "Match",
        "attributes": {"a": 1},
        "state": {"score": 1},
        "alert": {"title": "t", "body": {"loc-key": "k"}},
        "audience": AUDIENCE,
        "phases": [{"at": 1, "state": {}, "alert": {"body": "b"}, "stale_at": 2}, {"after": "PT1H", "state": {}}],
        "end_after": "PT1H",
        "dismiss_after": "PT1H",
        "ends_at": "2030-01-02T00:00:00Z",
        "version": 3,
        "priority": 5,
        "dismissal": {"after": "PT1H"},
    },
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**62, max_value=2**70)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=8)
    | st.sampled_from(["", "\0", "\ud800", "IOS", "2026-01-01", "9" * 30, "n:lst", "$or", "0001-01-01T00:00:00+23:59"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$or", "$not", "$exists", "extId", "message", "target", "title", "\0"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before, *(path for name, inner in members for path in paths(inner, (*before, name)))]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Any]:
    """A good body of some operation with one place changed, or removed."""
    operation = draw(st.sampled_from(sorted(GOOD)))
    body = copy.deepcopy(GOOD[operation])
    path = draw(st.sampled_from(paths(body)))
    if not path:
        return operation, draw(json_values)
    place = body
    for name in path[:-1]:
        place = place[name]
    if draw(st.integers(0, 5)) == 0:
        del place[path[-1]]
    else:
        place[path[-1]] = draw(json_values)
    return operation, body


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


@pytest.fixture(scope="module")
def anything(assembly: Callable[[], Any], runner: asyncio.Runner) -> Iterator[Any]:
    one = assembly()
    yield one
    runner.run(one.client.aclose())


def method(path: str) -> str:
    return "PUT" if path.startswith("/v1/segments/") else "POST"


def check(api: Any, runner: asyncio.Runner, path: str, body: bytes) -> None:
    services = (api.activities, api.registry, api.receipts, api.webhooks, api.audiences, api.segments, api.schedule)
    for service in services:
        service.calls.clear()
    answer = runner.run(api.client.request(method(path), path, content=body))
    assert answer.status_code < 500, answer.text
    if not answer.is_success:
        assert not api.calls
        assert answer.json()


def test_the_good_bodies_are_good(anything, runner):
    for path, body in GOOD.items():
        assert runner.run(anything.client.request(method(path), path, json=body)).is_success, path


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged())
def test_a_good_body_with_one_place_changed(anything, runner, case):
    path, body = case
    check(anything, runner, path, json.dumps(body).encode())


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.binary(max_size=60))
def test_bytes_of_any_kind(anything, runner, path, body):
    check(anything, runner, path, body)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["getProfileAttributes", "getDevices", "getDeviceTokens", "getPushStats", "getPushResult"]),
    st.dictionaries(
        st.sampled_from(["extId", "max", "offset", "start", "end", "notificationKey", "token", "pushPermitted"]),
        st.text(max_size=12) | st.integers().map(str),
    ),
)
def test_queries_of_any_kind(anything, runner, operation, query):
    answer = runner.run(anything.client.get(f"/rest/3.0/{operation}", params=query))
    assert answer.status_code in (200, 400), answer.text
