"""Phones by the million: each reports its update token to the registry, as it would through `/v1/events`.

The registry and the store are the service's own; only HTTP is left out. A million reports would still take minutes, so
beyond the first card the rows are copies of what the registry has written for that one, with another installation and
token; a test holds them against the registry's own. Events that nobody reads are left out. What was made so once is
kept in bench/.cache, by size.
"""

import asyncio
import hashlib
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, cast

import skerry
from bench.service import Home, new_home
from skerry.activities.card_events import CardEvents
from skerry.activities.ports import Delivery
from skerry.activities.renewal import Renewal, RenewalSettings
from skerry.app import now, open_admin
from skerry.delivery.planner import Planner
from skerry.domain.device import DeviceEvent, DeviceEventKind, DeviceReport
from skerry.domain.ids import GroupId
from skerry.domain.push import Endpoint, Environment
from skerry.registry.service import Registry
from skerry.store.sqlite.transaction import SqliteTransaction

TOGETHER = 4_000
"""Reports that wait for the store at once; they share its commits."""
CACHE = Path(__file__).parent / ".cache/populations"
WATCHED = "81"
"""The beginning of tokens whose pushes a sink can be told to watch for."""
_PLACES = 2**64


def token(number: int, beginning: str = "80") -> str:
    """A token of 160 digits, as update tokens are; numbers that are near give tokens that are not."""
    scattered = number * 0x9E3779B97F4A7C15 % _PLACES
    return beginning + f"{scattered:016x}" * 9 + f"{number:014x}"


def report_body(installation: int, group: str, beginning: str = "80") -> dict[str, Any]:
    """The body of `POST /v1/events` in which an installation reports one update token."""
    return {
        "installationId": _installation(installation),
        "installationSecret": _secret(installation),
        "environment": "production",
        "platform": "IOS",
        "osVersion": "18.1",
        "events": [{"name": "LiveActivityUpdateToken", "token": token(installation, beginning), "groupId": group}],
    }


@asynccontextmanager
async def populated_home(endpoint: Endpoint, group: str, cards: int) -> AsyncIterator[Home]:
    """A home whose group has so many cards; the database is a copy of a cached one, where there is one."""
    recipe = _recipe()
    cached = CACHE / f"{recipe}-{group}-{cards}"
    if not cached.exists():
        for old in CACHE.glob("*"):
            if not old.name.startswith(recipe):
                shutil.rmtree(old)
        async with new_home(endpoint) as home:
            await populate(home, group, min(cards, 1))
            multiply(home.settings.database, cards)
            cached.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(home.data, cached.with_suffix(".new"))
            cached.with_suffix(".new").rename(cached)
    async with new_home(endpoint, copy_of=cached) as home:
        yield home


async def populate(home: Home, group: str, cards: int) -> float:
    """Give a group its cards, one per installation, through the registry; seconds that it took."""
    began = time.perf_counter()
    async with open_admin(home.settings) as admin:
        # As in the composition root: each room has its own view of the one transaction that there is.
        delivery = cast("Delivery", Planner(clock=now, wake=lambda: None))
        events = CardEvents(delivery, Renewal(delivery, RenewalSettings()))
        registry: Registry[SqliteTransaction] = Registry(admin.store, events, clock=now)
        for first in range(0, cards, TOGETHER):
            numbers = range(first, min(first + TOGETHER, cards))
            await asyncio.gather(*(registry.report(home.app_id, _report(number, group)) for number in numbers))
    return time.perf_counter() - began


def multiply(database: Path, cards: int) -> None:
    """Where one group has one card, give it more: rows as the registry has written the first one's."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        device, card = (dict(connection.execute(f"SELECT * FROM {name}").fetchone()) for name in ("devices", "cards"))
        later = range(1, cards)
        connection.execute("BEGIN IMMEDIATE")
        _insert(
            connection,
            "devices",
            (
                {
                    **device,
                    "device_id": device["device_id"] + number,
                    "installation_id": _installation(number),
                    "secret_hash": hashlib.sha256(_secret(number).encode()).digest(),
                }
                for number in later
            ),
        )
        _insert(
            connection,
            "cards",
            (
                {
                    **card,
                    "number": card["number"] + number,
                    "device_id": device["device_id"] + number,
                    "token": token(number),
                }
                for number in later
            ),
        )
        connection.execute("UPDATE activities SET next_card = ?", (card["number"] + cards,))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def name_people(database: Path) -> None:
    """Give every device a user of its own, with a profile of a few attributes, and one of five languages."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("""
            INSERT INTO users (user_id, app_id, ext_id, profile, created_at)
            SELECT device_id, app_id, 'user-' || device_id, json_object(
                'first_name', 'Name ' || device_id, 'last_name', 'of ' || installation_id, 'bet', device_id % 100,
                'city', 'Istanbul', 'vip', json('false')), created_at
            FROM devices
        """)
        connection.execute("""
            UPDATE devices SET user_id = device_id, language = json_extract(
                '["en-GB", "tr-TR", "de-AT", "fr-FR", "es-MX"]', '$[' || (device_id % 5) || ']')
        """)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(f":{name}" for name in columns)
    connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})", rows)


def _recipe() -> str:
    """Changes when the tables do, or the making of rows: what was cached before is of no use then."""
    migrations = sorted(Path(skerry.__file__).parent.glob("store/migrations/versions/*.py"))
    sources = [Path(__file__), Path(__file__).with_name("service.py"), *migrations]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]


def _installation(number: int) -> str:
    return f"installation-{number}"


def _secret(number: int) -> str:
    return f"secret of {number}"


def _report(number: int, group: str) -> DeviceReport:
    event = DeviceEvent(DeviceEventKind.UPDATE_TOKEN, now(), token=token(number), group_id=GroupId(group))
    return DeviceReport(
        installation_id=_installation(number),
        events=(event,),
        secret=_secret(number),
        environment=Environment.PRODUCTION,
        platform="IOS",
        os_version="18.1",
    )
