"""Clients are programs of their own: what is measured of them, and what becomes of one that breaks."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.client import ClientError, HarnessedClient
from bench.peers import PEERS, Peer
from bench.process import Cores
from bench.relay import running_relay
from bench.sink import running_sink
from bench.work import work_files

from skerry.domain.push import Endpoint

PEERS_DIRECTORY = Path(__file__).parents[2] / "bench/peers"
SAYS_WHAT_IT_DID = """
import sys
print("ready", flush=True)
for _ in sys.stdin:
    sum(range(8_000_000))
    print('{"accepted": 2, "rejected": 1, "failed": 0, "errors": {}}', flush=True)
"""
BREAKS_OFF = """
import sys
print("ready", flush=True)
sys.stdin.readline()
sys.exit("out of tokens")
"""
HANGS = """
import sys, time
print("ready", flush=True)
sys.stdin.readline()
time.sleep(60)
"""


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    ca_file = tmp_path / "ca.pem"
    with work_files(Endpoint("localhost", 1, str(ca_file)), pushes=3, connections=1, streams=1) as path:
        yield path


async def start(program: str, work: Path) -> HarnessedClient:
    cores = Cores.of_this_machine().clients
    command = [sys.executable, "-c", program]
    return await HarnessedClient.start(command, work, cores=cores, environment={}, log=work.parent / "client.log")


async def test_a_round_is_measured_from_outside(work: Path) -> None:
    client = await start(SAYS_WHAT_IT_DID, work)
    told = await client.round()
    await client.stop()
    assert (told.accepted, told.rejected, told.failed) == (2, 1, 0)
    assert told.cpu > 0
    assert told.wall > 0
    assert told.peak_memory_mib > 1


async def test_a_client_that_breaks_off_is_an_error_with_its_last_words(work: Path) -> None:
    client = await start(BREAKS_OFF, work)
    with pytest.raises(ClientError, match="out of tokens"):
        await client.round()


async def test_a_client_that_never_ends_is_given_up(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.client.LEAVES_WITHIN", 0.1)
    client = await start(HANGS, work)
    with pytest.raises(ClientError, match=r"no answer within"):
        await client.round(within=0.2)


async def test_a_client_that_does_not_get_ready_is_an_error(work: Path) -> None:
    with pytest.raises(ClientError, match="no module named that"):
        await start("raise SystemExit('no module named that')", work)


def test_a_client_without_its_tools_is_absent_and_says_so() -> None:
    peer = Peer("nobody", "", ["nobody"], "1", needs=["a-compiler-that-nobody-has"])
    assert peer.why_absent() == "there is no a-compiler-that-nobody-has on the PATH"
    assert peer.build() is None


def test_a_client_that_is_not_built_says_how(tmp_path: Path) -> None:
    peer = Peer("nobody", "", ["nobody"], "1", artefact=tmp_path / "nobody")
    why = peer.why_absent()
    assert why is not None
    assert "make bench-peers" in why


def test_every_client_is_locked_at_the_version_that_is_told() -> None:
    locks = {
        "apns2": "apns2/go.mod",
        "pushy": "pushy/pom.xml",
        "a2": "a2/Cargo.lock",
        "node-apn": "node-apn/package-lock.json",
        **dict.fromkeys(("aioapns", "httpx2", "pycurl"), "requirements.txt"),
    }
    assert set(PEERS) - set(locks) == {"skerry", "h2load"}
    for name, lock in locks.items():
        assert PEERS[name].version in (PEERS_DIRECTORY / lock).read_text()


def test_every_client_has_a_page_entry() -> None:
    page = (PEERS_DIRECTORY / "README.md").read_text()
    assert [name for name in PEERS if f"**{name}**" not in page and f"**[{name}]" not in page] == []


async def test_the_relay_holds_bytes_for_half_a_round_trip_each_way_and_counts_them(work: Path) -> None:
    pushes = 20
    async with running_sink((1,)) as sink, running_relay(sink.endpoints[1].port, round_trip_ms=40) as relay:
        endpoint = Endpoint("localhost", relay.port, sink.endpoints[1].ca_file)
        with work_files(endpoint, pushes=pushes, connections=1, streams=1) as path:
            async with PEERS["skerry"].running(path, cores=Cores.of_this_machine().clients) as client:
                await client.round()
                told = await client.round()
        up, down = await relay.passed()
    assert told.accepted == pushes
    assert told.wall >= pushes * 0.040  # one stream: every push waits for the one before
    assert up > 2 * pushes * 293
    assert down > 0
