"""Fairness: how long a single card waits for its update, beside an update to very many cards and on an idle service."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from bench.bodies import EVENTS, MATCH, UPDATE, change
from bench.figures import Figure, Finding, Run
from bench.outbox import OutboxView, outbox_of
from bench.population import WATCHED, populated_home, report_body, token
from bench.service import RunningService, running_service
from bench.session import Case, Session, WrongResultError
from bench.sink import Sink, running_sink
from bench.steady import Asked, Steady

_PER_SECOND = 40.0
_FIRST_COURIER = 100_000_000
"""Installations of the single cards are numbered from here, far from the others."""
_MOST_SECONDS = 60.0
_HEAD_START = 0.5
"""Seconds of calm before the large update."""


async def fairness(session: Session) -> Sequence[Finding]:
    """In turns: an idle service, then the same service with the large update."""
    sizes = session.sizes
    groups = [f"courier-{number}" for number in range(int(_PER_SECOND * _MOST_SECONDS))]
    async with (
        running_sink(watched=WATCHED) as sink,
        populated_home(sink.endpoint, MATCH, sizes.fair_cards) as home,
        running_service(home, session.profile) as service,
    ):
        couriers = [_FIRST_COURIER + number for number in range(len(groups))]
        reports = [report_body(*pair, WATCHED) for pair in zip(couriers, groups, strict=True)]
        await service.sdk.put([service.sdk.post(EVENTS, report) for report in reports], sizes.concurrency)
        with outbox_of(service.database) as outbox:
            # The first push to a device also proves its environment, which is written down once.
            firsts = [change(group, "first") for group in (MATCH, *groups)]
            await service.rest.put([service.rest.post(UPDATE, body) for body in firsts], sizes.concurrency)
            await outbox.settled(time.time())
            idle, beside = [], []
            for number in range(sizes.runs):
                idle.append(await _run(service, sink, outbox, groups, f"idle {number}", seconds=sizes.fair_seconds))
                beside.append(await _run(service, sink, outbox, groups, f"beside {number}", seconds=None))
                told = [f"{run.others['p99_ms']:,.1f}" for run in (idle[-1], beside[-1])]
                session.say(f"fairness, run {number + 1}: p99 {told[0]} ms on an idle service, {told[1]} ms beside")
    return [
        Figure("fairness", "idle", "skerry", "updates of one card", idle),
        Figure("fairness", str(sizes.fair_cards), "skerry", "updates of one card", beside),
    ]


async def _run(
    service: RunningService, sink: Sink, outbox: OutboxView, groups: Sequence[str], title: str, *, seconds: float | None
) -> Run:
    """Single updates at a steady pace for some seconds; without a number, as long as the large update takes."""
    steady = Steady(service.rest, (service.rest.post(UPDATE, change(group, title)) for group in groups), _PER_SECOND)
    cpu, began = service.process.cpu_seconds(), time.time()
    asking = asyncio.create_task(steady.run())
    if seconds is not None:
        since = began
        await asyncio.sleep(seconds)
        until = time.time()
    else:
        await asyncio.sleep(_HEAD_START)
        since = time.time()
        await service.rest.put([service.rest.post(UPDATE, change(MATCH, title))], 1)
        until = await outbox.large_settled()
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await outbox.settled(since)
    counted = [one for one in steady.asked if since <= one.at < until]
    waits = _waits(counted, sink, began)
    answers = sorted(one.answered_after * 1000 for one in counted)
    others = {
        "p50_ms": _percentile(waits, 0.5),
        "p99_ms": _percentile(waits, 0.99),
        "worst_ms": waits[-1],
        "api_p50_ms": _percentile(answers, 0.5),
        "api_p99_ms": _percentile(answers, 0.99),
        "peak_rss_mb": service.process.peak_memory_mib(),
    }
    return Run(len(counted), service.process.cpu_seconds() - cpu, until - since, others, rates=False)


def _waits(counted: Sequence[Asked], sink: Sink, began: float) -> list[float]:
    """Milliseconds from each request to the arrival of its push, in rising order. Each went to a card of its own."""
    arrivals = sink.arrivals()
    waits = []
    for one in counted:
        after = [at for at in arrivals[token(_FIRST_COURIER + one.place, WATCHED)] if at >= began]
        if len(after) != 1:
            raise WrongResultError(f"the update of card {one.place} reached nginx {len(after)} times")
        waits.append(max(after[0] - one.at, 0.0) * 1000)
    if not waits:
        raise WrongResultError("the large update was over before a single one was made: it needs more cards")
    return sorted(waits)


def _percentile(rising: Sequence[float], share: float) -> float:
    return rising[min(int(len(rising) * share), len(rising) - 1)]


CASE = Case(
    "fairness",
    "Fairness: a single card beside a million",
    f"POST {UPDATE} for one card at a steady {_PER_SECOND:.0f} a second, each for an activity of its own: from the "
    "moment the request is written until nginx logs its push (`p50_ms`, `p99_ms`; nginx's clock has milliseconds), and "
    "until the request is answered (`api_p50_ms`, `api_p99_ms`). `idle` is an idle service; the other is the same "
    "service while one update goes to so many cards of the same app, over the same connections",
    fairness,
)
