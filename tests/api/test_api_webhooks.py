"""`/v1/webhooks` and the wrong ways to ask for `/v1/stream`."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.domain.errors import FieldRefusedError
from skerry.domain.event import EventId, EventKind
from skerry.domain.webhook import WebhookWish

ONE = "/v1/webhooks/ops"
WISH = {"url": "https://example.com/hook", "kinds": ["card.*", "activity.ended"], "activity": "match-1"}


async def test_a_new_webhook_is_shown_with_its_secret(api):
    answer = await api.client.put(ONE, json=WISH)
    assert answer.status_code == 201
    assert answer.json()["secret"] == "whsec_AAAA"
    assert answer.json()["enabled"] is True
    ((name, (app, called, wish), _),) = api.webhooks.calls
    cards = tuple(kind for kind in EventKind if kind.value.startswith("card."))
    assert (name, app, called) == ("put", 7, "ops")
    assert wish == WebhookWish("https://example.com/hook", (*cards, EventKind.ACTIVITY_ENDED), "match-1")


async def test_a_changed_one_is_shown_without(api):
    state, _ = api.webhooks.answers["put"]
    api.webhooks.answers["put"] = (state, None)
    answer = await api.client.put(ONE, json=WISH)
    assert answer.status_code == 200
    assert "secret" not in answer.json()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "url"),
        ({"url": 1}, "url"),
        (WISH | {"kinds": "card.lost"}, "kinds"),
        (WISH | {"kinds": [1]}, "kinds[0]"),
        (WISH | {"kinds": ["card.vanished"]}, "kinds"),
        (WISH | {"kinds": ["*"]}, "kinds"),
        (WISH | {"kinds": ["card*"]}, "kinds"),
        (WISH | {"activity": ""}, "activity"),
        (WISH | {"activity": "a\0"}, "activity"),
        (WISH | {"enabled": 1}, "enabled"),
        (WISH | {"secret": "whsec_mine"}, "secret"),
    ],
)
async def test_what_is_wrong_is_named_with_the_fix_and_reaches_no_service(api, body, field):
    answer = await api.client.put(ONE, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert error["fix"]
    assert not api.calls


async def test_what_the_service_refuses_is_named_too(api):
    api.webhooks.answers["put"] = FieldRefusedError("url", "leads to 127.0.0.1", "use a public one")
    answer = await api.client.put(ONE, json=WISH)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "url", "problem": "leads to 127.0.0.1", "fix": "use a public one"}]


@pytest.mark.parametrize("name", ["-a", "a b", "a" * 65, "ä", "a:b"])
async def test_names_are_plain(api, name):
    answer = await api.client.get(f"/v1/webhooks/{name}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "", None),
        ("DELETE", "", False),
        ("POST", ":rotate-secret", None),
        ("GET", "/attempts", None),
        ("GET", "/dead-letters", None),
        ("POST", "/dead-letters:replay", None),
        ("POST", "/events/41:resend", None),
    ],
)
async def test_a_webhook_that_is_not_there(api, method, path, answer):
    api.webhooks.answers = dict.fromkeys(api.webhooks.answers, answer)
    found = await api.client.request(method, ONE + path)
    assert (found.status_code, found.json()["code"]) == (404, "not_found")


async def test_log_and_dead_letters_are_paged(api):
    found = (await api.client.get(f"{ONE}/attempts?before=100&limit=1")).json()
    assert found["next_before"] == 9
    assert found["attempts"][0]["outcome"] == "refused"
    assert api.webhooks.calls[-1] == ("attempts", (7, "ops"), {"before": 100, "maximum": 1})
    found = (await api.client.get(f"{ONE}/dead-letters")).json()
    assert found["next_after"] is None
    assert found["dead_letters"][0]["event"]["data"] == {
        "activity": "match-1",
        "card": 3,
        "installation_id": "i-1",
        "reason": "x",
    }


async def test_one_event_again(api):
    assert (await api.client.post(f"{ONE}/events/41:resend")).status_code == 200
    assert api.webhooks.calls[-1][1] == (7, "ops", EventId(41))
    assert (await api.client.post(f"{ONE}/events/x:resend")).status_code == 422
    api.webhooks.answers["resend"] = False
    answer = await api.client.post(f"{ONE}/events/99:resend")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kinds=card.vanished", "kinds"),
        ("kinds=,", "kinds"),
        ("activity=", "activity"),
        ("after=-1", "after"),
        ("after=1.5", "after"),
        ("after=" + "9" * 400, "after"),
        ("after=1&after=2", "after"),
        ("since=1", "since"),
    ],
)
async def test_a_stream_that_is_asked_for_wrongly(api, query, field):
    answer = await api.client.get(f"/v1/stream?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_stream_needs_a_rest_key_and_a_known_activity(api):
    sdk = await api.client.get("/v1/stream", headers={"x-netmera-api-key": "sdk-key"})
    assert sdk.status_code == 403
    unknown = await api.client.get("/v1/stream?activity=nobody")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    wrong = await api.client.get("/v1/stream", headers={"last-event-id": "abc"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "Last-Event-ID")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["url", "kinds", "activity", "enabled", "x"]), json_values),
    st.text(max_size=5),
)
async def test_no_wish_of_any_kind_is_a_server_error(api, wish: dict[str, Any], name: str):
    answer = await api.client.put(f"/v1/webhooks/{quote(name, safe='')}", content=json.dumps(wish).encode())
    assert answer.status_code < 500
