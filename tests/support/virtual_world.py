"""The whole of the service's rooms and a world of phones, in one process and in virtual time: hours pass in seconds.

Everything is real but the wire: pushes go from the sender straight to the phones, as APNs would pass them on.
"""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from stepped_store import SteppedStore

from skerry.activities.batch import Batches
from skerry.activities.card_events import CardEvents
from skerry.activities.desired_state import DesiredState, DesiredStateSettings
from skerry.activities.ports import Delivery as ActivitiesDelivery
from skerry.activities.renewal import Renewal, RenewalSettings
from skerry.activities.schedule import Schedule
from skerry.activities.schedule_keeper import ScheduleKeeper, ScheduleSettings
from skerry.activities.service import Activities
from skerry.activities.timekeeper import Timekeeper
from skerry.api.v1.events import read_report
from skerry.delivery.channel_keeper import ChannelKeeper
from skerry.delivery.handover import Handover
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
    NotProcessed,
    Outcome,
    Outcomes,
    PushBatch,
    Rejected,
    Result,
    Route,
    Unknown,
)
from skerry.domain.timer import TimerKind
from skerry.domain.verdict import RetryPolicy
from skerry.registry.apps import Apps
from skerry.registry.service import Registry
from skerry.simulator.carrier import Broadcast as CarriedBroadcast
from skerry.simulator.carrier import Delivery, Standing
from skerry.simulator.clock import FrozenClock
from skerry.simulator.phone.reporter import Reporter, request_body
from skerry.simulator.phone.reports import Report
from skerry.simulator.world import World
from skerry.store.sealing import KeyRing
from skerry.store.sqlite.database import SqliteStore
from skerry.store.sqlite.transaction import SqliteTransaction

T = TypeVar("T")

BUNDLE = "com.example.app"
MOST_TURNS = 2_000
"""Of the event loop within one moment of virtual time; a few dozen are usual."""


class RestlessError(AssertionError):
    """A moment that never ends."""


@dataclass(frozen=True, slots=True)
class Mishap:
    """What goes wrong with one push, broadcast or request for a channel."""

    outcome: Outcome = Outcome.ACCEPTED
    arrives: bool = True
    """Whether it is carried out all the same."""
    late: float = 0.0
    """Seconds by which it is: behind pushes that were sent after it."""
    rejected: Rejected | None = None


FINE = Mishap()


class Apple:
    """Passes on what a sender sends, and answers as APNs does where all is well. `mishap` may say otherwise."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.counts: Counter[str] = Counter()
        self.channels: set[str] = set()
        self._late: list[tuple[float, Delivery]] = []

    def mishap(self, what: str, whom: str, aps: dict[str, Any]) -> Mishap:
        """What goes wrong; `what` is an event, `broadcast` or `channel`, and `whom` a token or a channel."""
        return FINE

    async def send(self, route: Route, batch: PushBatch, outcomes: Outcomes | None = None) -> Outcomes:
        await asyncio.sleep(0)
        environment = Environment(route.endpoint.host)
        outcomes = outcomes or Outcomes(bytearray(len(batch.tokens)))
        for place, token in enumerate(batch.tokens):
            body = batch.body_of(place)
            aps = json.loads(body)["aps"]
            self.counts[aps["event"]] += 1
            standing = self.world.standing(environment, token)
            if standing is None or standing.gone:
                outcomes.codes[place] = Outcome.REJECTED
                outcomes.rejections[place] = _refusal(standing)
                continue
            mishap = self.mishap(aps["event"], token, aps)
            outcomes.codes[place] = mishap.outcome
            if mishap.rejected is not None:
                outcomes.rejections[place] = mishap.rejected
            if mishap.arrives:
                now = self.world.clock.now()
                delivery = Delivery(
                    environment, token, "id", batch.topic, batch.push_type, batch.priority, batch.expiration,
                    body, now,
                )  # fmt: skip
                self._late.append((now + mishap.late, delivery))
        self.bring()
        await asyncio.sleep(0)
        return outcomes

    def bring(self) -> None:
        """Let the phones have what has reached them by now."""
        now = self.world.clock.now()
        arrived = [one for one in self._late if one[0] <= now]
        self._late = [one for one in self._late if one[0] > now]
        for _, delivery in sorted(arrived, key=lambda one: one[0]):
            self.arrive(delivery)

    def arrive(self, delivery: Delivery) -> None:
        """A push reaches its phone."""
        self.world.deliver(delivery)

    async def create(self, route: Route, bundle_id: str, storage: StoragePolicy) -> Result[Channel]:
        await asyncio.sleep(0)
        self.counts["channel"] += 1
        channel = ChannelId(f"channel-{self.counts['channel']}")
        mishap = self.mishap("channel", channel, {})
        if mishap.arrives:
            self.channels.add(channel)
        await asyncio.sleep(0)
        return _result(mishap, Channel(channel, storage))

    async def delete(self, route: Route, bundle_id: str, channel_id: ChannelId) -> Result[None]:
        self.channels.discard(channel_id)
        return Accepted(None)

    async def publish(self, route: Route, broadcast: Broadcast) -> Result[Published]:
        await asyncio.sleep(0)
        self.counts["broadcast"] += 1
        channel = broadcast.channel.channel_id
        if channel not in self.channels:
            return Rejected(400, "ChannelNotRegistered")
        mishap = self.mishap("broadcast", channel, json.loads(broadcast.body)["aps"])
        if mishap.arrives:
            self.world.broadcast(
                CarriedBroadcast(
                    Environment(route.endpoint.host), broadcast.bundle_id, channel, True, "id",
                    broadcast.priority, broadcast.expiration, broadcast.body, self.world.clock.now(),
                )
            )  # fmt: skip
        await asyncio.sleep(0)
        return _result(mishap, Published("id", None))


def _refusal(standing: Standing | None) -> Rejected:
    if standing is None:
        return Rejected(400, "BadDeviceToken")
    return Rejected(410, str(standing.gone), Millis(int((standing.gone_since or 0) * 1000)))


def _result(mishap: Mishap, value: T) -> Result[T]:
    match mishap.outcome:
        case Outcome.ACCEPTED:
            return Accepted(value)
        case Outcome.REJECTED:
            assert mishap.rejected is not None
            return mishap.rejected
        case Outcome.NOT_PROCESSED:
            return NotProcessed("connection_lost")
        case _:
            return Unknown("timeout")


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

    def __init__(
        self, store: SqliteStore | SteppedStore, clock: FrozenClock, apple: Apple, world: World, app_id: AppId
    ) -> None:
        self.store, self.world, self.apple, self.app_id = store, world, apple, app_id
        self._clock = clock
        self._jitter = random.Random(0).random
        self.resend_unknown_starts = True
        self.skew = 0.0
        """Seconds by which the service's clock is ahead of the phones'."""
        self._pulse = asyncio.Event()
        self.reports: list[Report] = []
        self._running: asyncio.Task[None] | None = None
        self._scheduled_is_due = False
        self._wire()

    def _wire(self) -> None:
        store, apple = self.store, self.apple
        handover = Handover()
        planner = Planner(clock=self.now, wake=self.wake, handover=handover)
        outbox = cast("ActivitiesDelivery", planner)
        settlement = Settlement(
            RetryPolicy(),
            resend_unknown_starts=self.resend_unknown_starts,
            unknown_start_after=Millis(300_000),
            jitter=self._jitter,
        )
        directory = Directory()
        keeper = ChannelKeeper(store, apple, directory, clock=self.now, nap=lambda seconds: self.nap("", seconds))
        self.sender = Sender(
            store, apple, directory, planner, settlement, keeper, SenderSettings(),
            clock=self.now, nap=self.nap, wake=self.wake, handover=handover,
        )  # fmt: skip
        self.activities = Activities(store, outbox, clock=self.now)
        renewal = Renewal(outbox, RenewalSettings(), jitter=self._jitter)
        self.desired = DesiredState(store, outbox, DesiredStateSettings(), renewal, clock=self.now)
        self.batches = Batches(store, outbox, self.desired, DesiredStateSettings(), clock=self.now)
        self.schedule = Schedule(store, outbox, clock=self.now, announce=self.wake)
        self.schedule_keeper = ScheduleKeeper(
            store,
            self.desired,
            ScheduleSettings(),
            clock=self.now,
            nap=lambda seconds: self.nap("", seconds),
            wake=self.wake,
        )
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
        self.registry: Registry[SqliteTransaction] = Registry(store, CardEvents(outbox, renewal), clock=self.now)
        self._keeper = keeper

    def now(self) -> Millis:
        return Millis(int((self._clock.now() + self.skew) * 1000))

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
        self._outside = asyncio.all_tasks()
        self._running = asyncio.create_task(self._run())

    async def crash(self) -> None:
        """Drop everything that is under way."""
        if self._running is not None:
            doomed = asyncio.all_tasks() - self._outside - {asyncio.current_task()}
            for task in doomed:
                task.cancel()
            await asyncio.gather(*doomed, return_exceptions=True)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.sender.run())
            group.create_task(self._keeper.run())

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and everything happen that it brings."""
        self.world.advance(seconds)
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until there is nothing left to do at this moment.

        Raises:
            RestlessError: if there is no end to it, saying what is still to be done.
        """
        for _ in range(MOST_TURNS):
            if self._running is not None and self._running.done():
                await self._running  # raises what the rooms have died of
            self.apple.bring()
            await self.take_reports()
            while await self.timekeeper.turn():
                pass
            # Only where there is something: each look at the store gives others a turn.
            while self._scheduled_is_due and await self.schedule_keeper.turn():
                pass
            while self.world.tick():
                pass
            self.wake()
            if not await self._is_busy() and not self.reports:  # in this order: some may come while it is asked
                return
            await asyncio.sleep(0)
        raise RestlessError(await self.store.read(self._to_be_done))

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
            self._scheduled_is_due = bool(tx.schedule.due(now, 1)) or bool(tx.scripts.due(now, 1))
            return (
                self._scheduled_is_due
                or due
                or bool(depth.leased)
                or bool(tx.outbox.due_plans(now, 1))
                or bool(tx.timers.due(now, 1))
            )

        return await self.store.read(work)

    def _to_be_done(self, tx: SqliteTransaction) -> str:
        now = self.now()
        timers = [f"{one.kind.name} of activity {one.activity_id}" for one in tx.timers.due(now, 10)]
        plans = [f"plan of revision {one.revision}" for one in tx.outbox.due_plans(now, 10)]
        return f"after {MOST_TURNS} turns: {tx.outbox.depth(now)}, timers {timers}, plans {plans}, {self.reports}"


@contextlib.asynccontextmanager
async def virtual_service(
    data: Path, apple: type[Apple] = Apple, **world_options: Any
) -> AsyncIterator[VirtualService]:
    """Run it until the block is left. The phones are the caller's to add."""
    clock = FrozenClock()
    async with (
        await SqliteStore.open(data / "skerry.db", clock=_millis(clock)) as store,
        _service(store, clock, data, apple, world_options) as service,
    ):
        yield service


@contextlib.asynccontextmanager
async def stepped_service(
    data: Path, seed: str, apple: type[Apple] = Apple, **world_options: Any
) -> AsyncIterator[VirtualService]:
    """The same in one thread and in memory: the seed decides who comes before whom, and a run repeats exactly."""
    clock = FrozenClock()
    async with (
        SteppedStore(_millis(clock), seed) as store,
        _service(store, clock, data, apple, {"seed": seed, **world_options}) as service,
    ):
        yield service


@contextlib.asynccontextmanager
async def _service(
    store: SqliteStore | SteppedStore, clock: FrozenClock, data: Path, apple: type[Apple], world_options: dict[str, Any]
) -> AsyncIterator[VirtualService]:
    world = World(clock, bundle_id=BUNDLE, **world_options)
    app = await Apps(store, KeyRing.at(data / "keyring.json"), clock=_millis(clock)).create("virtual", BUNDLE)
    service = VirtualService(store, clock, apple(world), world, app.app_id)
    world.reporter = cast("Reporter", service)
    service.start()
    try:
        yield service
    finally:
        await service.crash()


def _millis(clock: FrozenClock) -> Callable[[], Millis]:
    return lambda: Millis(int(clock.now() * 1000))
