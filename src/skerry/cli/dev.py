"""`skerry dev`: the service, a simulated APNs and simulated phones in one process tree, ready to use.

The simulator lives in this process and the service in a child, so that the service can be killed and comes back while
phones, ledger and APNs go on.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from rich.console import Console

from skerry.app import open_admin
from skerry.domain.app import App, KeyKind
from skerry.domain.push import Environment
from skerry.http_server import listening
from skerry.settings import Settings
from skerry.simulator.phone.reporter import Service
from skerry.simulator.runtime import KEY_ID, TEAM_ID, Simulation, simulate
from skerry.store.sqlite import SqliteStore

BUNDLE_ID = "com.example.app"
APP_NAME = "dev"
REST_KEY = "dev-rest-key"
SDK_KEY = "dev-sdk-key"
READY_WITHIN = 30.0
"""Seconds that the service may take to answer after its start."""

console = Console(stderr=True)


@dataclass(slots=True)
class DevService:
    """The service in its child process, and the simulation beside it."""

    url: str
    simulation: Simulation
    process: asyncio.subprocess.Process
    restarts: int = 0

    @property
    def pid(self) -> int:
        """The service's process, to be killed and seen to come back."""
        return self.process.pid


def dev(
    port: Annotated[int, typer.Option(help="Where the service and /simulator/ answer.", min=1, max=65535)] = 8080,
    phones: Annotated[int, typer.Option(help="How many simulated phones, signed in as user-1 … user-N.", min=1)] = 3,
    older_phones: Annotated[int, typer.Option(help="How many more, with iOS 17: without channels.", min=0)] = 0,
    data: Annotated[Path, typer.Option(help="Directory for the database, keys and certificates.")] = Path("skerry-dev"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Run the service with a simulated APNs and simulated phones: everything but the iPhone.

    Keys are fixed: dev-rest-key for your backend, dev-sdk-key for apps. Try it:

        curl -s localhost:8080/simulator/phones
    """
    with suppress(KeyboardInterrupt):
        asyncio.run(_until_stopped(host, port, phones, older_phones, data))


async def _until_stopped(host: str, port: int, phones: int, older_phones: int, data: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with run_dev(data, host=host, port=port, phones=phones, older_phones=older_phones) as service:
        Console(soft_wrap=True, highlight=False).print(*_addresses(service, phones + older_phones), sep="\n")
        await stop.wait()


@asynccontextmanager
async def run_dev(data: Path, *, host: str, port: int, phones: int, older_phones: int = 0) -> AsyncIterator[DevService]:
    """Run the process tree until the block is left; the service answers when it is entered.

    Raises:
        RefusedError: if the address is taken.
        StoreInUseError: if another service runs on this directory; it is left as it is.
        RuntimeError: if the service cannot be started; its own words have gone to standard error.
    """
    with listening(host, port):
        pass  # another service that answers there must not be taken for ours
    url = f"http://{host}:{port}"
    async with simulate(
        data / "simulator", Service(url, SDK_KEY), bundle_id=BUNDLE_ID, phones=phones, older_phones=older_phones
    ) as simulation:
        await _prepare(data, simulation)

        async def spawn() -> asyncio.subprocess.Process:
            return await _spawn(data, host, port, simulation.api_url)

        service = DevService(url, simulation, await spawn())
        keeper = asyncio.create_task(_keep_alive(service, spawn), name="keeps the service alive")
        try:
            await _until_ready(service)
            yield service
        finally:
            keeper.cancel()
            with suppress(ProcessLookupError):
                service.process.terminate()
            await service.process.wait()


async def _prepare(data: Path, simulation: Simulation) -> None:
    """The development app with its fixed keys, pointed at this simulation."""
    async with await SqliteStore.open(Settings(data_dir=data).database):
        pass  # nobody runs on it, whose app we would point elsewhere
    async with open_admin(Settings(data_dir=data)) as admin:
        apps = admin.apps
        app = await apps.find(APP_NAME)
        if app is None:
            app = await apps.create(
                APP_NAME,
                BUNDLE_ID,
                team_id=TEAM_ID,
                key_id=KEY_ID,
                private_key=simulation.private_key,
                environment=Environment.SANDBOX,
                endpoints=simulation.endpoints,
                management_endpoints=simulation.management_endpoints,
            )
            await apps.create_key(app.app_id, KeyKind.REST, "development", text=REST_KEY)
            await apps.create_key(app.app_id, KeyKind.SDK, "development", text=SDK_KEY)
        else:
            await apps.save(_pointed_at(app, simulation))


def _pointed_at(app: App, simulation: Simulation) -> App:
    return replace(
        app,
        endpoints=simulation.endpoints,
        management_endpoints=simulation.management_endpoints,
        private_key=simulation.private_key,
    )


async def _spawn(data: Path, host: str, port: int, simulator_url: str) -> asyncio.subprocess.Process:
    environment = {
        # A lost answer to a start is looked at again soon: simulated phones report within seconds.
        "SKERRY_DELIVERY__UNKNOWN_START_AFTER_S": "15",
        "SKERRY_LOG__LEVEL": "warning",
        **os.environ,
        "SKERRY_DATA_DIR": str(data),
        "SKERRY_HTTP__HOST": host,
        "SKERRY_HTTP__PORT": str(port),
        "SKERRY_HTTP__SIMULATOR_URL": simulator_url,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "skerry", "serve", "--quiet", env=environment, stdin=asyncio.subprocess.DEVNULL
    )


async def _keep_alive(service: DevService, spawn: Callable[[], Awaitable[asyncio.subprocess.Process]]) -> None:
    while True:
        code = await service.process.wait()
        service.restarts += 1
        console.print(f"[yellow]The service ended ({code}); starting it again.[/]")
        await asyncio.sleep(min(0.2 * service.restarts, 5.0))
        service.process = await spawn()


async def _until_ready(service: DevService) -> None:
    async with httpx2.AsyncClient(base_url=service.url, timeout=2.0) as client, asyncio.timeout(READY_WITHIN):
        while True:
            with suppress(httpx2.HTTPError):
                if (await client.get("/readyz")).is_success:
                    return
            if service.restarts > 2:  # noqa: PLR2004 - what is wrong does not get better
                raise RuntimeError(f"the service does not start on {service.url}: it has said why above")
            await asyncio.sleep(0.05)


def _addresses(service: DevService, phones: int) -> Iterator[str]:
    """What is where, one a line; lines are never folded, so that an address can be copied."""
    rows = [
        ("REST 3.0", f"{service.url}/rest/3.0/…", f"X-netmera-api-key: {REST_KEY}"),
        ("device events", f"{service.url}/v1/events", f"X-netmera-api-key: {SDK_KEY}"),
        ("phones", f"{service.url}/simulator/phones", f"{phones}, users user-1 … user-{phones}"),
        ("API description", f"{service.url}/openapi.json", ""),
        ("metrics", f"{service.url}/metrics", ""),
    ]
    for environment, endpoint in service.simulation.endpoints.items():
        rows.append((f"APNs, {environment}", f"https://{endpoint}", f"CA: {endpoint.ca_file}"))
    for environment, endpoint in service.simulation.management_endpoints.items():
        rows.append((f"channels, {environment}", f"https://{endpoint}", ""))
    rows.append(("the service", f"process {service.pid}", "kill -9 it: it comes back, and nothing is lost"))
    widest = max(len(where) for _, where, _ in rows)
    for what, where, note in rows:
        yield f"[bold]{what:<21}[/] {where:<{widest}}  [dim]{note}[/]"
