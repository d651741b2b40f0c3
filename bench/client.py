"""A client of the benchmarks while it runs: a program of its own that is told when to start and measured from outside.

```
bench                           client (argument: the path of work.json)
                                reads the work, gets ready
                   ◄── ready ──
   CPU time, clock
                   ───  go   ─►
                                one push to each token
                   ◄── JSON ───  {"accepted", "rejected", "failed", "errors": {text: count}}
   CPU time, clock
                        …        another round for each further `go`
                   ── end of input ─►  leaves
```

So the start of a runtime is nobody's cost, and a first round warms up what compiles while it runs. Only `h2load`, which
runs once and leaves, is measured whole, and its own start subtracted.
"""

import asyncio
import json
import os
import re
import resource
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.process import Process, pinned

READY_WITHIN = 60.0
ROUND_WITHIN = 900.0
LEAVES_WITHIN = 10.0
LONGEST_LINE = 1 << 20


class ClientError(Exception):
    """A client does not start, or breaks off; with the end of what it said."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round cost and brought. Seconds, MiB."""

    cpu: float
    wall: float
    peak_memory_mib: float
    accepted: int
    rejected: int
    failed: int
    """Pushes that the client gave back as errors."""
    errors: Mapping[str, int] = field(default_factory=dict)


class RunningClient(Protocol):
    """What a case asks of a client."""

    async def round(self, within: float = ROUND_WITHIN) -> Round:
        """One push to each token, and what it cost.

        Raises:
            ClientError: if it breaks off, or takes longer than so many seconds.
        """
        ...

    async def stop(self) -> None: ...


class HarnessedClient:
    """A program that speaks the protocol above."""

    def __init__(self, child: asyncio.subprocess.Process, log: Path) -> None:
        self._child = child
        self._log = log
        self._process = Process(child.pid)

    @classmethod
    async def start(
        cls, command: list[str], work: Path, *, cores: frozenset[int], environment: Mapping[str, str], log: Path
    ) -> "HarnessedClient":
        """Start it and wait until it is ready.

        Raises:
            ClientError: if it is not.
        """
        with log.open("wb") as said:
            child = await asyncio.create_subprocess_exec(
                *pinned(cores, [*command, str(work)]),
                env={**os.environ, **environment},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=said,
                limit=LONGEST_LINE,
            )
        client = cls(child, log)
        if await client._line(READY_WITHIN) != "ready":
            await client.stop()
            raise ClientError(f"{command[0]} said something else than that it is ready:\n{client._last_words()}")
        return client

    async def round(self, within: float = ROUND_WITHIN) -> Round:
        """Let it push everything once."""
        assert self._child.stdin is not None
        cpu, began = self._process.cpu_seconds(), time.perf_counter()
        self._child.stdin.write(b"go\n")
        line = await self._line(within)
        wall, cpu = time.perf_counter() - began, self._process.cpu_seconds() - cpu
        told: dict[str, Any] = json.loads(line)
        return Round(
            cpu,
            wall,
            self._process.peak_memory_mib(),
            told["accepted"],
            told["rejected"],
            told["failed"],
            told.get("errors", {}),
        )

    async def stop(self) -> None:
        """Let it leave; make it, if it does not."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            async with asyncio.timeout(LEAVES_WITHIN):
                await self._child.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._child.kill()
            await self._child.wait()

    async def _line(self, within: float) -> str:
        assert self._child.stdout is not None
        try:
            async with asyncio.timeout(within):
                line = await self._child.stdout.readline()
        except TimeoutError:
            await self.stop()
            raise ClientError(f"no answer within {within:.0f} s:\n{self._last_words()}") from None
        if not line:
            await self.stop()
            raise ClientError(f"it has ended with {self._child.returncode}:\n{self._last_words()}")
        return line.decode().strip()

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


class H2load:
    """h2load runs once and leaves: a run is measured whole, less what a run with a single request costs."""

    def __init__(self, command: list[str], work: Mapping[str, Any], *, cores: frozenset[int], directory: Path) -> None:
        self._work = work
        uris = directory / "h2load-uris.txt"
        base = f"https://{work['host']}:{work['port']}/3/device/"
        tokens = Path(work["tokens_file"]).read_text().split()[: work["pushes"]]
        uris.write_text("".join(f"{base}{token}\n" for token in tokens))
        headers = {
            "authorization": work["authorization"],
            "apns-topic": work["topic"],
            "apns-push-type": "liveactivity",
            "apns-priority": "10",
        }
        self._command = pinned(
            cores,
            [
                *command,
                f"--input-file={uris}",
                f"--data={work['payload_file']}",
                f"--max-concurrent-streams={work['streams']}",
                *(f"--header={name}: {value}" for name, value in headers.items()),
            ],
        )
        self._start_cpu = self._start_wall = 0.0

    @classmethod
    async def start(
        cls, command: list[str], work: Path, *, cores: frozenset[int], environment: Mapping[str, str], log: Path
    ) -> "H2load":
        """Write its list of URIs, and measure what it costs to read them."""
        del environment
        client = cls(command, json.loads(work.read_text()), cores=cores, directory=log.parent)
        used, client._start_wall, _ = await client._run(requests=1, connections=1)
        client._start_cpu = used.ru_utime + used.ru_stime
        return client

    async def round(self, within: float = ROUND_WITHIN) -> Round:
        """One run."""
        pushes = self._work["pushes"]
        used, wall, said = await self._run(pushes, self._work["connections"], within)
        statuses = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
        if statuses is None:
            raise ClientError(f"h2load said:\n{said[-2000:]}")
        accepted, *others = map(int, statuses.groups())
        rejected = sum(others)
        cpu, wall = used.ru_utime + used.ru_stime - self._start_cpu, wall - self._start_wall
        return Round(cpu, wall, used.ru_maxrss / 1024, accepted, rejected, pushes - accepted - rejected)

    async def stop(self) -> None:
        """It has left already."""

    async def _run(
        self, requests: int, connections: int, within: float = ROUND_WITHIN
    ) -> tuple[resource.struct_rusage, float, str]:
        counts = [f"--requests={requests}", f"--clients={connections}"]
        return await asyncio.to_thread(_measured, ["timeout", str(within), *self._command, *counts])


StartClient = Callable[..., Awaitable[RunningClient]]


def _measured(command: list[str]) -> tuple[resource.struct_rusage, float, str]:
    """Run a command to its end: what it used, by the kernel's exact books; how long it took, and what it printed."""
    reading, writing = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writing, 1), (os.POSIX_SPAWN_DUP2, writing, 2), (os.POSIX_SPAWN_CLOSE, reading)]
    began = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    os.close(writing)
    with os.fdopen(reading, "rb") as output:
        said = output.read().decode(errors="replace")
    _, status, used = os.wait4(pid, 0)
    if status:
        raise ClientError(f"{command[0]} has ended with {os.waitstatus_to_exitcode(status)}:\n{said[-2000:]}")
    return used, time.perf_counter() - began, said
