"""A simulated APNs for the client to push to over real TLS."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from simulated_apple import Apple, Tokens

from skerry.apns import ApnsClient, PoolSettings
from skerry.domain.push import Credential, Endpoint, Environment, Route
from skerry.simulator.apns import ApnsServer, Chaos, Ledger, Listener, ProviderKeys, ensure_certificates
from skerry.simulator.clock import Clock


@pytest.fixture
async def apple(tmp_path: Path) -> AsyncIterator[Apple]:
    clock, phones, keys, ledger = Clock(), Tokens(), ProviderKeys(), Ledger()
    chaos = Chaos(clock)
    private_key = keys.generate_dev()
    certificates = ensure_certificates(tmp_path)
    server = ApnsServer(phones, keys, clock=clock, chaos=chaos, ledger=ledger)
    credential, context = Credential("SKERRYTEAM", "SKERRYDEV1", private_key), certificates.server_context()

    async def route_to(listener: Listener) -> Route:
        host, port = await server.start(Environment.SANDBOX, ssl_context=context, listener=listener)
        return Route(credential, Endpoint(host, port, str(certificates.ca_file)))

    route, management = await route_to(Listener.PUSH), await route_to(Listener.MANAGEMENT)
    async with ApnsClient(PoolSettings(growth_interval=0.05, back_off=0.05)) as client:
        yield Apple(phones, chaos, ledger, keys, server, route, management, client)
    await server.close()
    await asyncio.sleep(0)
