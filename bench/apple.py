"""The simulated APNs as a program: the server of the real-network case, and the judge of what reached it.

`python -m bench.apple DIRECTORY` reads `key.p8` there, writes `ca.pem`, prints its port, and then answers each line:

```
{"plan": {…}, "goaway_every": N}   forget everything, and behave so from now on    ok
{"judge": N}                       N pushes to different tokens were handed over   {"lost", "doubled", …}
```
"""

import asyncio
import json
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import uvloop

from bench.credential import BUNDLE_ID, KEY_ID, TEAM_ID
from bench.process import Cores, Process, pinned
from bench.sink import APPLE, HOST
from skerry.domain.push import Environment
from skerry.simulator.apns import ApnsServer, Chaos, Ending, Entry, Ledger, ProviderKeys, ensure_certificates
from skerry.simulator.apns.connection import ApnsConnection
from skerry.simulator.apns.ledger import MAX_LISTED
from skerry.simulator.carrier import Broadcast, Delivery, Standing, TokenKind
from skerry.simulator.clock import Clock

_COMES_UP_WITHIN = 20.0
_MOST_ENTRIES = 3_000_000
_LOOK_EVERY = 0.005


class RunningApple:
    """The server, seen from the benchmark."""

    def __init__(self, child: asyncio.subprocess.Process, port: int, ca_file: Path) -> None:
        self._child = child
        self.port = port
        self.ca_file = ca_file
        self.process = Process(child.pid)

    async def behave(self, plan: Mapping[str, Any], *, goaway_every: int | None) -> None:
        """Forget what was, and follow a plan of the simulator; one connection gets a GOAWAY every so many requests."""
        await self._ask({"plan": plan, "goaway_every": goaway_every})

    async def judge(self, pushes: int) -> dict[str, int]:
        """What has become of so many pushes to different tokens.

        Returns:
            `lost`: tokens of which no request was ever processed; `doubled`: of which more than one was; `refused`:
            requests that were not processed, each of which costs its client a repetition; `connections`.
        """
        told: dict[str, int] = await self._ask({"judge": pushes})
        return told

    async def _ask(self, question: Mapping[str, Any]) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(question).encode() + b"\n")
        return json.loads(await self._child.stdout.readline())


@asynccontextmanager
async def running_apple(directory: Path) -> AsyncIterator[RunningApple]:
    """Run it, on the core of the servers, until the block is left. The directory holds `key.p8`."""
    child = await asyncio.create_subprocess_exec(
        *pinned(Cores.of_this_machine().servers, [sys.executable, "-m", "bench.apple", str(directory)]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        async with asyncio.timeout(_COMES_UP_WITHIN):
            port = int(await child.stdout.readline())
        yield RunningApple(child, port, directory / "ca.pem")
    finally:
        child.stdin.close()
        await child.wait()


_STANDING = Standing(BUNDLE_ID, TokenKind.UPDATE)


class _Tokens:
    """Every token is a Live Activity's."""

    def standing(self, environment: Environment, token: str) -> Standing | None:
        del environment, token
        return _STANDING

    def deliver(self, delivery: Delivery) -> None:
        """There is no phone to show it."""

    def broadcast(self, broadcast: Broadcast) -> None:
        """Nobody listens on channels here."""


async def _serve(directory: Path) -> None:
    keys, ledger, chaos = ProviderKeys(), Ledger(_MOST_ENTRIES), Chaos(Clock())
    keys.register_pem(TEAM_ID, KEY_ID, (directory / "key.p8").read_bytes())
    server = ApnsServer(_Tokens(), keys, clock=Clock(), chaos=chaos, ledger=ledger)
    certificates = ensure_certificates(directory / "certificates", [APPLE])
    shutil.copy(certificates.ca_file, directory / "ca.pem")
    _, port = await server.start(Environment.PRODUCTION, HOST, ssl_context=certificates.server_context())
    print(port, flush=True)
    goodbyes: asyncio.Task[None] | None = None
    while line := await asyncio.to_thread(sys.stdin.readline):
        question = json.loads(line)
        if "plan" in question:
            if goodbyes is not None:
                goodbyes.cancel()
            server.drop_connections()
            ledger.clear()
            chaos.update_from(question["plan"])
            goodbyes = asyncio.create_task(_say_goodbye(server, ledger, question["goaway_every"]))
            answer: Any = "ok"
        else:
            answer = _judge(ledger, question["judge"])
        print(json.dumps(answer), flush=True)


async def _say_goodbye(server: ApnsServer, ledger: Ledger, every: int | None) -> None:
    """GOAWAY on one connection for so many requests, all connections together: the plan counts on each by itself."""
    due, told = every, WeakSet[ApnsConnection]()
    while due is not None and every is not None:
        await asyncio.sleep(_LOOK_EVERY)
        fresh = [one for one in server._connections if one not in told]  # noqa: SLF001 - its command means all of them
        if ledger.counts()["requests"] >= due and fresh:
            fresh[0].goaway("Shutdown")
            told.add(fresh[0])
            due += every


def _judge(ledger: Ledger, pushes: int) -> dict[str, int]:
    processed: Counter[str | None] = Counter()
    connections = set()
    refused = 0
    for entry in _all(ledger):
        connections.add(entry.connection)
        if entry.ending is Ending.ANSWERED or entry.delivered:
            processed[entry.token] += 1
        else:
            refused += 1
    return {
        "lost": pushes - len(processed),
        "doubled": sum(count > 1 for count in processed.values()),
        "refused": refused,
        "connections": len(connections),
    }


def _all(ledger: Ledger) -> Iterator[Entry]:
    since = 0
    while page := ledger.entries(since, MAX_LISTED):
        yield from page
        since = page[-1].number


def main() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
