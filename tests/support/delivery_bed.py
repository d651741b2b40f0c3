"""Delivery on the virtual clock: the real sender, settlement and SQLite store above the real client.

The store has threads, which know nothing of virtual time: while it works, time stands still. Its commits are real.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from testbed import BUNDLE, Bed

from skerry.activities.card_events import CardEvents
from skerry.activities.ports import Delivery as PlannedDelivery
from skerry.activities.renewal import Renewal, RenewalSettings
from skerry.activities.service import Activities
from skerry.activities.timekeeper import Timekeeper
from skerry.apns.channels import Channels
from skerry.bus.memory import MemoryBus
from skerry.delivery.channel_keeper import ChannelKeeper
from skerry.delivery.handover import Handover
from skerry.delivery.planner import Planner
from skerry.delivery.ports import PushTarget
from skerry.delivery.sender import Sender, SenderSettings
from skerry.delivery.settlement import Settlement
from skerry.domain.activity import Update
from skerry.domain.device import DeviceEvent, DeviceEventKind, DeviceReport
from skerry.domain.ids import AppId, GroupId, Millis
from skerry.domain.push import Environment, Outcomes, PushBatch, Route
from skerry.domain.timer import TimerKind
from skerry.domain.verdict import RetryPolicy, Verdict
from skerry.registry.service import Registry
from skerry.simulator.apns import Entry
from skerry.store import migration
from skerry.store.sqlite import SqliteStore, SqliteTransaction

T = TypeVar("T")
APP = AppId(1)
PREFIX = "80ca4d"
"""Tokens of cards begin with it; those of other pushes do not."""
WAKES = ("plans", "SMALL", "LARGE", "timers")


@cache
def empty_database() -> Path:
    """At the newest migration: copied, since alembic takes a while."""
    path = Path(tempfile.mkdtemp(prefix="skerry-delivery-")) / "skerry.db"
    migration.upgrade(path)
    return path


class StillStore:
    """The store, with time standing still while it works."""

    def __init__(self, bed: Bed, store: SqliteStore) -> None:
        self._loop = bed.loop
        self._store = store

    async def write(self, work: Callable[[SqliteTransaction], T]) -> T:
        with self._loop.standing_still():
            return await self._store.write(work)

    async def read(self, work: Callable[[SqliteTransaction], T]) -> T:
        with self._loop.standing_still():
            return await self._store.read(work)


class Apps:
    """One app, both of whose environments lead to the simulated APNs."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed

    async def target(self, _: AppId, environment: Environment) -> PushTarget:
        return PushTarget(self._bed.route_to(environment), f"{BUNDLE}.push-type.liveactivity")

    async def channels(self, _: AppId, __: Environment) -> None:
        """No channels in these stories."""

    async def default_environment(self, _: AppId) -> Environment:
        return Environment.PRODUCTION


class Recorded:
    """The client, with every batch written down for the judge."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed

    async def send(self, route: Route, batch: PushBatch, outcomes: Outcomes | None = None) -> Outcomes:
        sent = await self._bed.send(route, batch, self._bed.client, outcomes)
        assert sent.outcomes is not None
        return sent.outcomes


class Delivery:
    """What stories do with it."""

    def __init__(
        self, bed: Bed, store: StillStore, *, policy: RetryPolicy, settings: SenderSettings, resend_starts: bool
    ) -> None:
        self.bed = bed
        self.store = store
        bus = MemoryBus()

        def wake() -> None:
            bus.wake(*WAKES)

        handover = Handover()
        planner = Planner(clock=self.now, wake=wake, handover=handover)
        outbox = cast("PlannedDelivery", planner)
        settlement = Settlement(
            policy, resend_unknown_starts=resend_starts, unknown_start_after=Millis(60_000), jitter=bed.dice.random
        )
        keeper = ChannelKeeper(
            store, Channels(bed.client), Apps(bed), clock=self.now, nap=lambda seconds: bus.nap("channels", seconds)
        )
        self.sender = Sender(
            store,
            Recorded(bed),
            Apps(bed),
            planner,
            settlement,
            keeper,
            settings,
            clock=self.now,
            nap=bus.nap,
            wake=wake,
            handover=handover,
        )
        self.activities = Activities(store, outbox, clock=self.now)
        self._registry: Registry[SqliteTransaction] = Registry(
            store, CardEvents(outbox, Renewal(outbox, RenewalSettings())), clock=self.now
        )
        self._timekeeper: Timekeeper[SqliteTransaction] = Timekeeper(
            store,
            {TimerKind.PLANNED_END: self.activities.planned_end, TimerKind.UNKNOWN_START: self.sender.unknown_start},
            clock=self.now,
            nap=lambda seconds: bus.nap("timers", seconds),
            wake=wake,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._state = 0
        self._devices = 0

    def now(self) -> Millis:
        return Millis(int(self.bed.loop.wall() * 1000))

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self.sender.run()),
            asyncio.create_task(self._timekeeper.run()),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cards(self, count: int, group: str = "match", environment: Environment | None = None) -> list[str]:
        """So many phones report an update token each for a group; the tokens."""
        tokens = []
        for _ in range(count):
            number = self._devices = self._devices + 1
            token = f"{PREFIX}{number:058x}"
            await self.report_token(number, token, group, environment)
            tokens.append(token)
        return tokens

    async def report_token(
        self, number: int, token: str, group: str = "match", environment: Environment | None = None
    ) -> None:
        event = DeviceEvent(DeviceEventKind.UPDATE_TOKEN, self.now(), token=token, group_id=GroupId(group))
        await self._registry.report(
            APP,
            DeviceReport(
                installation_id=f"installation-{number}",
                events=(event,),
                secret=f"secret of {number}",
                environment=environment,
                platform="IOS",
                os_version="18.1",
            ),
        )

    async def update(self, group: str = "match") -> str:
        """A new state for everybody; how it looks in a body."""
        self._state += 1
        assert await self.activities.update(APP, GroupId(group), Update(b'{"n":%d}' % self._state))
        return f'"n":{self._state}}}'

    async def open_chunks(self) -> int:
        return (await self.sql("SELECT count(*) FROM chunks WHERE state <> 3"))[0][0]

    async def settled(self, limit: float = 120.0) -> None:
        """Wait until nothing is open."""
        end = self.bed.loop.time() + limit
        while await self.open_chunks():
            assert self.bed.loop.time() < end, f"{await self.verdicts()} after {limit} s"
            await asyncio.sleep(0.5)

    async def verdicts(self) -> Counter[Verdict]:
        rows = await self.sql("SELECT verdicts FROM chunks")
        return Counter(Verdict(byte) for (board,) in rows for byte in board)

    async def lost_cards(self) -> int:
        return (await self.sql("SELECT count(*) FROM cards WHERE token IS NULL"))[0][0]

    async def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return await self.store.write(lambda tx: tx.connection.execute(statement, values).fetchall())

    def sends(self, state: str) -> Counter[str]:
        """How often each token was sent this state."""
        return Counter(entry.token for entry in self._entries(state))

    def deliveries(self, state: str) -> Counter[str]:
        """How often each phone was handed this state."""
        return Counter(entry.token for entry in self._entries(state) if entry.delivered)

    def _entries(self, state: str) -> list[Entry]:
        return [one for one in self.bed.entries() if one.token.startswith(PREFIX) and state in (one.body or "")]


@asynccontextmanager
async def delivery(
    bed: Bed,
    *,
    policy: RetryPolicy | None = None,
    settings: SenderSettings | None = None,
    resend_starts: bool = False,
    path: Path | None = None,
) -> AsyncIterator[Delivery]:
    """Delivery over a database of its own (or the one at `path`), running until the block is left."""
    directory = None
    if path is None:
        directory = Path(tempfile.mkdtemp(prefix="skerry-delivery-"))
        path = directory / "skerry.db"
    if not path.exists():
        shutil.copy(empty_database(), path)
    with bed.loop.standing_still():
        store = await SqliteStore.open(path, clock=lambda: Millis(int(bed.loop.wall() * 1000)), readers=1)
    try:
        one = Delivery(
            bed,
            StillStore(bed, store),
            policy=policy or RetryPolicy(),
            settings=settings or SenderSettings(),
            resend_starts=resend_starts,
        )
        await one.sql(
            "INSERT OR IGNORE INTO apps (app_id, name, bundle_id, environment, endpoints, created_at) "
            "VALUES (1, 'app', ?, 'production', '{}', 0)",
            BUNDLE,
        )
        one.start()
        try:
            yield one
        finally:
            await one.stop()
    finally:
        with bed.loop.standing_still():
            await store.close()
            await bed.loop.shutdown_default_executor()
        if directory is not None:
            shutil.rmtree(directory)
