"""The service under test: `skerry serve` as a child process, on a database of its own, as anybody would run it."""

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2

from bench.credential import BUNDLE_ID, KEY_ID, TEAM_ID, private_key
from bench.load import Target
from bench.process import Process, pinned
from bench.sink import HOST, free_ports
from skerry.app import Admin, open_admin
from skerry.domain.app import KeyKind
from skerry.domain.ids import AppId
from skerry.domain.push import Endpoint, Environment
from skerry.settings import PREFIX, Settings

REST_KEY = "sk_rest_benchmark"
SDK_KEY = "sk_sdk_benchmark"
READY_WITHIN = 30.0
STOPPED_WITHIN = 30.0

SETTINGS = {
    # One machine plays a whole country of phones: the limits per address stay in force, but out of the way.
    "SKERRY_LIMITS__EVENTS_PER_ADDRESS_PER_MINUTE": "1e9",
    "SKERRY_LIMITS__EVENTS_PER_ADDRESS_BURST": "1e9",
}
"""All that differs from a service that nobody has configured."""


class ServiceError(Exception):
    """The service does not start."""


@dataclass(frozen=True, slots=True)
class Home:
    """A data directory with one app in it, whose APNs is the sink."""

    data: Path
    app_id: AppId

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.data)


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service that answers."""

    process: Process
    rest: Target
    sdk: Target
    database: Path
    log: Path

    def all_processes(self) -> list[Process]:
        """The service, and those that send beside it."""
        return [self.process, *self.process.children()]


@asynccontextmanager
async def new_home(endpoint: Endpoint, *, copy_of: Path | None = None) -> AsyncIterator[Home]:
    """A data directory of its own, removed when the block is left.

    Args:
        endpoint: the app's APNs.
        copy_of: another data directory that it begins as; None: an empty one with an app and its keys.
    """
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as name:
        data = Path(name)
        if copy_of is not None:
            await asyncio.to_thread(shutil.copytree, copy_of, data, dirs_exist_ok=True)
        async with open_admin(Settings(data_dir=data)) as admin:
            known = await admin.apps.find("bench")
            if known is None:
                app_id = await _create_app(admin, endpoint)
            else:
                await admin.apps.save(replace(known, endpoints={**known.endpoints, Environment.PRODUCTION: endpoint}))
                app_id = known.app_id
        yield Home(data, app_id)


async def _create_app(admin: Admin, endpoint: Endpoint) -> AppId:
    app = await admin.apps.create(
        "bench",
        BUNDLE_ID,
        team_id=TEAM_ID,
        key_id=KEY_ID,
        private_key=private_key(),
        endpoints={Environment.PRODUCTION: endpoint},
    )
    await admin.apps.create_key(app.app_id, KeyKind.REST, "benchmark", text=REST_KEY)
    await admin.apps.create_key(app.app_id, KeyKind.SDK, "benchmark", text=SDK_KEY)
    return app.app_id


@asynccontextmanager
async def running_service(
    home: Home, profile: Path | None = None, *, processes: int = 1, cores: frozenset[int] | None = None
) -> AsyncIterator[RunningService]:
    """Run the service until the block is left; its log goes to a file, at its usual level.

    Args:
        home: where it lives.
        profile: where the main thread's cProfile is to be written; it slows the service down.
        processes: that send, itself among them; all of them are there when the block begins.
        cores: that it may use; None: whichever the kernel gives it.

    Raises:
        ServiceError: if it does not come up; with the end of its log.
    """
    (port,) = free_ports(1)
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    profiler = ["-m", "cProfile", "-o", str(profile)] if profile is not None else []
    log = home.data / "service.log"
    command = [sys.executable, *profiler, "-m", "skerry", "serve", "--quiet"]
    command += ["--port", str(port), "--data", str(home.data)]
    with log.open("wb") as written:
        child = await asyncio.create_subprocess_exec(
            *(command if cores is None else pinned(cores, command)),
            env={**inherited, **SETTINGS, "SKERRY_DELIVERY__PROCESSES": str(processes)},
            cwd=home.data,  # a skerry.toml that lies about must not count
            stdin=asyncio.subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )
    try:
        await _until_ready(child, port, log)
        database = home.settings.database
        await _until_joined(database, processes - 1)
        yield RunningService(
            Process(child.pid), Target(HOST, port, REST_KEY), Target(HOST, port, SDK_KEY), database, log
        )
    finally:
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGINT)  # not SIGTERM: it ends the process before a profile is written
        async with asyncio.timeout(STOPPED_WITHIN):
            await child.wait()


async def _until_joined(database: Path, count: int) -> None:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        async with asyncio.timeout(READY_WITHIN):
            while connection.execute("SELECT count(*) FROM senders").fetchone()[0] < count:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # it is another process that joins


async def _until_ready(child: asyncio.subprocess.Process, port: int, log: Path) -> None:
    async with httpx2.AsyncClient(timeout=2.0) as client, asyncio.timeout(READY_WITHIN):
        while child.returncode is None:
            with suppress(httpx2.HTTPError):
                if (await client.get(f"http://{HOST}:{port}/readyz")).is_success:
                    return
            await asyncio.sleep(0.05)
    said = await asyncio.to_thread(log.read_text)
    raise ServiceError(f"the service ended with {child.returncode}:\n{said[-2000:]}")
