"""The composition root: the only module that knows which adapter is in use."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import cast

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector
from starlette.types import ASGIApp

from skerry import __version__
from skerry.activities.batch import Batches
from skerry.activities.card_events import CardEvents
from skerry.activities.desired_state import DesiredState, DesiredStateSettings
from skerry.activities.ports import Delivery
from skerry.activities.renewal import Renewal, RenewalSettings
from skerry.activities.schedule import Schedule
from skerry.activities.schedule_keeper import ScheduleKeeper, ScheduleSettings
from skerry.activities.service import Activities
from skerry.activities.timekeeper import Timekeeper
from skerry.api.app import build_api
from skerry.api.ports import ApiSettings, Services, StreamSettings
from skerry.apns import ApnsClient, Channels, PoolSettings
from skerry.apns.proxy import Proxy
from skerry.apns.stats import ClientStats
from skerry.bus.memory import MemoryBus
from skerry.delivery.assistance import Assistance
from skerry.delivery.channel_keeper import ChannelKeeper
from skerry.delivery.directory import Directory
from skerry.delivery.handover import Handover
from skerry.delivery.planner import Planner
from skerry.delivery.ports import Transaction
from skerry.delivery.sender import Sender, SenderSettings
from skerry.delivery.settlement import Settlement
from skerry.delivery.tokenless import NoTokenSettings
from skerry.domain.budget import OverBudget, StartBudget
from skerry.domain.chunk import Lane
from skerry.domain.desired import NoToken
from skerry.domain.ids import Millis
from skerry.domain.timer import TimerKind
from skerry.domain.unit_of_work import UnitOfWork
from skerry.domain.verdict import RetryPolicy
from skerry.domain.webhook import RetrySchedule
from skerry.metrics import ServiceMetrics
from skerry.receipts.feed import Feed
from skerry.receipts.service import Receipts
from skerry.receipts.webhooks.addresses import AddressRules
from skerry.receipts.webhooks.post import WebhookPoster
from skerry.receipts.webhooks.sender import WebhookSender, WebhookSettings
from skerry.receipts.webhooks.service import Webhooks
from skerry.registry.apps import Apps
from skerry.registry.audiences import Audiences
from skerry.registry.segments import Segments
from skerry.registry.service import Registry
from skerry.sender_processes import SenderProcesses
from skerry.settings import Settings
from skerry.simulator.passage import SimulatorPassage
from skerry.store.sealing import KeyRing
from skerry.store.sqlite.database import SqliteStore
from skerry.store.sqlite.retention import Keep, sweep_all
from skerry.store.sqlite.transaction import SqliteTransaction
from skerry.store.sqlite.watch import Watch

log = structlog.get_logger()

SWEEP_EVERY = 3600.0
SETTLE_WITHIN = 5.0
"""Seconds that pushes in flight get when the service stops, so that their answers are known."""
HOUR = 3_600_000
"""Milliseconds."""
DAY = 24 * HOUR
LARGE_CHUNKS = 32
"""Chunks of large fan-outs that are on their way at once."""
WATCH_EVERY = 0.02
"""Seconds between two looks whether another process has committed; one takes microseconds."""
WAKES = (*(lane.name for lane in Lane), "plans", "timers")
EVENTS, WEBHOOKS = "events", "webhooks"
SCHEDULE = "schedule"

LEASE_BEYOND_TIMEOUT = 45.0
"""Seconds beyond a webhook's time to answer in which its result must be stored, or it is told again."""


def now() -> Millis:
    """The time, for everything that is not the simulator."""
    return Millis(time.time_ns() // 1_000_000)


@dataclass(frozen=True, slots=True)
class Admin:
    """The store and what is kept in it, without anything that runs: for command-line tools beside a running service."""

    store: SqliteStore
    apps: Apps
    receipts: Receipts


@dataclass(frozen=True, slots=True)
class Service:
    """A running service; `api` is what an HTTP server serves."""

    api: ASGIApp
    apps: Apps
    receipts: Receipts
    feed: Feed
    """To be closed before the HTTP server is: it waits for open answers, and streams have no end of their own."""


@asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[Admin]:
    """Open the store for a tool; a service may be running on it."""
    async with await SqliteStore.open(settings.database, exclusive=False, clock=now) as store:
        apps = Apps(store, KeyRing.at(settings.key_ring), clock=now)
        yield Admin(store, apps, Receipts(store))


@dataclass(frozen=True, slots=True)
class _Sending:
    """What a process needs to send."""

    planner: Planner
    keeper: ChannelKeeper
    sender: Sender


def _delivery(
    settings: Settings,
    store: UnitOfWork[Transaction],
    pushes: ApnsClient,
    apps: Apps,
    bus: MemoryBus,
    wake: Callable[[], None],
    how: SenderSettings,
    owner: str | None = None,
) -> _Sending:
    handover = Handover()
    planner = Planner(
        clock=now,
        wake=wake,
        handover=handover,
        start_within=_schedule(settings).start_within,
        starts=_starts(settings),
    )
    settlement = Settlement(
        _retry(settings),
        resend_unknown_starts=settings.delivery.unknown_start == "resend",
        unknown_start_after=Millis(int(settings.delivery.unknown_start_after_s * 1000)),
    )
    directory = Directory(apps.app)
    keeper = ChannelKeeper(
        store, Channels(pushes), directory, clock=now, nap=lambda seconds: bus.nap("channels", seconds)
    )
    sender = Sender(
        store,
        pushes,
        directory,
        planner,
        settlement,
        keeper,
        how,
        clock=now,
        nap=bus.nap,
        wake=wake,
        handover=handover,
        owner=owner,
    )
    return _Sending(planner, keeper, sender)


@dataclass(frozen=True, slots=True)
class Beside:
    """A sender beside a running service; whoever opens it runs it."""

    sender: Sender
    stats: Callable[[], ClientStats]
    run: Callable[[], Coroutine[None, None, None]]
    """Send until cancelled; raises an `ExceptionGroup` with `GivenUpError` where others have taken over."""


@asynccontextmanager
async def open_sender(settings: Settings, owner: str) -> AsyncIterator[Beside]:
    """A sender of large fan-outs on the database of a running service."""
    bus = MemoryBus()
    async with (
        await SqliteStore.open(settings.database, exclusive=False, clock=now, readers=settings.store.readers) as store,
        ApnsClient(pool_settings(settings)) as pushes,
    ):
        apps = Apps(store, KeyRing.at(settings.key_ring), clock=now)
        how = replace(_sender(settings), lanes=(Lane.LARGE,), assists=True)
        known = Assistance(cast("UnitOfWork[Transaction]", store), owner, clock=now)

        def wake() -> None:
            bus.wake(*WAKES)

        sender = _delivery(settings, known, pushes, apps, bus, wake, how, owner).sender

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(known.stay_known(bus.nap))
                group.create_task(_watch(store, wake))
                group.create_task(sender.run())

        await known.begin()
        try:
            yield Beside(sender, pushes.stats, run)
        finally:
            await known.end()


async def _watch(store: SqliteStore, wake: Callable[[], None]) -> None:
    """Wake this process's loops when another one has committed; for the bus ends with the process."""
    with Watch(store.path) as watch:
        while True:
            await asyncio.sleep(WATCH_EVERY)
            if watch.changed():
                wake()


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """Open the store, start delivery, and offer the API until the block is left.

    Raises:
        StoreError: if the store cannot be opened, or another service runs on it.
        SealError: if the key ring cannot be read.
    """
    bus = MemoryBus()
    async with (
        await SqliteStore.open(
            settings.database,
            clock=now,
            queue_limit=settings.store.queue,
            readers=settings.store.readers,
            announce=lambda: bus.wake(EVENTS, WEBHOOKS),
        ) as store,
        ApnsClient(pool_settings(settings)) as pushes,
        _poster(settings) as poster,
    ):
        ring = KeyRing.at(settings.key_ring)
        apps = Apps(store, ring, clock=now)

        def wake() -> None:
            bus.wake(*WAKES)

        delivery = _delivery(settings, store, pushes, apps, bus, wake, _sender(settings))
        planner, keeper, sender = delivery.planner, delivery.keeper, delivery.sender
        # Each room has its own view of the transaction; the one that exists shows all of them.
        outbox = cast("Delivery", planner)
        activities = Activities(store, outbox, clock=now)
        renewal = Renewal(outbox, _renewal(settings))
        desired = DesiredState(
            store, outbox, _desired(settings), renewal, clock=now, announce_script=lambda: bus.wake(SCHEDULE)
        )
        batches = Batches(store, outbox, desired, _desired(settings), clock=now)
        schedule = Schedule(store, outbox, clock=now, announce=lambda: bus.wake(SCHEDULE))
        schedule_keeper = ScheduleKeeper(
            store,
            desired,
            _schedule(settings),
            clock=now,
            nap=lambda seconds: bus.nap(SCHEDULE, seconds),
            wake=wake,
        )
        timekeeper: Timekeeper[SqliteTransaction] = Timekeeper(
            store,
            {
                TimerKind.PLANNED_END: activities.planned_end,
                TimerKind.UNKNOWN_START: sender.unknown_start,
                TimerKind.NO_TOKEN: sender.no_token,
                TimerKind.SILENCE: desired.silent,
                TimerKind.RENEWAL: renewal.renew,
                TimerKind.FAREWELL: renewal.say_farewell,
            },
            clock=now,
            nap=lambda seconds: bus.nap("timers", seconds),
            wake=wake,
        )
        registry: Registry[SqliteTransaction] = Registry(store, CardEvents(outbox, renewal), clock=now)
        webhook_sender = WebhookSender(
            store,
            poster,
            ring,
            _webhook_settings(settings),
            clock=now,
            nap=lambda seconds: bus.nap(WEBHOOKS, seconds),
            wake=lambda: bus.wake(WEBHOOKS),
        )
        webhooks = Webhooks(
            store,
            ring,
            _address_rules(settings),
            most_per_app=settings.webhooks.most_per_app,
            clock=now,
            wake=lambda: bus.wake(WEBHOOKS),
        )
        feed = Feed(store, lambda: bus.listen(EVENTS), lambda: bus.wake(EVENTS))
        beside = SenderProcesses(settings.delivery.processes - 1, settings.data_dir, store, sender)
        known = ServiceMetrics(store, lambda: beside.with_theirs(pushes.stats()), sender, webhook_sender, clock=now)
        metrics = CollectorRegistry()
        metrics.register(known)
        ProcessCollector(registry=metrics)
        loops: list[tuple[str, Callable[[], object]]] = []
        if settings.delivery.processes > 1:
            loops = [
                ("senders beside", beside.run),
                ("their commits", lambda: _watch(store, lambda: bus.wake(*WAKES, EVENTS, WEBHOOKS))),
            ]
        tasks = [
            asyncio.create_task(_supervised(work), name=name)
            for name, work in (
                *loops,
                ("sender", sender.run),
                ("timekeeper", timekeeper.run),
                ("schedule", schedule_keeper.run),
                ("channels", keeper.run),
                ("webhooks", webhook_sender.run),
                ("retention", lambda: _retain(store, _keep(settings))),
            )
        ]
        receipts = Receipts(store)
        audiences: Audiences[SqliteTransaction] = Audiences(store, clock=now)
        segments: Segments[SqliteTransaction] = Segments(store, clock=now)
        services = Services(
            apps,
            activities,
            desired,
            batches,
            registry,
            receipts,
            webhooks,
            feed,
            _Health(store, tasks),
            audiences,
            segments,
            schedule,
        )
        api: ASGIApp = build_api(services, _api(settings), metrics, clock=now, refresh=known.refresh)
        if settings.http.simulator_url:
            api = SimulatorPassage(api, settings.http.simulator_url)
        try:
            yield Service(api, apps, receipts, feed)
        finally:
            feed.close()
            await sender.finish(SETTLE_WITHIN)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _supervised(work: Callable[[], object]) -> None:
    """Run a loop; should it fail, say so and start it again: the store knows where it was."""
    while True:
        try:
            await work()  # type: ignore[misc]
        except asyncio.CancelledError:
            raise
        except Exception:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                log.exception("a background loop failed while it was stopped")
                raise
            log.exception("a background loop failed and is started again")
            await asyncio.sleep(1.0)


async def _retain(store: SqliteStore, keep: Keep) -> None:
    while True:
        await sweep_all(store, keep, now())
        await store.empty_log()
        await asyncio.sleep(SWEEP_EVERY)


class _Health:
    def __init__(self, store: SqliteStore, tasks: Iterable[asyncio.Task[None]]) -> None:
        self._store = store
        self._tasks = tuple(tasks)

    def live(self) -> bool:
        return not any(task.done() for task in self._tasks)

    async def ready(self) -> Mapping[str, str]:
        checks = {"loops": "ok" if self.live() else "a background loop has ended"}
        try:
            async with asyncio.timeout(5.0):
                await self._store.read(lambda tx: tx.timers.next_due())
            checks["store"] = "ok"
        except Exception as error:  # noqa: BLE001 - any failure is the answer
            checks["store"] = f"cannot be read: {error!r}"
        return checks


def pool_settings(settings: Settings) -> PoolSettings:
    """How routes are treated, for the service and for tools that push beside it."""
    apns = settings.apns
    return PoolSettings(
        max_connections=apns.max_connections,
        growth_interval=apns.growth_interval_s,
        connect_timeout=apns.connect_timeout_s,
        ping_interval=apns.ping_interval_s,
        silence_limit=apns.silence_limit_s,
        ping_timeout=apns.ping_timeout_s,
        idle_after=apns.idle_after_s,
        max_age=apns.max_age_s,
        max_queued=apns.max_queued,
        proxy=None if apns.proxy is None else Proxy.parse(apns.proxy),
    )


def _retry(settings: Settings) -> RetryPolicy:
    delivery = settings.delivery
    return RetryPolicy(
        server_error=delivery.retry_server_error_s,
        too_many_requests=delivery.retry_too_many_requests_s,
        credential=delivery.retry_credential_s,
        max_age=delivery.retry_max_age_s,
    )


def _sender(settings: Settings) -> SenderSettings:
    delivery, activities = settings.delivery, settings.activities
    large = LARGE_CHUNKS if delivery.processes == 1 else LARGE_CHUNKS // 4  # who takes all leaves nothing to share
    return SenderSettings(
        chunks_at_once={Lane.SMALL: 256, Lane.LARGE: large},
        start_window=delivery.start_window,
        push_deadline=delivery.push_deadline_s,
        no_token=NoTokenSettings(
            NoToken(activities.no_token),
            Millis(int(activities.no_token_after_s * 1000)),
            activities.no_token_again_most,
        ),
    )


def _starts(settings: Settings) -> StartBudget:
    activities = settings.activities
    window = Millis(int(activities.starts_window_s * 1000))
    return StartBudget(activities.starts_per_device, window, OverBudget(activities.start_budget))


def _desired(settings: Settings) -> DesiredStateSettings:
    activities = settings.activities
    stale = activities.stale_after_s
    return DesiredStateSettings(
        interval=Millis(int(activities.update_interval_s * 1000)),
        high_per_hour=activities.high_priority_per_hour,
        frequent_high_per_hour=activities.frequent_high_priority_per_hour,
        stale_after=None if stale is None else Millis(int(stale * 1000)),
    )


def _renewal(settings: Settings) -> RenewalSettings:
    activities = settings.activities
    return RenewalSettings(
        after=Millis(int(activities.renew_after_s * 1000)),
        jitter=Millis(int(activities.renew_jitter_s * 1000)),
        farewell=Millis(int(activities.farewell_after_s * 1000)),
    )


def _schedule(settings: Settings) -> ScheduleSettings:
    return ScheduleSettings(start_within=Millis(int(settings.activities.scheduled_start_within_s * 1000)))


def _address_rules(settings: Settings) -> AddressRules:
    return AddressRules(settings.webhooks.allow_private_networks, settings.webhooks.allow_http)


def _poster(settings: Settings) -> WebhookPoster:
    return WebhookPoster(
        _address_rules(settings),
        timeout=settings.webhooks.timeout_s,
        concurrency=settings.webhooks.concurrency,
        user_agent=f"Skerry/{__version__}",
    )


def _webhook_settings(settings: Settings) -> WebhookSettings:
    webhooks = settings.webhooks
    return WebhookSettings(
        RetrySchedule(webhooks.retry_after_s, disable_after=webhooks.disable_after_s),
        concurrency=webhooks.concurrency,
        per_webhook=webhooks.concurrency_per_webhook,
        lease=webhooks.timeout_s + LEASE_BEYOND_TIMEOUT,
    )


def _keep(settings: Settings) -> Keep:
    retention = settings.retention
    starts = int(retention.starts_days * DAY)
    return Keep(
        settled_ms=int(retention.updates_days * DAY),
        starts_ms=starts,
        ended_ms=starts,
        idempotency_ms=int(retention.idempotency_hours * HOUR),
        events_ms=int(retention.events_days * DAY),
    )


def _api(settings: Settings) -> ApiSettings:
    limits = settings.limits
    per_key = limits.requests_per_key_per_minute
    return ApiSettings(
        max_body_bytes=settings.http.max_body_bytes,
        trusted_proxies=settings.http.trusted_proxies,
        strict_notification_key=settings.rest3.strict_notification_key,
        timezone=settings.rest3.timezone,
        version=__version__,
        events_per_minute={
            "installation": (limits.events_per_installation_per_minute, limits.events_per_installation_burst),
            "address": (limits.events_per_address_per_minute, limits.events_per_address_burst),
        },
        requests_per_minute=None if per_key is None else (per_key, limits.requests_per_key_burst),
        body_timeout=settings.http.body_timeout_s,
        stream=StreamSettings(settings.stream.per_key, settings.stream.heartbeat_s, settings.stream.slow_after_s),
        answer_timeout=settings.http.answer_timeout_s,
    )
