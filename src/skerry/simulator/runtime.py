"""The whole simulated world, started and stopped together: APNs listeners, phones, their reporter, the HTTP API."""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from skerry.domain.push import Endpoint, Environment
from skerry.simulator.apns import ApnsServer, Chaos, Ledger, Listener, ProviderKeys
from skerry.simulator.apns.tls import ensure_certificates
from skerry.simulator.clock import Clock
from skerry.simulator.phone.reporter import Reporter, Service
from skerry.simulator.phone.swift_types import AttributesType
from skerry.simulator.web import build_app
from skerry.simulator.world import World

TEAM_ID = "SKERRYTEAM"
KEY_ID = "SKERRYDEV1"
OLDER_OS = "17.6"
"""Of phones that know no broadcast channels."""

GUIDE_TYPES = (
    {
        "name": "LiveActivityAttributes",
        "attributes": {"referenceId": "String", "category": "String", "netmeraGroupId": "String?"},
        "content_state": {"title": "String", "subtitle": "String", "progress": "Double"},
    },
    {
        "name": "MatchLiveScoreWidgetAttributes",
        "attributes": {
            "leagueName": "String",
            "homeTeamName": "String",
            "awayTeamName": "String",
            "matchStartTime": "String",
            "netmeraGroupId": "String?",
        },
        "content_state": {"homeTeamScore": "Int", "awayTeamScore": "Int", "matchStatus": "String"},
    },
)
"""The `ActivityAttributes` of the app in the guide, of its former and of its current edition (netmera.md 5.1)."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """A running simulation."""

    world: World
    ledger: Ledger
    chaos: Chaos
    endpoints: dict[Environment, Endpoint]
    management_endpoints: dict[Environment, Endpoint]
    private_key: bytes
    """The `.p8` that this APNs knows, of team `TEAM_ID` and key `KEY_ID`."""
    api_url: str
    """Where the simulator's own HTTP API answers."""


class _Server(uvicorn.Server):
    """Signals are for the program around it, which stops the simulation as a whole."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def simulate(
    directory: Path, service: Service, *, bundle_id: str, phones: int, older_phones: int = 0, host: str = "127.0.0.1"
) -> AsyncIterator[Simulation]:
    """Run a simulated world until the block is left.

    Args:
        directory: keeps certificates and the provider key, so that a restart finds the same ones.
        service: where the phones report their events.
        bundle_id: the app on the phones.
        phones: how many, with the iOS of today.
        older_phones: how many more, with iOS 17.
        host: the address to listen on; ports are free ones.
    """
    clock = Clock()
    certificates = ensure_certificates(directory)
    keys = ProviderKeys()
    private_key = _provider_key(keys, directory / f"AuthKey_{KEY_ID}.p8")
    reporter = Reporter(service, clock, longest_backoff_s=2.0)
    types = {kind.name: kind for kind in map(AttributesType.declared, GUIDE_TYPES)}
    world = World(clock, bundle_id=bundle_id, types=types, reporter=reporter)
    ledger, chaos = Ledger(), Chaos(clock)
    server = ApnsServer(world, keys, clock=clock, chaos=chaos, ledger=ledger)
    context = certificates.server_context()
    try:
        endpoints: dict[Listener, dict[Environment, Endpoint]] = {listener: {} for listener in Listener}
        for listener in Listener:
            for environment in Environment:
                address, port = await server.start(
                    environment,
                    host,
                    ssl_context=context,
                    flawed_context=certificates.flawed_context,
                    listener=listener,
                )
                endpoints[listener][environment] = Endpoint(address, port, str(certificates.ca_file))
        api = build_app(world, ledger, chaos, server.channels)
        web = _Server(uvicorn.Config(api, host=host, port=0, log_level="warning", lifespan="off"))
        world_task = asyncio.create_task(world.run(), name="simulated phones")
        web_task = asyncio.create_task(web.serve(), name="simulator's HTTP API")
        try:
            while not web.started:
                if web_task.done():
                    raise RuntimeError("the simulator's HTTP API could not be started: is the address free?")
                await asyncio.sleep(0.01)
            port = web.servers[0].sockets[0].getsockname()[1]
            world.add_phones(phones)
            if older_phones:
                world.add_phones(older_phones, os_version=OLDER_OS)
            yield Simulation(
                world,
                ledger,
                chaos,
                endpoints[Listener.PUSH],
                endpoints[Listener.MANAGEMENT],
                private_key,
                f"http://{host}:{port}",
            )
        finally:
            web.should_exit = True
            world_task.cancel()
            await asyncio.gather(world_task, web_task, return_exceptions=True)
    finally:
        await server.close()


def _provider_key(keys: ProviderKeys, path: Path) -> bytes:
    if path.exists():
        private_key = path.read_bytes()
        keys.register_pem(TEAM_ID, KEY_ID, private_key)
        return private_key
    private_key = keys.generate_dev(TEAM_ID, KEY_ID)
    path.touch(mode=0o600)
    path.write_bytes(private_key)
    return private_key
