"""The courier: very many activities with one card each, updated by single calls and by bulk calls."""

import asyncio
import time
from collections.abc import Sequence

from bench.bodies import BATCH, EVENTS, UPDATE, changes, lines
from bench.cases.requests import request_run
from bench.figures import Figure, Finding, Run
from bench.outbox import OutboxView, outbox_of
from bench.population import report_body
from bench.service import RunningService, new_home, running_service
from bench.session import Case, Session
from bench.sink import Sink, running_sink
from bench.verdicts import require

_SLOT = 1.1
"""Seconds, and a little: an update of an activity that comes within one of the last waits for it."""


async def courier(session: Session) -> Sequence[Finding]:
    """Single calls, then bulk calls, on the same activities."""
    sizes = session.sizes
    groups = [f"order-{number}" for number in range(sizes.activities)]
    async with (
        running_sink() as sink,
        new_home(sink.endpoint) as home,
        running_service(home, session.profile) as service,
    ):
        session.say(f"courier: registering {len(groups):,} cards")
        reports = [service.sdk.post(EVENTS, report_body(*pair)) for pair in enumerate(groups)]
        await service.sdk.put(reports, sizes.concurrency)
        with outbox_of(service.database) as outbox:
            # The first push to a device also proves its environment, which is written down once.
            await _single(service, sink, outbox, groups, sizes.concurrency, seed=0)
            single = []
            for number in range(1, sizes.runs + 1):
                single.append(await _single(service, sink, outbox, groups, sizes.concurrency, seed=number))
                session.say(f"courier, single calls: {single[-1].values['per_cpu_second']:,.0f} per CPU-second")
            bulk = []
            for number in range(1, sizes.runs + 1):
                await asyncio.sleep(_SLOT)
                bulk.append(await _bulk(service, sink, outbox, groups, sizes.lines, seed=sizes.runs + number))
                session.say(f"courier, bulk calls: {bulk[-1].values['per_cpu_second']:,.0f} lines per CPU-second")
    return [
        Figure("courier", f"single_{len(groups)}", "skerry", "updates", single),
        Figure("courier", f"bulk_{len(groups)}", "skerry", "lines", bulk),
    ]


async def _single(
    service: RunningService, sink: Sink, outbox: OutboxView, groups: Sequence[str], concurrency: int, *, seed: int
) -> Run:
    requests = [service.rest.post(UPDATE, body) for body in changes(groups, len(groups), seed=seed)]
    pushes, cpu, began = await sink.pushes(), service.process.cpu_seconds(), time.time()
    load = await service.rest.put(requests, concurrency)
    settled = await outbox.settled(began)
    cpu = service.process.cpu_seconds() - cpu
    received = await sink.pushes() - pushes
    require(settled.verdicts, received, len(groups))
    others = request_run(load, cpu, service.process.peak_memory_mib()).others
    return Run(len(groups), cpu, settled.at - began, {**others, "lost": 0, "doubled": 0})


async def _bulk(
    service: RunningService, sink: Sink, outbox: OutboxView, groups: Sequence[str], together: int, *, seed: int
) -> Run:
    bodies = list(lines(groups, seed=seed))
    calls = ["\n".join(bodies[first : first + together]) + "\n" for first in range(0, len(bodies), together)]
    requests = [service.rest.post_text(BATCH, call, "application/x-ndjson") for call in calls]
    pushes, cpu, began = await sink.pushes(), service.process.cpu_seconds(), time.time()
    load = await service.rest.put(requests, concurrency=4)
    settled = await outbox.settled(began)
    cpu = service.process.cpu_seconds() - cpu
    received = await sink.pushes() - pushes
    require(settled.verdicts, received, len(groups))
    others = request_run(load, cpu, service.process.peak_memory_mib()).others
    return Run(len(groups), cpu, settled.at - began, {**others, "lost": 0, "doubled": 0})


CASE = Case(
    "courier",
    "The courier: activities with one card each",
    f"so many activities with one card each, each updated once: by single POST {UPDATE} over keep-alive connections, "
    f"and by POST {BATCH} with a thousand lines a call over four; until the last push is settled on disk. An update "
    "that overtakes an unsent one replaces it",
    courier,
)
