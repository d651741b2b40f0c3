"""The cases: what is asked of the service, and what is counted."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Figure, Run
from bench.load import Load
from bench.outbox import OutboxView, outbox_of
from bench.population import populate, report_body
from bench.service import RunningService, new_home, running_service
from bench.sink import Sink
from bench.sizes import Sizes
from skerry.domain.verdict import Verdict

MATCH = "match-1"
EVENTS = "/v1/events"
UPDATE = "/rest/3.0/update-live-activity"
START = "/rest/3.0/sendBulkNotification"


class WrongResultError(Exception):
    """The service was fast but wrong, or nginx and the service count differently: there is no figure to tell."""


@dataclass(frozen=True, slots=True)
class Session:
    """What all cases of one session share."""

    sizes: Sizes
    sink: Sink
    say: Callable[[str], None]
    profile: Path | None = None
    """Where the service's profile goes; None: it is not profiled."""


Case = Callable[[Session], Awaitable[Sequence[Figure]]]


async def updates(session: Session) -> Sequence[Figure]:
    """Updates of groups without cards: request, commit, answer, and nothing to deliver."""
    sizes = session.sizes
    groups = [f"order-{number}" for number in range(sizes.groups)]
    async with new_home(session.sink.endpoint) as home, running_service(home, session.profile) as service:
        await service.rest.put([service.rest.post(START, _start(group)) for group in groups], sizes.concurrency)
        await _update(service, session, groups, seed=0)
        runs = []
        for number in range(1, sizes.runs + 1):
            cpu = service.process.cpu_seconds()
            load = await _update(service, session, groups, seed=number)
            runs.append(_request_run(load, service.process.cpu_seconds() - cpu))
            session.say(f"updates: {runs[-1].per_cpu_second:,.0f} per CPU-second")
    how = (
        f"{sizes.requests:,} POST {UPDATE} over {sizes.concurrency} keep-alive connections, round {sizes.groups:,} "
        "groups that nobody follows: each is answered once its revision is committed, and nothing is pushed"
    )
    return [Figure("updates", "Single updates, committed", "updates", how, runs)]


async def courier_updates(session: Session) -> Sequence[Figure]:
    """Updates of groups with one card each: the same, and each is pushed and its verdict stored."""
    sizes = session.sizes
    groups = [f"order-{number}" for number in range(sizes.groups)]
    reports = [(EVENTS, report_body(number, group)) for number, group in enumerate(groups)]
    async with new_home(session.sink.endpoint) as home, running_service(home, session.profile) as service:
        await service.sdk.put([service.sdk.post(*report) for report in reports], sizes.concurrency)
        with outbox_of(service.database) as outbox:
            # The first push to a device also proves its environment, which is written down once.
            await _update(service, session, groups, seed=0)
            await outbox.settled(time.time())
            runs = []
            for number in range(1, sizes.runs + 1):
                runs.append(await _courier_run(service, session, outbox, groups, seed=number))
                session.say(f"updates with a push: {runs[-1].per_cpu_second:,.0f} per CPU-second")
    how = (
        f"{sizes.requests:,} POST {UPDATE} over {sizes.concurrency} keep-alive connections, round {sizes.groups:,} "
        "groups with one card each, until the last push is settled on disk; an update that overtakes an unsent one "
        "replaces it"
    )
    return [Figure("updates_one_card", "Single updates, committed, each pushed to one card", "updates", how, runs)]


async def events(session: Session) -> Sequence[Figure]:
    """Token events: each from an installation that was not known before."""
    sizes = session.sizes
    async with new_home(session.sink.endpoint) as home, running_service(home, session.profile) as service:
        runs = []
        for number in range(sizes.runs + 1):
            first = number * sizes.requests
            bodies = [report_body(one, MATCH) for one in range(first, first + sizes.requests)]
            requests = [service.sdk.post(EVENTS, body) for body in bodies]
            cpu = service.process.cpu_seconds()
            load = await service.sdk.put(requests, sizes.concurrency)
            runs.append(_request_run(load, service.process.cpu_seconds() - cpu))
            session.say(f"token events: {runs[-1].per_cpu_second:,.0f} per CPU-second")
    how = (
        f"{sizes.requests:,} POST {EVENTS} over {sizes.concurrency} keep-alive connections, each with one update token "
        "of a new installation that joins one group: a device and a card are stored, committed, then answered"
    )
    return [Figure("token_events", "Token events, committed", "events", how, runs[1:])]  # the first was to warm up


async def fan_out(session: Session) -> Sequence[Figure]:
    """One update to very many cards."""
    sizes = session.sizes
    async with new_home(session.sink.endpoint) as home:
        took = await populate(home, MATCH, sizes.cards)
        session.say(f"fan-out: {sizes.cards:,} cards registered in {took:.1f} s")
        async with running_service(home, session.profile) as service:
            with outbox_of(service.database) as outbox:
                runs = []
                for number in range(sizes.runs + 1):
                    runs.append(await _fan_out_run(service, session, outbox, number))
                    session.say(f"fan-out: {runs[-1].per_cpu_second:,.0f} pushes per CPU-second")
    how = (
        f"one POST {UPDATE} to a group of {sizes.cards:,} cards, from the request until every verdict is on disk; "
        f"TLS 1.3 and HTTP/2 to nginx {session.sink.version} with `return 200` on the same machine, which counted "
        "every push; the cards were registered through the registry and the store, without HTTP"
    )
    first = f"{how}; the first push to a device proves its environment, which is written to the device's row"
    return [
        Figure("fan_out", f"One update to {sizes.cards:,} cards", "pushes", how, runs[1:]),
        Figure("fan_out_first", "The same, the first push ever to these devices", "pushes", first, runs[:1]),
    ]


CASES: dict[str, Case] = {
    "updates": updates,
    "courier": courier_updates,
    "events": events,
    "fan-out": fan_out,
}


async def _update(service: RunningService, session: Session, groups: Sequence[str], *, seed: int) -> Load:
    sizes = session.sizes
    bodies = [_change(groups[number % len(groups)], f"{seed}-{number}") for number in range(sizes.requests)]
    return await service.rest.put([service.rest.post(UPDATE, body) for body in bodies], sizes.concurrency)


async def _courier_run(
    service: RunningService, session: Session, outbox: OutboxView, groups: Sequence[str], *, seed: int
) -> Run:
    pushes, cpu, began = await session.sink.pushes(), service.process.cpu_seconds(), time.time()
    load = await _update(service, session, groups, seed=seed)
    settled = await outbox.settled(began)
    cpu = service.process.cpu_seconds() - cpu
    received = await session.sink.pushes() - pushes
    _require_outcomes(settled.verdicts, received, session.sizes.requests)
    others = {**_request_run(load, cpu).others, "pushes": received}
    return Run(session.sizes.requests, cpu, settled.at - began, others)


async def _fan_out_run(service: RunningService, session: Session, outbox: OutboxView, number: int) -> Run:
    cards = session.sizes.cards
    request = service.rest.post(UPDATE, _change(MATCH, f"goal {number}"))
    pushes, sink_cpu = await session.sink.pushes(), session.sink.worker.cpu_seconds()
    cpu, began = service.process.cpu_seconds(), time.time()
    answered = await service.rest.put([request], 1)
    settled = await outbox.settled(began)
    cpu = service.process.cpu_seconds() - cpu
    received = await session.sink.pushes() - pushes
    _require_outcomes(settled.verdicts, received, cards)
    if received != cards:
        raise WrongResultError(f"one update to {cards} cards reached nginx as {received} pushes")
    others = {
        "answered_ms": answered.wall * 1000,
        "peak_memory_mib": service.process.peak_memory_mib(),
        "sink_cpu_s": session.sink.worker.cpu_seconds() - sink_cpu,
    }
    return Run(cards, cpu, settled.at - began, others)


def _require_outcomes(verdicts: dict[Verdict, int], received: int, revisions: int) -> None:
    """Every revision of every card has been accepted, or replaced by a newer one; nginx has seen what was accepted."""
    told = ", ".join(f"{count} {verdict.name}" for verdict, count in verdicts.items())
    if set(verdicts) - {Verdict.ACCEPTED, Verdict.SUPERSEDED} or sum(verdicts.values()) != revisions:
        raise WrongResultError(f"of {revisions} pushes that were due: {told or 'nothing'}")
    if verdicts.get(Verdict.ACCEPTED, 0) != received:
        raise WrongResultError(f"nginx has received {received} pushes, the service has stored {told}")


def _request_run(load: Load, cpu: float) -> Run:
    others = {
        "p50_ms": load.percentile(0.5) * 1000,
        "p99_ms": load.percentile(0.99) * 1000,
        "load_cpu_s": load.own_cpu,
    }
    return Run(len(load.latencies), cpu, load.wall, others)


def _start(group: str) -> dict[str, Any]:
    """A start for somebody we do not know: the group exists from then on, and has no card."""
    message = {
        "title": "Your order", "text": "It is on its way", "platforms": ["IOS"], "groupId": group,
        "contentState": {"title": "Ordered", "progress": 0},
        "liveActAttr": {"orderNumber": group}, "liveActAttrType": "OrderAttributes",
    }  # fmt: skip
    return {"type": "LIVE_ACTIVITY", "message": message, "target": {"extId": ["nobody"]}}


def _change(group: str, title: str) -> dict[str, Any]:
    state = {"title": title, "subtitle": "In the second half", "homeTeamScore": 2, "awayTeamScore": 1, "progress": 0.5}
    return {"groupId": group, "action": "UPDATE", "contentState": state, "priority": 10}
