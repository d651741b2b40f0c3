"""A client that we did not write, with its wire code as it is, pushes to the simulator."""

import time

import aioapns
import pytest
from aioapns.connection import APNsDevelopmentClientProtocol

from skerry.domain.push import Environment
from skerry.simulator.apns import ApnsServer, Chaos, Ledger, ProviderKeys
from skerry.simulator.clock import FrozenClock


@pytest.fixture
async def pushing(certificates, monkeypatch):
    """An aioapns client and what it pushes to; only the address is changed in aioapns."""
    from skerry.simulator.carrier import Standing, TokenKind

    class Phones:
        def __init__(self):
            self.delivered = []

        def standing(self, environment, token):
            return Standing("com.example.app", TokenKind.UPDATE) if token == "80" * 80 else None

        def deliver(self, delivery):
            self.delivered.append(delivery)

    clock, keys, phones, ledger = FrozenClock(time.time()), ProviderKeys(), Phones(), Ledger()
    pem = keys.generate_dev("SKERRYTEAM", "SKERRYDEV1")
    server = ApnsServer(phones, keys, clock=clock, chaos=Chaos(clock), ledger=ledger)
    _, port = await server.start(Environment.SANDBOX, ssl_context=certificates.server_context())
    monkeypatch.setattr(APNsDevelopmentClientProtocol, "APNS_SERVER", "localhost")
    monkeypatch.setattr(APNsDevelopmentClientProtocol, "APNS_PORT", port)
    client = aioapns.APNs(
        key=pem.decode(),
        key_id="SKERRYDEV1",
        team_id="SKERRYTEAM",
        topic="com.example.app.push-type.liveactivity",
        use_sandbox=True,
        max_connections=1,
        ssl_context=certificates.client_context(),
    )
    yield client, phones, ledger
    for connection in list(client.pool.connections):
        connection.close()
    await server.close()


def request(token: str) -> aioapns.NotificationRequest:
    return aioapns.NotificationRequest(
        device_token=token,
        message={"aps": {"event": "update", "timestamp": 1_790_000_000, "content-state": {"n": 1}}},
        push_type=aioapns.PushType.LIVEACTIVITY,
        priority=10,
    )


async def test_aioapns_pushes_a_live_activity(pushing):
    client, phones, ledger = pushing
    for _ in range(20):
        result = await client.send_notification(request("80" * 80))
        assert result.is_successful
    assert len(phones.delivered) == 20
    assert ledger.counts()["statuses"] == {"200": 20}
    assert {entry.connection for entry in ledger.entries()} == {1}


async def test_aioapns_is_told_of_a_bad_device_token(pushing):
    client, phones, _ = pushing
    result = await client.send_notification(request("ff" * 80))
    assert (result.status, result.description) == ("400", "BadDeviceToken")
    assert (await client.send_notification(request("80" * 80))).is_successful
    assert len(phones.delivered) == 1
