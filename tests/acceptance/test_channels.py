"""The client and the simulated world together: one broadcast reaches every phone that can listen, and no other."""

import asyncio
import json
import time
from pathlib import Path

import httpx2

from skerry.apns import ApnsClient, Channels
from skerry.domain.channel import Broadcast, StoragePolicy
from skerry.domain.push import Accepted, Credential, Environment, Outcome, PushBatch, Route
from skerry.simulator.phone.reporter import Service
from skerry.simulator.phone.verdict import Verdict
from skerry.simulator.runtime import KEY_ID, TEAM_ID, simulate

BUNDLE = "com.example.app"


def payload(event: str, timestamp: int, progress: float, **more: object) -> bytes:
    state = {"title": "Final", "subtitle": "2 : 1", "progress": progress}
    return json.dumps({"aps": {"timestamp": timestamp, "event": event, "content-state": state, **more}}).encode()


async def test_one_broadcast_updates_every_newer_phone_and_no_older_one(tmp_path: Path) -> None:
    nobody = Service("http://127.0.0.1:9", "key")
    now = int(time.time())
    async with (
        simulate(tmp_path, nobody, bundle_id=BUNDLE, phones=300, older_phones=200) as simulation,
        ApnsClient() as client,
    ):
        world, sandbox = simulation.world, Environment.SANDBOX
        credential, channels = Credential(TEAM_ID, KEY_ID, simulation.private_key), Channels(client)
        push = Route(credential, simulation.endpoints[sandbox])
        management = Route(credential, simulation.management_endpoints[sandbox])

        created = await channels.create(management, BUNDLE, StoragePolicy.MOST_RECENT_MESSAGE_STORED)
        assert isinstance(created, Accepted)
        channel = created.value
        start = payload(
            "start",
            now,
            0.1,
            **{
                "attributes-type": "LiveActivityAttributes",
                "attributes": {"referenceId": "final", "category": "sport"},
                "alert": {"title": "Final", "body": "It begins"},
                "input-push-channel": channel.channel_id,
            },
        )
        tokens = [phone.start_token or "" for phone in world.phones.values()]
        outcomes = await client.send(push, PushBatch(f"{BUNDLE}.push-type.liveactivity", start, tokens))
        assert outcomes.counts()[Outcome.ACCEPTED] == 500, "APNs accepts what older phones will not show"

        update = Broadcast(BUNDLE, channel, payload("update", now + 1, 0.9), now + 3600, priority=5)
        assert isinstance(await channels.publish(push, update), Accepted)
        async with asyncio.timeout(20):
            while world.counts()[0][Verdict.SHOWN] < 300:
                await asyncio.sleep(0.02)
        assert world.counts()[0] == {Verdict.STARTED: 300, Verdict.OS_TOO_OLD: 200, Verdict.SHOWN: 300}

        async with httpx2.AsyncClient(base_url=simulation.api_url, trust_env=False) as api:
            (shown,) = (await api.get("/simulator/channels")).json()["channels"]
            assert (shown["id"], shown["listeners"], shown["broadcasts"]) == (channel.channel_id, 300, 1)
            ledger = (await api.get("/simulator/ledger?operation=broadcast")).json()
        assert ledger["counts"]["operations"] == {"broadcast": 1, "create_channel": 1, "push": 500}
        assert ledger["entries"][0]["channel_id"] == channel.channel_id
