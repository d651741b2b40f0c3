"""The whole path: one update to very many cards, from the request until every verdict is on disk."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil
from statistics import median
from typing import Any

from bench.bodies import MATCH, UPDATE, change
from bench.figures import Absent, Figure, Finding, Run
from bench.gorush import GORUSH, gorush_runs
from bench.outbox import OutboxView, outbox_of
from bench.population import populated_home
from bench.service import RunningService, running_service
from bench.session import Case, Session, WrongResultError
from bench.sink import Sink, running_sink
from bench.verdicts import require

_MOST_OF_GATEWAYS = 100_000
"""Pushes of one update that other gateways get: a million would take them minutes, and tell nothing new."""
_OF_UPDATES: Mapping[str, Callable[[Iterable[float]], float]] = {
    "answered_ms": median,
    "peak_rss_mb": max,
    "sink_cpu_s": sum,
    "lost": sum,
    "doubled": sum,
}
"""What a run of several updates says of what each of them tells."""


async def whole_path(session: Session) -> Sequence[Finding]:
    """The service at every size, and beside it the gateway that can be measured likewise."""
    findings: list[Finding] = []
    async with running_sink(apple_streams=1_000) as sink:
        for cards in session.sizes.cards:
            size = str(cards)
            if session.wants("skerry"):
                runs = await _runs(session, sink, cards)
                findings.append(Figure("whole_path", size, "skerry", "pushes", runs[1:]))
                findings.append(Figure("whole_path", size, "skerry_first", "pushes", runs[:1]))
                runs = await _runs(session, sink, cards, processes=2)
                findings.append(Figure("whole_path", size, "skerry_two_senders", "pushes", runs[1:]))
            if session.wants(GORUSH) and cards <= _MOST_OF_GATEWAYS:
                gateway = await gorush_runs(session, sink, cards)
                findings.append(
                    Absent("whole_path", size, GORUSH, gateway)
                    if isinstance(gateway, str)
                    else Figure("whole_path", size, GORUSH, "pushes", gateway)
                )
    return findings


async def _runs(session: Session, sink: Sink, cards: int, *, processes: int = 1) -> list[Run]:
    session.say(f"whole path: making {cards:,} cards, or finding them in the cache")
    profile = session.profile if processes == 1 else None
    async with (
        populated_home(sink.endpoint, MATCH, cards) as home,
        running_service(home, profile, processes=processes) as service,
    ):
        with outbox_of(service.database) as outbox:
            runs = []
            for number in range(session.sizes.runs + 1):
                updates = ceil(session.sizes.run_pushes / cards) if number else 1
                goals = [change(MATCH, f"goal {number}.{again}") for again in range(updates)]
                runs.append(_together([await one_update(service, sink, outbox, cards, goal) for goal in goals]))
                rates = [f"{runs[-1].values[name]:,.0f}" for name in ("per_second", "per_cpu_second")]
                session.say(
                    f"whole path, {cards:,} cards, {processes} sending: {rates[0]} a second, {rates[1]} per CPU-second"
                )
    return runs


def _together(updates: Sequence[Run]) -> Run:
    """Updates one after another as one run."""
    return Run(
        sum(one.count for one in updates),
        sum(one.cpu for one in updates),
        sum(one.wall for one in updates),
        {name: merged(one.others[name] for one in updates) for name, merged in _OF_UPDATES.items()},
    )


async def one_update(
    service: RunningService, sink: Sink, outbox: OutboxView, cards: int, body: Mapping[str, Any]
) -> Run:  # fmt: skip
    """From the request until every verdict is on disk.

    Raises:
        WrongResultError: if a card did not get it, or got it twice.
    """
    request = service.rest.post(UPDATE, body)
    pushes, sink_cpu = await sink.pushes(), sink.worker.cpu_seconds()
    senders = service.all_processes()
    cpu, began = sum(one.cpu_seconds() for one in senders), time.time()
    answered = await service.rest.put([request], 1)
    settled = await outbox.settled(began)
    cpu = sum(one.cpu_seconds() for one in senders) - cpu
    received = await sink.pushes() - pushes
    require(settled.verdicts, received, cards)
    if received != cards:
        raise WrongResultError(f"one update to {cards} cards reached nginx as {received} pushes")
    others = {
        "answered_ms": answered.wall * 1000,
        "peak_rss_mb": sum(one.peak_memory_mib() for one in senders),
        "sink_cpu_s": sink.worker.cpu_seconds() - sink_cpu,
        "lost": 0,
        "doubled": 0,
    }
    return Run(cards, cpu, settled.at - began, others)


CASE = Case(
    "whole_path",
    "The whole path: one update to all cards of an activity",
    f"one POST {UPDATE} to a group of so many cards, SQLite, one process, tokens read from disk, from the request "
    "until every verdict is on disk; TLS 1.3 and HTTP/2 to nginx with `return 200` on the other core, which counts "
    "every push. A run is one update, or so many one after another that at least 100,000 pushes go out: one of 10,000 "
    "takes 0.05 s. `skerry_first` is the first push ever to these devices: it proves each one's environment, which is "
    "written to its row. `skerry_two_senders` is the service with `delivery.processes = 2`: CPU time and memory are "
    "those of both processes, which have to share two cores with nginx. gorush keeps nothing on disk: it gets the same "
    "tokens in its own requests, until nginx has seen all",
    whole_path,
)
