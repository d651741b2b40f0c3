"""Requests that end in a commit and push nothing: updates of groups that nobody follows, and token events."""

from collections.abc import Sequence

from bench.bodies import EVENTS, MATCH, START, UPDATE, changes, nobodys_start
from bench.figures import Figure, Finding, Run
from bench.load import Load
from bench.population import report_body
from bench.service import new_home, running_service
from bench.session import Case, Session
from bench.sink import running_sink


async def updates(session: Session) -> Sequence[Finding]:
    """Updates of groups without cards: request, commit, answer, and nothing to deliver."""
    sizes = session.sizes
    groups = [f"order-{number}" for number in range(sizes.groups)]
    async with (
        running_sink() as sink,
        new_home(sink.endpoint) as home,
        running_service(home, session.profile) as service,
    ):
        starts = [service.rest.post(START, nobodys_start(group)) for group in groups]
        await service.rest.put(starts, sizes.concurrency)
        runs = []
        for number in range(sizes.runs + 1):
            requests = [service.rest.post(UPDATE, body) for body in changes(groups, sizes.requests, seed=number)]
            cpu = service.process.cpu_seconds()
            load = await service.rest.put(requests, sizes.concurrency)
            runs.append(request_run(load, service.process.cpu_seconds() - cpu, service.process.peak_memory_mib()))
            session.say(f"updates: {runs[-1].values['per_cpu_second']:,.0f} per CPU-second")
    return [Figure("updates", str(sizes.requests), "skerry", "updates", runs[1:])]  # the first was to warm up


async def token_events(session: Session) -> Sequence[Finding]:
    """Token events: each from an installation that was not known before."""
    sizes = session.sizes
    async with (
        running_sink() as sink,
        new_home(sink.endpoint) as home,
        running_service(home, session.profile) as service,
    ):
        runs = []
        for number in range(sizes.runs + 1):
            first = number * sizes.requests
            bodies = [report_body(one, MATCH) for one in range(first, first + sizes.requests)]
            requests = [service.sdk.post(EVENTS, body) for body in bodies]
            cpu = service.process.cpu_seconds()
            load = await service.sdk.put(requests, sizes.concurrency)
            runs.append(request_run(load, service.process.cpu_seconds() - cpu, service.process.peak_memory_mib()))
            session.say(f"token events: {runs[-1].values['per_cpu_second']:,.0f} per CPU-second")
    return [Figure("token_events", str(sizes.requests), "skerry", "events", runs[1:])]


def request_run(load: Load, cpu: float, peak_memory_mib: float) -> Run:
    """What a load of requests tells of the service."""
    others = {
        "p50_ms": load.percentile(0.5) * 1000,
        "p99_ms": load.percentile(0.99) * 1000,
        "peak_rss_mb": peak_memory_mib,
        "load_cpu_s": load.own_cpu,
    }
    return Run(len(load.latencies), cpu, load.wall, others)


UPDATES = Case(
    "updates",
    "Single updates, committed",
    f"so many POST {UPDATE} over keep-alive connections, round groups that nobody follows: each is answered once its "
    "revision is committed, and nothing is pushed",
    updates,
)
TOKEN_EVENTS = Case(
    "token_events",
    "Token events, committed",
    f"so many POST {EVENTS} over keep-alive connections, each with one update token of a new installation that joins "
    "one group: a device and a card are stored, committed, then answered",
    token_events,
)
