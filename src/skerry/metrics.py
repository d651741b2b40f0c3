"""What `/metrics` shows of the service beside its API (`skerry.api.metrics`). Every name is declared here once.

The parts count for themselves, in plain numbers; nothing here is on the way of a push. What they know is read when
`/metrics` is asked, and so is what waits in the outbox.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from skerry import __version__
from skerry.apns.gate import Closed
from skerry.apns.stats import ClientStats, RouteStats
from skerry.delivery.durations import Durations
from skerry.delivery.sender import Sender
from skerry.domain.chunk import Depth
from skerry.domain.ids import Millis
from skerry.domain.push import Outcome
from skerry.domain.verdict import Verdict
from skerry.domain.webhook import AttemptOutcome
from skerry.receipts.webhooks.sender import WebhookSender
from skerry.store.sqlite.database import SqliteStore
from skerry.store.sqlite.transaction import SqliteTransaction

log = structlog.get_logger()

PATIENCE = 2.0
"""Seconds that the outbox may take to say what waits; beyond them `/metrics` answers without."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The name of a number that only rises; Prometheus shows it with `_total`."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()

    def family(self, values: Mapping[tuple[str, ...], float]) -> Metric:
        """The numbers by their labels' values."""
        family = CounterMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, value in values.items():
            family.add_metric(labels, value)
        return family


@dataclass(frozen=True, slots=True)
class Gauge:
    """The name of a number that rises and falls."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()

    def family(self, values: Mapping[tuple[str, ...], float]) -> Metric:
        """The numbers by their labels' values."""
        family = GaugeMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, value in values.items():
            family.add_metric(labels, value)
        return family


@dataclass(frozen=True, slots=True)
class Timed:
    """The name of a histogram of seconds."""

    name: str
    meaning: str

    def family(self, durations: Durations) -> Metric:
        """Its classes, cumulated as Prometheus wants them."""
        ends = [*map(str, durations.bounds), "+Inf"]
        buckets = list(zip(ends, accumulate(durations.counts), strict=True))
        return HistogramMetricFamily(self.name, self.meaning, buckets=buckets, sum_value=durations.total)


_ROUTE = ("endpoint", "team", "key")

BUILD = Gauge("skerry_build", "Always 1; the label says which release runs.", ("version",))
PUSHES = Counted("skerry_pushes", "Pushes by what became of them; one that is sent again counts again.", ("verdict",))
REFUSALS = Counted("skerry_push_refusals", "Refusals by APNs' reason.", ("reason",))
WIRE_SECONDS = Timed(
    "skerry_push_wire_seconds", "Seconds from the commit that made a push due to its first writing to a connection."
)
VERDICT_SECONDS = Timed(
    "skerry_push_verdict_seconds", "Seconds from the commit that made a push due to the commit of what became of it."
)
BROADCASTS = Counted("skerry_broadcasts", "Broadcasts by what became of them.", ("outcome",))

CHUNKS = Gauge("skerry_outbox_chunks", "Chunks of pushes that are waiting (ready) or being sent (leased).", ("state",))
OLDEST = Gauge("skerry_outbox_oldest_seconds", "Seconds that the chunk which waits longest has been due; 0: none is.")
PLANS = Gauge("skerry_outbox_plans", "Large starts whose audience is still being gone through.")
OVERDUE = Gauge(
    "skerry_overdue_seconds",
    "Seconds by which what has its time is late: scheduled changes, phases of scripts, timers; 0: nothing is.",
    ("what",),
)

CONNECTIONS = Gauge("skerry_apns_connections", "Connections by state: opening, open or draining.", (*_ROUTE, "state"))
OPEN_STREAMS = Gauge("skerry_apns_open_streams", "Pushes awaiting APNs' answer.", _ROUTE)
STREAM_LIMIT = Gauge("skerry_apns_stream_limit", "Streams that APNs allows, summed over connections.", _ROUTE)
WINDOW = Gauge("skerry_apns_window_bytes", "Bytes of bodies that APNs would take now, over all connections.", _ROUTE)
QUEUED = Gauge("skerry_apns_queued", "Pushes waiting for a stream.", _ROUTE)
TOKEN_AGE = Gauge("skerry_apns_provider_token_age_seconds", "Seconds since the provider token was signed.", _ROUTE)
GATE = Gauge(
    "skerry_apns_gate_closed",
    "1 while nothing but probes goes out, by cause: server_errors, too_many_provider_token_updates or credential.",
    (*_ROUTE, "cause"),
)

WEBHOOK_ATTEMPTS = Counted("skerry_webhook_attempts", "Requests to webhooks by what became of them.", ("outcome",))
WEBHOOK_PENDING = Gauge("skerry_webhook_pending", "Events that webhooks are still to be told of.")

STORE_QUEUE = Gauge("skerry_store_queue", "Writes waiting for the writer.")
COMMITS = Counted("skerry_store_commits", "Commits since the start.")
FAILED_COMMITS = Counted("skerry_store_failed_commits", "Commits that failed: a full disk, mostly.")
WORKS = Counted("skerry_store_works", "Units of work that shared the commits.")

_CONNECTION_STATES = ("opening", "open", "draining")


class ServiceMetrics(Collector):
    """Reads the parts of a service."""

    def __init__(
        self,
        store: SqliteStore,
        pushes: Callable[[], ClientStats],
        sender: Sender,
        webhooks: WebhookSender,
        *,
        clock: Callable[[], Millis] = lambda: Millis(time.time_ns() // 1_000_000),
    ) -> None:
        self._store = store
        self._pushes = pushes
        self._sender = sender
        self._webhooks = webhooks
        self._clock = clock
        self._due: _Due | None = None

    async def refresh(self) -> None:
        """Ask the store what waits. One that does not answer must not hide everything else."""
        now = self._clock()
        try:
            async with asyncio.timeout(PATIENCE):
                self._due = await self._store.read(lambda tx: _Due.of(tx, now))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other numbers help to find it
            self._due = None
            log.warning("what waits cannot be counted for /metrics", error=repr(error))

    def collect(self) -> Iterable[Metric]:
        """All families."""
        yield BUILD.family({(__version__,): 1})
        yield from self._deliveries()
        yield from self._waiting()
        yield from _routes(self._pushes())
        told = self._webhooks.outcomes
        yield WEBHOOK_ATTEMPTS.family({(one.value,): told[one] for one in AttemptOutcome})
        yield WEBHOOK_PENDING.family({(): self._webhooks.pending})
        stats = self._store.stats()
        yield STORE_QUEUE.family({(): stats.queue_length})
        yield COMMITS.family({(): stats.commits})
        yield FAILED_COMMITS.family({(): stats.failed_commits})
        yield WORKS.family({(): stats.works})

    def _deliveries(self) -> Iterator[Metric]:
        tally = self._sender.tally
        # All verdicts from the start: a rate of something that appears with its first count misses that count.
        yield PUSHES.family({(one.name.lower(),): tally.verdicts[one] for one in Verdict if not one.is_open})
        yield REFUSALS.family({(reason,): count for reason, count in tally.reasons.items()})
        yield WIRE_SECONDS.family(tally.to_wire)
        yield VERDICT_SECONDS.family(tally.to_verdict)
        outcomes = [one for one in Outcome if one is not Outcome.PENDING]
        yield BROADCASTS.family({(one.name.lower(),): tally.broadcasts[one] for one in outcomes})

    def _waiting(self) -> Iterator[Metric]:
        if self._due is None:
            return
        now, depth = self._clock(), self._due.pushes
        yield CHUNKS.family({("ready",): depth.ready, ("leased",): depth.leased})
        yield OLDEST.family({(): _late(depth.oldest_due_at, now)})
        yield PLANS.family({(): depth.plans})
        yield OVERDUE.family({(what,): _late(due, now) for what, due in self._due.first.items()})


@dataclass(frozen=True, slots=True)
class _Due:
    """What waits for its time, and what for its turn."""

    pushes: Depth
    first: Mapping[str, Millis | None]
    """When the first of each is due."""

    @classmethod
    def of(cls, tx: SqliteTransaction, now: Millis) -> Self:
        first = {
            "changes": tx.schedule.next_due(),
            "scripts": tx.scripts.next_due(),
            "timers": tx.timers.next_due(),
        }
        return cls(tx.outbox.depth(now), first)


def _late(due: Millis | None, now: Millis) -> float:
    """Seconds."""
    return 0.0 if due is None else max(now - due, 0) / 1000


def _routes(stats: ClientStats) -> Iterator[Metric]:
    """Routes may differ in what no label shows, a key that was replaced or its roots: those are added up."""
    routes: defaultdict[tuple[str, ...], list[RouteStats]] = defaultdict(list)
    for one in stats.routes:
        routes[one.endpoint, one.team_id, one.key_id].append(one)

    def summed(value: Callable[[RouteStats], int]) -> dict[tuple[str, ...], float]:
        return {labels: sum(map(value, group)) for labels, group in routes.items()}

    yield OPEN_STREAMS.family(summed(lambda one: one.open_streams))
    yield STREAM_LIMIT.family(summed(lambda one: one.stream_limit))
    yield WINDOW.family(summed(lambda one: one.window))
    yield QUEUED.family(summed(lambda one: one.queued))
    yield CONNECTIONS.family(
        {
            (*labels, state): sum(one.connections.get(state, 0) for one in group)
            for labels, group in routes.items()
            for state in _CONNECTION_STATES
        }
    )
    ages = {
        labels: [one.token_age for one in group if one.token_age is not None] for labels, group in routes.items()
    }  # fmt: skip
    yield TOKEN_AGE.family({labels: max(known) for labels, known in ages.items() if known})
    yield GATE.family(
        {
            (*labels, cause.value): int(any(one.gate == cause.value for one in group))
            for labels, group in routes.items()
            for cause in Closed
        }
    )
