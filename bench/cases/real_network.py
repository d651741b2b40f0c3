"""A network like the real one: far away, with narrow windows, a moving limit of streams, refusals and GOAWAYs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.apple import RunningApple, running_apple
from bench.client import ClientError, Round
from bench.credential import private_key
from bench.figures import Absent, Figure, Finding, Run
from bench.peers import AIOAPNS, H2LOAD, HTTPX2, PYCURL, SKERRY, Peer, present
from bench.process import Cores
from bench.relay import RunningRelay, running_relay
from bench.session import Case, Session
from bench.sink import HOST, NAME, free_apple_address
from bench.work import work_files
from skerry.domain.push import Endpoint

ROUND_TRIP_MS = 50.0
CONNECTIONS = 32
"""What every client may open; Skerry's default. It is what makes up for limits that fall with every rejection."""
IN_FLIGHT = 100
"""On each connection, where the caller has to hold back: more is only refused whenever the limit falls (tried)."""
STREAMS = 1_000
GOAWAY_EVERY = 20_000
CALM: Mapping[str, Any] = {}
TROUBLED: Mapping[str, Any] = {
    "seed": 1,
    "reject": {"share": 0.02, "reason": "BadDeviceToken"},
    "limit_after_rejection": True,
    "refuse_surplus": True,
}


async def real_network(session: Session) -> Sequence[Finding]:
    """Every client, in turns: with what goes wrong, and without."""
    peers, absent = await present(session.clients)
    peers = [peer for peer in peers if peer is not H2LOAD]
    if session.wants(H2LOAD.name):
        absent[H2LOAD.name] = (
            "it is no client: it opens all its streams before it has seen SETTINGS, to which APNs says GOAWAY, and it "
            "repeats nothing"
        )
    runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
    broken: dict[str, str] = {}
    with TemporaryDirectory(prefix="skerry-apple-") as name:
        directory = Path(name)
        (directory / "key.p8").write_bytes(private_key())
        async with running_apple(directory) as apple:
            for number in range(1, session.sizes.network_runs + 1):
                for peer in peers:
                    if peer.name in broken or (number > 1 and peer is not SKERRY):
                        continue
                    for size, plan, goaway_every in _conditions(session):
                        try:
                            run = await _run(session, apple, peer, plan, goaway_every)
                        except ClientError as error:
                            broken[peer.name] = str(error)
                            break
                        runs[peer.name, size].append(run)
                        session.say(f"real network, {size}, run {number}: {peer.name} {_told(run)}")
    return _findings(session, peers, runs, {**absent, **broken})


def _conditions(session: Session) -> list[tuple[str, Mapping[str, Any], int | None]]:
    size = str(session.sizes.network_pushes)
    # So many GOAWAYs as there are in a run of full length.
    every = max(GOAWAY_EVERY * session.sizes.network_pushes // 100_000, 1)
    return [(f"{size}_calm", CALM, None), (size, TROUBLED, every)]


async def _run(
    session: Session, apple: RunningApple, peer: Peer, plan: Mapping[str, Any], goaway_every: int | None
) -> Run:
    pushes = session.sizes.network_pushes
    if peer in _GENERAL:
        pushes = min(pushes, peer.pace)
    await apple.behave(plan, goaway_every=goaway_every)
    address, port = (free_apple_address(), 443) if peer.only_apple else (HOST, 0)
    async with running_relay(apple.port, round_trip_ms=ROUND_TRIP_MS, host=address, port=port) as relay:
        endpoint = Endpoint(NAME, relay.port, str(apple.ca_file))
        with work_files(
            endpoint,
            pushes=pushes,
            connections=CONNECTIONS if peer.far_connections is None else peer.far_connections,
            streams=STREAMS if peer is SKERRY else IN_FLIGHT,
            apple_address=address,
        ) as work:
            async with peer.running(work, cores=Cores.of_this_machine().clients) as client:
                before = _busy(apple, relay)
                try:
                    told = await client.round(session.sizes.network_within)
                except ClientError as error:
                    session.say(f"{peer.name}: {error}")
                    told = None
                busy = {name: after - before[name] for name, after in _busy(apple, relay).items()}
    return _run_of(session, pushes, told, busy, await apple.judge(pushes))


def _busy(apple: RunningApple, relay: RunningRelay) -> dict[str, float]:
    """CPU seconds of what the clients are measured against, so far."""
    return {"server_busy": apple.process.cpu_seconds(), "relay_busy": relay.process.cpu_seconds()}


def _run_of(
    session: Session, pushes: int, told: Round | None, busy: Mapping[str, float], judged: Mapping[str, int]
) -> Run:
    """One run, as the server's ledger sees it; what the client said of it stands beside."""
    if told is None:
        within = session.sizes.network_within
        return Run(pushes - judged["lost"], within, within, {"unfinished": 1, **judged})
    others = {
        "unfinished": 0,
        "peak_rss_mb": told.peak_memory_mib,
        "failed": told.failed,
        **{name: seconds / told.wall for name, seconds in busy.items()},
        **judged,
    }
    return Run(pushes - judged["lost"], told.cpu, told.wall, others)


def _findings(
    session: Session, peers: Sequence[Peer], runs: Mapping[tuple[str, str], Sequence[Run]], absent: Mapping[str, str]
) -> list[Finding]:
    calm, troubled = (size for size, _, _ in _conditions(session))
    found: list[Finding] = []
    for peer in peers:
        if peer.name in absent:
            continue
        of_calm = [
            Run(one.count, one.cpu, one.wall, {**one.others, "of_calm": one.values["per_second"] / other})
            for one, other in (
                (one, calm_one.values["per_second"])
                for one, calm_one in zip(runs[peer.name, troubled], runs[peer.name, calm], strict=True)
            )
        ]
        found += [
            Figure("real_network", calm, peer.name, "pushes", runs[peer.name, calm]),
            Figure("real_network", troubled, peer.name, "pushes", of_calm),
        ]
    return [*found, *(Absent("real_network", troubled, name, why) for name, why in absent.items())]


def _told(run: Run) -> str:
    values = run.values
    return f"{values['per_second']:,.0f} a second, {values['lost']:.0f} lost, {values['doubled']:.0f} doubled"


_GENERAL = (AIOAPNS, HTTPX2, PYCURL)
"""They get as many pushes as on the wire: all would take them minutes, and what they lose is counted of these."""

CASE = Case(
    "real_network",
    "A network like the real one",
    f"so many pushes to the simulated APNs ({ROUND_TRIP_MS:.0f} ms round trip from a relay, connection window of "
    f"65,535 bytes, one stream at first and {STREAMS:,} after the first accepted push), at most {CONNECTIONS} "
    "connections, 2 % of the pushes refused with BadDeviceToken, each refusal lowering that connection's limit to one "
    "stream until the next acceptance, what is in flight beyond it answered with REFUSED_STREAM, and a GOAWAY on one "
    f"connection for every {GOAWAY_EVERY:,} pushes (as many in a shorter run). The `_calm` run is without refusals and "
    "GOAWAYs, and `of_calm` the rate compared with it. Each push is handed to the client once, one for each connection "
    "goes ahead, and nothing is repeated for it: `lost` pushes were never processed by the server, `doubled` ones more "
    "than once, by its ledger; `failed` is what the client itself gave back as an error. "
    "`server_busy` is the share of a core that the simulated server (Python) used: near 1 it was the bound; "
    "`relay_busy` is the relay's, which runs on whichever core has room",
    real_network,
)
