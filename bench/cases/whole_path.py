"""The whole path: one update to very many cards, from the request until every verdict is on disk."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from math import ceil
from statistics import median
from typing import Any

from bench.bodies import MATCH, UPDATE, change
from bench.figures import Absent, Figure, Finding, Run
from bench.gorush import GORUSH, gorush_runs
from bench.outbox import OutboxView, outbox_of
from bench.population import populated_home
from bench.process import Cores
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
        if session.wants("skerry"):
            for cards, runs in (await _in_turns(session, sink)).items():
                findings.append(Figure("whole_path", str(cards), "skerry", "pushes", runs[1:]))
                findings.append(Figure("whole_path", str(cards), "skerry_first", "pushes", runs[:1]))
            for cards, runs in (await _in_turns(session, sink, processes=2)).items():
                findings.append(Figure("whole_path", str(cards), "skerry_two_senders", "pushes", runs[1:]))
        if session.wants(GORUSH):
            for cards in (cards for cards in session.sizes.cards if cards <= _MOST_OF_GATEWAYS):
                gateway = await gorush_runs(session, sink, cards)
                findings.append(
                    Absent("whole_path", str(cards), GORUSH, gateway)
                    if isinstance(gateway, str)
                    else Figure("whole_path", str(cards), GORUSH, "pushes", gateway)
                )
    return findings


async def _in_turns(session: Session, sink: Sink, *, processes: int = 1) -> Mapping[int, Sequence[Run]]:
    """The runs of each size, the first push to its devices ahead of them.

    The sizes take turns, each with a service of its own that is there all the time: what else the machine has to do
    meets all of them alike, and what a push costs at one size can be compared with what it costs at another.
    """
    cores = Cores.of_this_machine()
    runs: dict[int, list[Run]] = {}
    async with AsyncExitStack() as stack:
        running: dict[int, tuple[RunningService, OutboxView]] = {}
        for cards in session.sizes.cards:
            session.say(f"whole path: making {cards:,} cards, or finding them in the cache")
            home = await stack.enter_async_context(populated_home(sink.endpoint, MATCH, cards))
            profile = session.profile if processes == 1 and cards == max(session.sizes.cards) else None
            service = await stack.enter_async_context(
                # One process has a core of its own, and nginx the other: two have to share both of them with nginx.
                running_service(home, profile, processes=processes, cores=cores.clients if processes == 1 else None)
            )
            running[cards] = service, stack.enter_context(outbox_of(service.database))
            runs[cards] = []
        for number in range(session.sizes.runs + 1):
            for cards, (service, outbox) in running.items():
                updates = ceil(session.sizes.run_pushes / cards) if number else 1
                goals = [change(MATCH, f"goal {number}.{again}") for again in range(updates)]
                run = _together([await one_update(service, sink, outbox, cards, goal) for goal in goals])
                rates = [f"{run.values[name]:,.0f}" for name in ("per_second", "per_cpu_second")]
                session.say(
                    f"whole path, {cards:,} cards, {processes} sending: {rates[0]} a second, {rates[1]} per CPU-second"
                )
                runs[cards].append(run)
    return {cards: _beside(runs[max(runs)], of_size) for cards, of_size in runs.items()}


def _beside(largest: Sequence[Run], runs: Sequence[Run]) -> Sequence[Run]:
    """Runs, each with what a push cost in it as a share of what it cost at the largest size in the same turn."""
    return [
        replace(run, others={**run.others, "cost_of_largest": most / run.values["per_cpu_second"]})
        for run, most in zip(runs, (one.values["per_cpu_second"] for one in largest), strict=True)
    ]


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
    "takes 0.05 s. The sizes take turns, each with a service of its own that stays: `cost_of_largest` is the CPU time "
    "of a push as a share of what it is at the largest size in the same turn. `skerry_first` is the first push ever to "
    "these devices: it proves each one's environment, which is written to its row. `skerry_two_senders` is the service "
    "with `delivery.processes = 2`: CPU time and memory are those of both processes, which have to share two cores "
    "with nginx. gorush keeps nothing on disk: it gets the same tokens in its own requests, until nginx has seen all",
    whole_path,
)
