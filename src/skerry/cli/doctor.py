"""`skerry doctor`: what is wrong with this installation, and what to do about it."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from skerry.apns import ApnsClient
from skerry.app import Admin, open_admin, pool_settings
from skerry.domain.app import App
from skerry.domain.push import Credential, Route
from skerry.settings import Settings, WrongSettingsError, load
from skerry.store.errors import StoreError
from skerry.store.sealing import SealError

EARLIEST = 1_767_225_600
"""2026-01-01: a clock before this is wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `fix` is None where all is well."""

    what: str
    found: str
    fix: str | None = None


def doctor(
    data: Annotated[Path | None, typer.Option("--data", help="Directory of the database and the key ring.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Check configuration, clock, store, keys and the way to APNs; exit with 1 where something has to be mended."""
    try:
        settings = load(data_dir=data)
    except WrongSettingsError as error:
        findings = [Finding("settings", str(error), "mend or remove what is named there")]
    else:
        findings = asyncio.run(_collect(settings))
    if as_json:
        print(json.dumps([asdict(one) for one in findings], indent=2))  # noqa: T201 - what was asked for
    else:
        console = Console(soft_wrap=True)
        for one in findings:
            mark = "[green]✓[/]" if one.fix is None else "[red]✗[/]"
            console.print(f"{mark} {escape(one.what)}: {escape(one.found)}")
            if one.fix is not None:
                console.print(f"    → {escape(one.fix)}")
    if any(one.fix for one in findings):
        raise typer.Exit(1)


async def _collect(settings: Settings) -> list[Finding]:
    return [one async for one in _look(settings)]


async def _look(settings: Settings) -> AsyncIterator[Finding]:
    yield Finding("settings", "read, no unknown keys")
    yield _clock()
    directory = settings.data_dir
    if not settings.database.exists():
        yield Finding(
            "data directory", f"{directory} has no database", "run skerry app add, or name another with --data"
        )
        return
    if not os.access(directory, os.W_OK):
        yield Finding("data directory", f"{directory} cannot be written", "give it to the user that runs skerry")
        return
    for secret in (settings.database, settings.key_ring):
        if secret.exists() and secret.stat().st_mode & 0o077:
            yield Finding("data directory", f"{secret} can be read by others", f"chmod 600 {quote(str(secret))}")
    try:
        async with open_admin(settings) as admin:
            yield await _store(admin)
            apps = await admin.apps.list()
            if not apps:
                yield Finding("apps", "none", "add one: skerry app add --help")
            for listed in apps:
                async for finding in _app(settings, admin, listed):
                    yield finding
    except (StoreError, SealError) as error:
        fix = "do what it says; what is damaged comes back with the data directory's backup, key ring included"
        yield Finding("store", str(error), fix)


def _clock() -> Finding:
    now = time.time()
    if now < EARLIEST:
        return Finding(
            "clock", time.strftime("%Y-%m-%d", time.gmtime(now)), "set the clock: APNs refuses tokens from it"
        )
    return Finding("clock", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)))


async def _store(admin: Admin) -> Finding:
    answer = await admin.store.read(lambda tx: tx.connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if answer != "ok":
        return Finding("store", str(answer), "stop the service and restore the database from its backup")
    return Finding("store", "opens, and is sound")


async def _app(settings: Settings, admin: Admin, listed: App) -> AsyncIterator[Finding]:
    what = f"app {listed.name}"
    try:
        app = await admin.apps.app(listed.app_id)
    except SealError as error:
        yield Finding(what, str(error), "restore the key ring, or give the key again: skerry app set --p8 FILE")
        return
    if app is None or app.private_key is None or app.team_id is None or app.key_id is None:
        fix = f"skerry app set {quote(listed.name)} --p8 FILE --team-id … --key-id …"
        yield Finding(what, "has no APNs key", fix)
        return
    if not any(key.revoked_at is None for key in await admin.apps.keys(app.app_id)):
        yield Finding(what, "has no API key", f"skerry key create --app {quote(app.name)} --kind rest")
    for finding in await asyncio.gather(*_ways(settings, app, Credential(app.team_id, app.key_id, app.private_key))):
        yield finding


def _ways(settings: Settings, app: App, credential: Credential) -> Iterator[Awaitable[Finding]]:
    """A look at each of the app's hosts, together: one that does not answer costs its whole time limit."""
    kinds = (("", "endpoint", app.endpoints), (" channels", "management", app.management_endpoints))
    for label, option, endpoints in kinds:
        for environment, endpoint in endpoints.items():
            what = f"app {app.name}, {environment.value}{label}"
            yield _way(settings, app, what, Route(credential, endpoint), f"--{option}-{environment.value}")


async def _way(settings: Settings, app: App, what: str, route: Route, option: str) -> Finding:
    pool = pool_settings(settings)
    async with ApnsClient(pool) as client:
        report = await client.probe(route, timeout=5.0)
    if report.problem is None:
        through = "" if pool.proxy is None else f" through the proxy {pool.proxy}"
        return Finding(what, f"{route.endpoint} answers{through} ({report.tls_version}, HTTP/2)")
    fix = (
        "open the way to it, or name another endpoint and its roots:"
        f" skerry app set {quote(app.name)} {option} HOST:PORT --ca-bundle FILE"
    )
    return Finding(what, report.problem, fix)
