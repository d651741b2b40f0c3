"""The wire: clients side by side, pushing to a C server over one connection."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from bench.client import ClientError, Round, RunningClient
from bench.figures import Absent, Figure, Finding, Run
from bench.peers import Peer, present
from bench.process import Cores
from bench.relay import running_relay
from bench.session import Case, Session, WrongResultError
from bench.sink import HOST, Sink, free_apple_address, running_sink
from bench.work import work_files

_WEIGHED_SHARE = 0.1
"""Of a round's pushes: enough to weigh them."""


async def wire(session: Session) -> Sequence[Finding]:
    """Every client at every limit of streams, in turns."""
    peers, absent = await present(session.clients)
    findings: list[Finding] = []
    for streams in session.sizes.streams:
        async with running_sink((streams,), apple_streams=streams) as sink:
            findings += await _side_by_side(session, sink, streams, peers)
            findings += [Absent("wire", str(streams), name, why) for name, why in absent.items()]
    return findings


async def _side_by_side(session: Session, sink: Sink, streams: int, peers: Sequence[Peer]) -> list[Finding]:
    runs: dict[str, list[Run]] = defaultdict(list)
    broken: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        clients: dict[str, RunningClient] = {}
        for peer in peers:
            try:
                clients[peer.name] = await stack.enter_async_context(_ready(session, peer, sink, streams))
            except ClientError as error:
                broken[peer.name] = str(error)
        for number in range(1, session.sizes.runs + 1):
            for name, client in clients.items():
                if name in broken:
                    continue
                try:
                    runs[name].append(_run(name, await client.round()))
                except ClientError as error:
                    broken[name] = str(error)
                    continue
                rate = runs[name][-1].values["per_cpu_second"]
                session.say(f"wire, {streams} streams, run {number}: {name} {rate:,.0f} per CPU-second")
    found: list[Finding] = []
    for peer in peers:
        if peer.name in broken:
            found.append(Absent("wire", str(streams), peer.name, broken[peer.name]))
            continue
        weight = await _weigh(session, peer, sink, streams)
        weighed = [Run(run.count, run.cpu, run.wall, {**run.others, **weight}) for run in runs[peer.name]]
        found.append(Figure("wire", str(streams), peer.name, "pushes", weighed))
    return found


@asynccontextmanager
async def _ready(session: Session, peer: Peer, sink: Sink, streams: int) -> AsyncIterator[RunningClient]:
    """A client that has warmed up."""
    sizes = session.sizes
    with work_files(
        sink.endpoints[streams],
        pushes=max(int(peer.pace * sizes.pace), 1),
        connections=1,
        streams=streams,
        apple_address=sink.apple_address,
    ) as work:
        async with peer.running(work, cores=Cores.of_this_machine().clients) as client:
            for _ in range(peer.warm_up if sizes.warms_up else 1):
                await client.round()
            yield client


def _run(name: str, told: Round) -> Run:
    if told.rejected or told.failed:
        raise WrongResultError(f"{name}: the server accepts everything, and it says {told}")
    return Run(told.accepted, told.cpu, told.wall, {"peak_rss_mb": told.peak_memory_mib})


async def _weigh(session: Session, peer: Peer, sink: Sink, streams: int) -> dict[str, float]:
    """Bytes per push from the client, TLS included, TCP and the handshake not."""
    pushes = max(int(peer.pace * session.sizes.pace * _WEIGHED_SHARE), 1)
    endpoint = sink.endpoints[streams]
    address, port = (free_apple_address(), 443) if peer.only_apple else (HOST, 0)
    async with running_relay(endpoint.port, round_trip_ms=0, host=address, port=port) as relay:
        through = replace(endpoint, port=relay.port)
        with work_files(through, pushes=pushes, connections=1, streams=streams, apple_address=address) as work:
            async with peer.running(work, cores=Cores.of_this_machine().clients) as client:
                await client.round()
                before, _ = await relay.passed()
                await client.round()
                after, _ = await relay.passed()
    return {"bytes_per_push": (after - before) / pushes}


CASE = Case(
    "wire",
    "The wire: clients side by side",
    "each client pushes the same 133-byte Live Activity update to different tokens of 160 digits, over one TLS 1.3 "
    "connection to nginx (`return 200`), which announces so many concurrent streams; client and server each have a "
    "core of their own, the clients take turns, and a first round (more for what compiles while it runs) is not "
    "counted. `per_cpu_second` is pushes per second of the client's own CPU time, seen from outside",
    wire,
)
