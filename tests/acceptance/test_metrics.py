"""`/metrics` of a service that has pushed to a simulated APNs: every number is there, and is what happened."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from whole_service import REST, Whole, whole_service

from skerry.domain.push import Environment
from skerry.metrics import Counted, Gauge, Timed
from skerry.simulator.phone.reporter import Service
from skerry.simulator.runtime import KEY_ID, TEAM_ID, simulate

PHONES = 3
MATCH: dict[str, Any] = {
    "type": "LiveActivityAttributes",
    "attributes": {"referenceId": "final", "category": "sport"},
    "state": {"title": "Final", "subtitle": "0 : 0", "progress": 0.1},
    "alert": {"title": "Final", "body": "It begins"},
    "audience": {"all": True},
}
NOBODY = Service("http://127.0.0.1:9", "the phones of this test report nothing by themselves")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    """A service whose app has one phone more than APNs knows: that one's start token is nobody's."""
    async with (
        simulate(tmp_path / "simulator", NOBODY, bundle_id="com.example.shop", phones=PHONES) as simulation,
        whole_service(tmp_path / "data") as whole,
    ):
        app = replace(
            whole.app,
            team_id=TEAM_ID,
            key_id=KEY_ID,
            private_key=simulation.private_key,
            environment=Environment.SANDBOX,
            endpoints=simulation.endpoints,
            management_endpoints=simulation.management_endpoints,
        )
        await whole.service.apps.save(app)
        tokens = [phone.start_token for phone in simulation.world.phones.values()]
        for number, token in enumerate([*tokens, "ab" * 80]):
            start_token = {"name": "LiveActivityStartToken", "token": token}
            answer = await whole.report(f"phone-{number}", start_token, extId=f"user-{number}", osVersion="17.4")
            assert answer.json() == {"outcomes": ["accepted"]}
        yield whole


async def samples(whole: Whole) -> Samples:
    text = (await whole.client.get("/metrics")).text
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def read(found: Samples, name: str, **labels: str) -> float:
    """The one sample with these labels among its own, or the sum of several."""
    values = [value for (one, has), value in found.items() if one == name and labels.items() <= dict(has).items()]
    assert values, (name, labels)
    return sum(values)


async def test_what_was_pushed_can_be_read(whole: Whole) -> None:
    before = await samples(whole)
    assert read(before, "skerry_pushes_total", verdict="accepted") == 0
    assert read(before, "skerry_outbox_oldest_seconds") == read(before, "skerry_overdue_seconds") == 0

    headers = {"X-netmera-api-key": REST}
    answer = await whole.client.put("/v1/activities/final", params={"wait": 10}, json=MATCH, headers=headers)
    assert answer.json()["settled"], answer.text
    found = await samples(whole)

    assert read(found, "skerry_pushes_total", verdict="accepted") == PHONES
    assert read(found, "skerry_push_refusals_total", reason="BadDeviceToken") == 2, "in both environments"
    for histogram in ("skerry_push_wire_seconds", "skerry_push_verdict_seconds"):
        assert read(found, f"{histogram}_count") == read(found, f"{histogram}_bucket", le="+Inf") > 0
        assert 0 < read(found, f"{histogram}_sum") < 60
    assert read(found, "skerry_push_wire_seconds_count") == PHONES + 1, "first writings only"
    assert read(found, "skerry_push_verdict_seconds_count") == PHONES + 2
    assert read(found, "skerry_outbox_chunks") == read(found, "skerry_outbox_plans") == 0
    assert read(found, "skerry_apns_connections", state="open", team=TEAM_ID, key=KEY_ID) >= 1
    assert read(found, "skerry_apns_stream_limit") >= 1
    assert read(found, "skerry_apns_window_bytes") > 4096
    assert read(found, "skerry_apns_open_streams") == read(found, "skerry_apns_queued") == 0
    assert 0 <= read(found, "skerry_apns_provider_token_age_seconds") < 120
    assert read(found, "skerry_apns_gate_closed") == 0
    assert read(found, "skerry_broadcasts_total", outcome="accepted") == 0
    assert read(found, "skerry_store_commits_total") > 0


async def test_every_metric_that_is_declared_is_shown(whole: Whole) -> None:
    from skerry import metrics

    await whole.client.put("/v1/activities/final", params={"wait": 10}, json=MATCH, headers={"X-netmera-api-key": REST})
    text = (await whole.client.get("/metrics")).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for one in vars(metrics).values():
        if isinstance(one, Counted | Gauge | Timed):
            assert families[one.name].samples, one.name
            assert families[one.name].documentation == one.meaning


async def test_a_closed_gate_is_seen_with_its_cause_and_what_waits_behind_it(whole: Whole) -> None:
    known = await whole.service.apps.app(whole.app.app_id)
    assert known is not None
    await whole.service.apps.save(replace(known, key_id="NOTMYKEY00"))
    await whole.client.put("/v1/activities/final", json=MATCH, headers={"X-netmera-api-key": REST})
    found: Samples = {}
    while not any(name == "skerry_apns_gate_closed" and value for (name, _), value in found.items()):
        found = await samples(whole)
    assert read(found, "skerry_apns_gate_closed", cause="credential", key="NOTMYKEY00") == 1
    assert read(found, "skerry_apns_gate_closed", cause="server_errors") == 0
