"""Phones by the hundred thousand: each reports its update token to the registry, as it would through `/v1/events`.

The registry and the store are the service's own; only HTTP is left out, which would take minutes.
"""

import asyncio
import time
from typing import Any, cast

from bench.service import Home
from skerry.activities.card_events import CardEvents
from skerry.activities.ports import Delivery
from skerry.app import now, open_admin
from skerry.delivery.planner import Planner
from skerry.domain.device import DeviceEvent, DeviceEventKind, DeviceReport
from skerry.domain.ids import GroupId
from skerry.domain.push import Environment
from skerry.registry.service import Registry
from skerry.store.sqlite.transaction import SqliteTransaction

TOGETHER = 4_000
"""Reports that wait for the store at once; they share its commits."""
_PLACES = 2**64


def token(number: int) -> str:
    """A token of 160 digits, as update tokens are; numbers that are near give tokens that are not."""
    scattered = number * 0x9E3779B97F4A7C15 % _PLACES
    return "80" + f"{scattered:016x}" * 9 + f"{number:014x}"


def report_body(installation: int, group: str) -> dict[str, Any]:
    """The body of `POST /v1/events` in which an installation reports one update token."""
    return {
        "installationId": f"installation-{installation}",
        "installationSecret": f"secret of {installation}",
        "environment": "production",
        "platform": "IOS",
        "osVersion": "18.1",
        "events": [{"name": "LiveActivityUpdateToken", "token": token(installation), "groupId": group}],
    }


async def populate(home: Home, group: str, cards: int) -> float:
    """Give a group its cards, one per installation; seconds that it took."""
    began = time.perf_counter()
    async with open_admin(home.settings) as admin:
        # As in the composition root: each room has its own view of the one transaction that there is.
        delivery = cast("Delivery", Planner(clock=now, wake=lambda: None))
        registry: Registry[SqliteTransaction] = Registry(admin.store, CardEvents(delivery), clock=now)
        for first in range(0, cards, TOGETHER):
            numbers = range(first, min(first + TOGETHER, cards))
            await asyncio.gather(*(registry.report(home.app_id, _report(number, group)) for number in numbers))
    return time.perf_counter() - began


def _report(number: int, group: str) -> DeviceReport:
    event = DeviceEvent(DeviceEventKind.UPDATE_TOKEN, now(), token=token(number), group_id=GroupId(group))
    return DeviceReport(
        installation_id=f"installation-{number}",
        events=(event,),
        secret=f"secret of {number}",
        environment=Environment.PRODUCTION,
        platform="IOS",
        os_version="18.1",
    )
