"""`kill -9` of the service in the middle of an activity's life: its stream and its webhooks tell all of it."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import standardwebhooks
from live_service import Stream
from webhook_receiver import receiver

from skerry.cli.dev import REST_KEY, DevService, run_dev

PHONES = 5
LIFE = Counter(
    {
        "activity.started": 1,
        "activity.updated": 1,
        "activity.ended": 1,
        "revision.settled": 3,
        "card.joined": PHONES,
        "card.ended": PHONES,
    }
)
"""What is told of an activity on five phones, in whatever order."""
START = {
    "message": {
        "title": "Kick-off",
        "text": "It begins",
        "platforms": ["IOS"],
        "contentState": {"title": "0", "subtitle": "", "progress": 0},
        "liveActAttr": {"referenceId": "match-1", "category": "match"},
        "liveActAttrType": "LiveActivityAttributes",
        "groupId": "match-1",
    },
    "type": "LIVE_ACTIVITY",
    "target": {"sendToAll": True},
}


def change(action: str) -> dict[str, Any]:
    state = {"title": action, "subtitle": "", "progress": 1}
    return {"groupId": "match-1", "action": action, "contentState": state, "priority": 10}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKERRY_WEBHOOKS__ALLOW_PRIVATE_NETWORKS", "true")
    monkeypatch.setenv("SKERRY_WEBHOOKS__ALLOW_HTTP", "true")
    monkeypatch.setenv("SKERRY_WEBHOOKS__TIMEOUT_S", "2")


async def kill(service: DevService, client: httpx2.AsyncClient) -> None:
    killed = service.process
    killed.kill()
    while service.process is killed:
        await asyncio.sleep(0.01)
    while True:
        with contextlib.suppress(httpx2.HTTPError):
            await client.get("/healthz")
            return
        await asyncio.sleep(0.02)


async def follow(client: httpx2.AsyncClient, told: list[dict[str, Any]]) -> None:
    """Read the stream as a browser does: whenever it breaks, come back with the last id."""
    place = "0"
    while True:
        with contextlib.suppress(httpx2.HTTPError):
            async with client.stream("GET", "/v1/stream", headers={"last-event-id": place}) as response:
                stream = Stream(response, place)
                while (message := await stream.next()) is not None:
                    told.append(message.data)
                    place = message.id
        await asyncio.sleep(0.05)


async def until(met: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not met():
            await asyncio.sleep(0.05)


async def test_stream_and_webhook_tell_a_whole_life_across_two_kills(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    headers = {"X-netmera-api-key": REST_KEY}
    told: list[dict[str, Any]] = []
    async with (
        receiver() as caller,
        run_dev(tmp_path, host="127.0.0.1", port=port, phones=PHONES) as service,
        httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=30.0) as client,
    ):
        made = await client.put("/v1/webhooks/ops", json={"url": caller.url()})
        assert made.status_code == 201, made.text
        following = asyncio.create_task(follow(client, told))
        try:
            await until(lambda: kinds(told)["start_token.reported"] == PHONES)
            assert (await client.post("/rest/3.0/sendBulkNotification", json=START)).status_code == 200
            await kill(service, client)
            await until(lambda: kinds(told)["card.joined"] == PHONES)
            assert (await client.post("/rest/3.0/update-live-activity", json=change("UPDATE"))).status_code == 200
            await until(lambda: kinds(told)["revision.settled"] == 2)
            await kill(service, client)
            assert (await client.post("/rest/3.0/update-live-activity", json=change("END"))).status_code == 200
            await until(lambda: life(told) == LIFE)
            wanted = {one["id"] for one in told if one["type"] in LIFE}
            await caller.until(lambda requests: wanted <= {one.event["id"] for one in requests})
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    ids = [one["id"] for one in told]
    assert ids == sorted(set(ids))
    assert [one["data"]["verdicts"] for one in told if one["type"] == "revision.settled"][1:] == [
        {"accepted": PHONES},
        {"accepted": PHONES},
    ]
    first = next(one for one in told if one["type"] == "revision.settled")
    assert sum(first["data"]["verdicts"].values()) == PHONES
    library = standardwebhooks.Webhook(made.json()["secret"])
    for request in caller.requests:
        assert library.verify(request.body, request.headers) in told


def kinds(told: list[dict[str, Any]]) -> Counter[str]:
    return Counter(one["type"] for one in told)


def life(told: list[dict[str, Any]]) -> Counter[str]:
    return Counter(one["type"] for one in told if one["type"] in LIFE)
