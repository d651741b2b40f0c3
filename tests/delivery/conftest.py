"""The whole service, and a simulated APNs that its app may be pointed at."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from whole_service import Whole, whole_service

from skerry.domain.push import Endpoint, Environment
from skerry.simulator.apns import ApnsServer, Chaos, Ledger, ProviderKeys, ensure_certificates
from skerry.simulator.carrier import Delivery, Standing, TokenKind
from skerry.simulator.clock import Clock

BUNDLE = "com.example.shop"


class Tokens:
    """Tokens that begin with `5a` are start tokens, all others update tokens, of the sandbox."""

    def standing(self, environment: Environment, token: str) -> Standing | None:
        if environment is not Environment.SANDBOX:
            return None
        return Standing(BUNDLE, TokenKind.START if token.startswith("5a") else TokenKind.UPDATE)

    def deliver(self, delivery: Delivery) -> None: ...


@dataclass
class Apple:
    chaos: Chaos
    ledger: Ledger
    endpoint: Endpoint
    private_key: bytes

    async def adopt(self, house: Whole) -> None:
        """Give the app its APNs key, and this APNs."""
        endpoints = dict.fromkeys(Environment, self.endpoint)
        app = replace(
            house.app,
            team_id="SKERRYTEAM",
            key_id="SKERRYDEV1",
            private_key=self.private_key,
            environment=Environment.SANDBOX,
            endpoints=endpoints,
        )
        await house.service.apps.save(app)


@pytest.fixture
async def apple(tmp_path: Path) -> AsyncIterator[Apple]:
    clock, keys, ledger = Clock(), ProviderKeys(), Ledger()
    chaos = Chaos(clock)
    private_key = keys.generate_dev()
    certificates = ensure_certificates(tmp_path / "apple")
    server = ApnsServer(Tokens(), keys, clock=clock, chaos=chaos, ledger=ledger)
    host, port = await server.start(Environment.SANDBOX, ssl_context=certificates.server_context())
    yield Apple(chaos, ledger, Endpoint(host, port, str(certificates.ca_file)), private_key)
    await server.close()


@pytest.fixture
def open_house(tmp_path: Path) -> Callable[..., contextlib.AbstractAsyncContextManager[Whole]]:
    """Open the service; a second time on the same data, as after a restart."""

    def opened(**settings: Any) -> contextlib.AbstractAsyncContextManager[Whole]:
        return whole_service(tmp_path / "data", **settings)

    return opened
