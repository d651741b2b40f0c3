"""Health, metrics and the description of the API, which must match its routes."""

import asyncio
from ipaddress import ip_address

import jsonschema
import pytest
import structlog

from skerry.api.limits import RateLimit, bucket_of
from skerry.api.ports import ApiSettings


async def test_health(api):
    assert (await api.client.get("/healthz")).status_code == 200
    api.health.alive = False
    assert (await api.client.get("/healthz")).status_code == 503


async def test_readiness_says_what_is_wrong(api):
    answer = await api.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "checks": {"store": "ok"}})
    api.health.checks["apns"] = "no credential: give the app a .p8 key"
    answer = await api.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["apns"].startswith("no credential")


async def test_metrics_count_requests_by_operation_and_status(api):
    await api.post("update-live-activity", {"groupId": "g", "action": "END"})
    await api.post("update-live-activity", b"nonsense")
    text = (await api.client.get("/metrics")).text
    assert 'skerry_http_requests_total{operation="update-live-activity",status="200"} 1.0' in text
    assert 'skerry_http_requests_total{operation="update-live-activity",status="400"} 1.0' in text


async def test_metrics_count_device_events_by_outcome(api):
    from skerry.domain.commands import ReportResult

    api.registry.answers["report"] = ReportResult(("accepted", "accepted", "refused: token taken"))
    event = {"name": "n:lac", "groupId": "g"}
    await api.report({"installationId": "i", "events": [event] * 3})
    text = (await api.client.get("/metrics")).text
    assert 'skerry_device_events_total{outcome="accepted"} 2.0' in text
    assert 'skerry_device_events_total{outcome="refused"} 1.0' in text


async def test_updates_of_unknown_groups_are_counted(api):
    api.activities.answers["end"] = False
    await api.post("update-live-activity", {"groupId": "g", "action": "END"})
    assert "skerry_unknown_groups_total 1.0" in (await api.client.get("/metrics")).text


async def test_an_answer_carries_the_requests_id(api):
    answer = await api.client.get("/healthz")
    assert answer.headers["x-request-id"]
    answer = await api.client.get("/healthz", headers={"x-request-id": "trace-1"})
    assert answer.headers["x-request-id"] == "trace-1"
    answer = await api.client.get("/healthz", headers={"x-request-id": "a b\tc" * 100})
    assert answer.headers["x-request-id"] != "a b\tc" * 100


async def test_a_request_is_one_line_in_the_log_without_keys_and_tokens(api):
    token = "ab" * 32
    with structlog.testing.capture_logs() as lines:
        await api.report({"installationId": "i", "events": [{"name": "n:lst", "token": token}]})
        await api.get("getPushResult", token=token)
        await api.client.get("/nowhere")
    assert [(line["path"], line["status"], line["app_id"]) for line in lines] == [
        ("/v1/events", 200, 7),
        ("/rest/3.0/getPushResult", 200, 7),
        ("/nowhere", 404, None),
    ]
    for secret in (token, "rest-key", "sdk-key"):
        assert secret not in repr(lines)


async def test_an_answer_that_does_not_come_is_an_error_and_not_a_hanging_connection(make_api):
    api = make_api(ApiSettings(answer_timeout=0.01))

    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    api.registry.devices = never
    answer = await api.get("getDevices", extId="u")
    assert (answer.status_code, answer.json()["code"]) == (500, 2001)


async def test_a_key_that_calls_too_fast_is_told_when_to_come_back(make_api):
    api = make_api(ApiSettings(requests_per_minute=(1.0, 2.0)))
    answers = [await api.get("getDevices", extId="u") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json() == {"code": 5022, "error": "Service usage quota is exceeded"}
    assert 0 < int(answers[2].headers["retry-after"]) <= 60


@pytest.mark.parametrize(("path", "status"), [("/rest/3.0/update-live-activity", 408), ("/v1/events", 408)])
async def test_a_body_that_does_not_arrive(make_api, path, status):
    api = make_api(ApiSettings(body_timeout=0.01))

    async def slow():
        yield b"{"
        await asyncio.Event().wait()

    answer = await api.client.post(path, content=slow())
    assert answer.status_code == status
    assert not api.calls


def test_neighbours_in_one_ipv6_network_share_a_bucket():
    assert bucket_of(ip_address("2001:db8::1")) == bucket_of(ip_address("2001:db8::ffff"))
    assert bucket_of(ip_address("2001:db8:0:1::1")) != bucket_of(ip_address("2001:db8::1"))
    assert bucket_of(ip_address("192.0.2.1")) != bucket_of(ip_address("192.0.2.2"))


def test_a_bucket_refills_and_the_least_used_are_forgotten():
    time = [0.0]
    limit = RateLimit(60, 2, clock=lambda: time[0], most=2)
    assert [limit.take("a", 1), limit.take("a", 1)] == [0.0, 0.0]
    assert limit.take("a", 1) == 1.0
    time[0] = 1.0
    assert limit.take("a", 1) == 0.0
    limit.take("b", 1)
    limit.take("c", 1)
    assert limit.take("a", 2) == 0.0, "forgotten, so full again"


async def test_the_description_names_every_route_and_no_other(api):
    document = (await api.client.get("/openapi.json")).json()
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    routes = {
        (method, route.path) for route in api.app.app.otherwise.routes for method in route.methods if method != "HEAD"
    }
    assert described == routes


async def test_every_operation_describes_its_answers(api):
    document = (await api.client.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert "200" in operation["responses"]
            for answer in operation["responses"].values():
                assert answer["description"]


async def test_schemas_in_the_description_are_schemas(api):
    document = (await api.client.get("/openapi.json")).json()
    for path in document["paths"].values():
        for operation in path.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                jsonschema.Draft202012Validator.check_schema(content["schema"])


async def test_the_example_of_each_operation_fits_its_description_and_is_accepted(api):
    document = (await api.client.get("/openapi.json")).json()
    described = {"components": document["components"]}
    for path, operations in document["paths"].items():
        content = operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json")
        if content is not None:
            jsonschema.validate(content["example"], content["schema"] | described)
            answer = await api.client.post(path, json=content["example"])
            assert answer.is_success, (path, answer.text)


async def test_every_operation_says_which_key_it_needs_and_how_it_refuses(api):
    document = (await api.client.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path.startswith(("/rest/", "/v1/")):
                assert operation["security"], path
                assert {"400", "403", "429", "500"} <= operation["responses"].keys(), path
            for parameter in operation.get("parameters", ()):
                assert parameter["schema"]["description"], (path, parameter["name"])
