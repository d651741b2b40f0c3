"""The whole of the service's rooms and a world of phones, in one process and in virtual time: hours pass in seconds.

Everything is real but the wire: pushes go from the sender straight to the phones, as APNs would pass them on.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

from skerry.activities.card_events import CardEvents
from skerry.activities.desired_state import DesiredState, DesiredStateSettings
from skerry.activities.ports import Delivery as ActivitiesDelivery
from skerry.activities.renewal import Renewal, RenewalSettings
from skerry.activities.service import Activities
from skerry.activities.timekeeper import Timekeeper
from skerry.api.v1.events import read_report
from skerry.delivery.channel_keeper import ChannelKeeper
from skerry.delivery.planner import Planner
from skerry.delivery.ports import ChannelTarget, PushTarget
from skerry.delivery.sender import Sender, SenderSettings
from skerry.delivery.settlement import Settlement
from skerry.domain.channel import Broadcast, Channel, Published, StoragePolicy
from skerry.domain.ids import AppId, ChannelId, Millis
from skerry.domain.push import (
    Accepted,
    Credential,
    Endpoint,
    Environment,
    Outcome,
    Outcomes,
    PushBatch,
    Rejected,
    Result,
    Route,
)
from skerry.domain.timer import TimerKind
from skerry.domain.verdict import RetryPolicy
from skerry.registry.apps import Apps
from skerry.registry.service import Registry
from skerry.simulator.carrier import Broadcast as CarriedBroadcast
from skerry.simulator.carrier import Delivery
from skerry.simulator.clock import FrozenClock
from skerry.simulator.phone.reporter import Reporter, request_body
from skerry.simulator.phone.reports import Report
from skerry.simulator.world import World
from skerry.store.sealing import KeyRing
from skerry.store.sqlite.database import SqliteStore
from skerry.store.sqlite.transaction import SqliteTransaction

BUNDLE = "com.example.app"


class Apple:
    """Passes on what a sender sends, and answers as APNs does where all is well. `outcome_of` may say otherwise."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.counts: Counter[str] = Counter()
        self.channels: set[str] = set()

    def fault(self, event: str, token: str) -> tuple[Outcome, bool] | None:
        """What goes wrong with a push, and whether the phone gets it all the same; None: nothing goes wrong."""
        return None

    async def send(self, route: Route, batch: PushBatch) -> Outcomes:
        await asyncio.sleep(0)
        environment = Environment(route.endpoint.host)
        outcomes = Outcomes(bytearray(len(batch.tokens)))
        event = json.loads(batch.body)["aps"]["event"]
        for place, token in enumerate(batch.tokens):
            self.counts[event] += 1
            standing = self.world.standing(environment, token)
            fault = self.fault(event, token)
            if standing is None or standing.gone:
                reason, status = ("BadDeviceToken", 400) if standing is None else (str(standing.gone), 410)
                outcomes.codes[place] = Outcome.REJECTED
                outcomes.rejections[place] = Rejected(status, reason)
                continue
            outcomes.codes[place] = Outcome.ACCEPTED if fault is None else fault[0]
            if fault is None or fault[1]:
                self.world.deliver(
                    Delivery(
                        environment, token, "id", batch.topic, batch.push_type, batch.priority, batch.expiration,
                        batch.body, self.world.clock.now(),
                    )
                )  # fmt: skip
        return outcomes

    async def create(self, route: Route, bundle_id: str, storage: StoragePolicy) -> Result[Channel]:
        self.counts["channel"] += 1
        channel = ChannelId(f"channel-{self.counts['channel']}")
        self.channels.add(channel)
        return Accepted(Channel(channel, storage))

    async def delete(self, route: Route, bundle_id: str, channel_id: ChannelId) -> Result[None]:
        self.channels.discard(channel_id)
        return Accepted(None)

    async def publish(self, route: Route, broadcast: Broadcast) -> Result[Published]:
        self.counts["broadcast"] += 1
        if broadcast.channel.channel_id not in self.channels:
            return Rejected(400, "ChannelNotRegistered")
        self.world.broadcast(
            CarriedBroadcast(
                Environment(route.endpoint.host), broadcast.bundle_id, broadcast.channel.channel_id, True, "id",
                broadcast.priority, broadcast.expiration, broadcast.body, self.world.clock.now(),
            )
        )  # fmt: skip
        return Accepted(Published("id", None))


class Directory:
    """One app, two environments, no sockets."""

    def __init__(self) -> None:
        self._credential = Credential("TEAM", "KEY", b"")

    async def target(self, app_id: AppId, environment: Environment) -> PushTarget:
        route = Route(self._credential, Endpoint(environment.value))
        return PushTarget(route, f"{BUNDLE}.push-type.liveactivity")

    async def channels(self, app_id: AppId, environment: Environment) -> ChannelTarget:
        route = Route(self._credential, Endpoint(environment.value))
        return ChannelTarget(route, route, BUNDLE)

    async def default_environment(self, app_id: AppId) -> Environment:
        return Environment.SANDBOX


class VirtualService:
    """The rooms, wired as in `skerry.app`, on one virtual clock with the phones."""

    def __init__(self, store: SqliteStore, clock: FrozenClock, apple: Apple, world: World, app_id: AppId) -> None:
        self.store, self.world, self.apple, self.app_id = store, world, apple, app_id
        self._clock = clock
        self._pulse = asyncio.Event()
        self.reports: list[Report] = []
        self._running: asyncio.Task[None] | None = None
        self._wire()

    def _wire(self) -> None:
        store, apple = self.store, self.apple
        planner = Planner(clock=self.now, wake=self.wake)
        outbox = cast("ActivitiesDelivery", planner)
        settlement = Settlement(RetryPolicy(), resend_unknown_starts=True, unknown_start_after=Millis(300_000))
        directory = Directory()
        keeper = ChannelKeeper(store, apple, directory, clock=self.now, nap=lambda seconds: self.nap("", seconds))
        self.sender = Sender(
            store, apple, directory, planner, settlement, keeper, SenderSettings(),
            clock=self.now, nap=self.nap, wake=self.wake,
        )  # fmt: skip
        self.activities = Activities(store, outbox, clock=self.now)
        renewal = Renewal(outbox, RenewalSettings())
        self.desired = DesiredState(store, outbox, DesiredStateSettings(), renewal, clock=self.now)
        self.timekeeper: Timekeeper[SqliteTransaction] = Timekeeper(
            store,
            {
                TimerKind.PLANNED_END: self.activities.planned_end,
                TimerKind.UNKNOWN_START: self.sender.unknown_start,
                TimerKind.NO_TOKEN: self.sender.no_token,
                TimerKind.SILENCE: self.desired.silent,
                TimerKind.RENEWAL: renewal.renew,
                TimerKind.FAREWELL: renewal.say_farewell,
            },
            clock=self.now,
            nap=lambda seconds: self.nap("", seconds),
            wake=self.wake,
        )
        self.registry: Registry[SqliteTransaction] = Registry(store, CardEvents(outbox), clock=self.now)
        self._keeper = keeper

    def now(self) -> Millis:
        return Millis(int(self._clock.now() * 1000))

    def wake(self) -> None:
        self._pulse.set()
        self._pulse = asyncio.Event()

    async def nap(self, channel: str, seconds: float) -> None:
        await self._pulse.wait()

    def submit(self, phone_id: str, reports: Sequence[Report]) -> None:
        """As `simulator.phone.reporter.Reporter`: the reports arrive with the next `quiet`."""
        self.reports.extend(reports)

    def forget(self, phone_id: str) -> None:
        """The app is gone."""

    def start(self) -> None:
        """Begin, or begin anew: rooms that know nothing but what is on disk."""
        self._wire()
        self._running = asyncio.create_task(self._run())

    async def crash(self) -> None:
        """Drop everything that is under way."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.sender.run())
            group.create_task(self._keeper.run())

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and everything happen that it brings."""
        self.world.advance(seconds)
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until there is nothing left to do at this moment."""
        while True:
            await self.take_reports()
            while await self.timekeeper.turn():
                pass
            while self.world.tick():
                pass
            self.wake()
            if not self.reports and not await self._is_busy():
                return
            await asyncio.sleep(0)

    async def take_reports(self) -> None:
        """Let what the phones have said arrive."""
        while self.reports:
            report = self.reports.pop(0)
            body = json.dumps(request_body([report])).encode()
            await self.registry.report(self.app_id, read_report(body, self.now)[0])

    async def _is_busy(self) -> bool:
        now = self.now()

        def work(tx: SqliteTransaction) -> bool:
            depth = tx.outbox.depth(now)
            due = depth.oldest_due_at is not None
            return due or bool(depth.leased) or bool(tx.outbox.due_plans(now, 1)) or bool(tx.timers.due(now, 1))

        return await self.store.read(work)


@contextlib.asynccontextmanager
async def virtual_service(
    data: Path, apple: type[Apple] = Apple, **world_options: Any
) -> AsyncIterator[VirtualService]:
    """Run it until the block is left. The phones are the caller's to add."""
    clock = FrozenClock()
    world = World(clock, bundle_id=BUNDLE, **world_options)
    async with await SqliteStore.open(data / "skerry.db", clock=lambda: Millis(int(clock.now() * 1000))) as store:
        apps = Apps(store, KeyRing.at(data / "keyring.json"), clock=lambda: Millis(int(clock.now() * 1000)))
        app = await apps.create("virtual", BUNDLE)
        service = VirtualService(store, clock, apple(world), world, app.app_id)
        world.reporter = cast("Reporter", service)
        service.start()
        try:
            yield service
        finally:
            await service.crash()
