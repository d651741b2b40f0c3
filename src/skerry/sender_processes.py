"""Further processes that send: started, restarted and ended by the service, which adds up what they have sent.

Each is `skerry sender` on the same database. It takes chunks of large fan-outs and nothing else; whatever is done once
(recovering, spreading starts, timers, single cards) stays with the service. Its standard input ends with the service,
its standard output says every second what it has sent since the line before.
"""

import asyncio
import os
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import chain
from pathlib import Path

import msgspec
import structlog

from skerry.apns.stats import ClientStats, RouteStats
from skerry.delivery.durations import Durations
from skerry.delivery.sender import Sender
from skerry.delivery.tally import Tally
from skerry.domain.verdict import Verdict
from skerry.store.sqlite.database import SqliteStore

log = structlog.get_logger()

GRACE = 15.0
"""Seconds in which a process may settle what it has in flight."""
MOST_LINE = 16 * 1024 * 1024
"""Bytes of one report: it grows with the keys that are in use."""
LONGEST_PAUSE = 30.0
"""Seconds before a process that keeps dying is started again: each signs a provider token of its own."""
_STEADY = 60.0


class Report(msgspec.Struct, frozen=True):
    """What a process has sent since its last report."""

    verdicts: dict[int, int]
    reasons: dict[str, int]
    to_wire: tuple[list[int], float]
    to_verdict: tuple[list[int], float]
    routes: tuple[RouteStats, ...]
    """As they are now."""


def report(tally: Tally, stats: ClientStats) -> bytes:
    """What it has counted so far, as a line; it begins from nothing again."""
    told = Report(
        {int(verdict): count for verdict, count in tally.verdicts.items()},
        dict(tally.reasons),
        (tally.to_wire.counts, tally.to_wire.total),
        (tally.to_verdict.counts, tally.to_verdict.total),
        stats.routes,
    )
    tally.verdicts.clear()
    tally.reasons.clear()
    tally.to_wire, tally.to_verdict = Durations(), Durations()
    return msgspec.json.encode(told)


def add(told: Report, tally: Tally) -> None:
    """Count what another process has sent as if this one had."""
    tally.verdicts.update({Verdict(verdict): count for verdict, count in told.verdicts.items()})
    tally.reasons.update(told.reasons)
    tally.to_wire.include(*told.to_wire)
    tally.to_verdict.include(*told.to_verdict)


class SenderProcesses:
    """Keeps a number of them alive until it is cancelled."""

    def __init__(self, count: int, data_dir: Path, store: SqliteStore, sender: Sender) -> None:
        """`sender` is the service's own: it takes over what a dead one had leased, and counts for all."""
        self._count = count
        self._data_dir = data_dir
        self._store = store
        self._sender = sender
        self._routes: dict[str, tuple[RouteStats, ...]] = {}

    def with_theirs(self, stats: ClientStats) -> ClientStats:
        """The routes of this process and of those beside it, as they last said."""
        return ClientStats((*stats.routes, *chain.from_iterable(self._routes.values())))

    async def run(self) -> None:
        """Start them, and start again which ends."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._keep_one())

    async def _keep_one(self) -> None:
        pause = 0.5
        loop = asyncio.get_running_loop()
        while True:
            began, owner = loop.time(), uuid.uuid4().hex
            try:
                async with self._process(owner) as process:
                    assert process.stdout is not None
                    async for line in process.stdout:
                        told = msgspec.json.decode(line, type=Report)
                        add(told, self._sender.tally)
                        self._routes[owner] = told.routes
                    code = await process.wait()
            finally:
                self._routes.pop(owner, None)
                await self._store.write(lambda tx, owner=owner: tx.senders.leave(owner))  # type: ignore[misc]
            (log.error if code else log.info)("a sender beside the service ended; it is started again", code=code)
            await self._sender.recover()
            await asyncio.sleep(pause)
            pause = 0.5 if loop.time() - began > _STEADY else min(2 * pause, LONGEST_PAUSE)

    @asynccontextmanager
    async def _process(self, owner: str) -> AsyncIterator[Process]:
        environment = {**os.environ, "SKERRY_DATA_DIR": str(self._data_dir)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "skerry", "sender", "--owner", owner),
            env=environment,
            stdin=PIPE,
            stdout=PIPE,
            limit=MOST_LINE,
        )
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE):
                    await process.communicate()
            if process.returncode is None:
                process.kill()
                await process.wait()
