"""Several processes send one update: each has its share, any of them may be killed, and all end with the service."""

import asyncio
import itertools
import os
import random
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import httpx2
import pytest
from bench.outbox import outbox_of
from bench.population import populated_home
from bench.service import REST_KEY, Home, RunningService, running_service
from bench.sink import running_sink

from skerry.domain.verdict import Verdict

CARDS = 20_000
BESIDE = 2
WITHIN = 60.0

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks for children in /proc"),
    pytest.mark.skipif(shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None, reason="no nginx"),
]


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    async with running_sink() as sink, populated_home(sink.endpoint, "match", CARDS) as found:
        yield found


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def beside(service: RunningService) -> set[int]:
    return {one.pid for one in service.process.children() if alive(one.pid)}


def joined(home: Home) -> set[str]:
    with outbox_of(home.settings.database) as outbox:
        return {owner for (owner,) in outbox._connection.execute("SELECT owner FROM senders")}


async def others_joined(home: Home, before: set[str]) -> None:
    """All are there again, and one of them is new."""
    async with asyncio.timeout(WITHIN):
        while len(now := joined(home)) < BESIDE or now == before:
            await asyncio.sleep(0.05)


async def update(service: RunningService, title: str) -> float:
    began = time.time()
    body = {"groupId": "match", "action": "UPDATE", "contentState": {"title": title}, "priority": 10}
    async with httpx2.AsyncClient(timeout=WITHIN) as client:
        url = f"http://127.0.0.1:{service.rest.port}/rest/3.0/update-live-activity"
        answer = await client.post(url, json=body, headers={"X-netmera-api-key": REST_KEY})
    assert answer.status_code == 200, answer.text
    return began


async def accepted(home: Home, since: float) -> None:
    with outbox_of(home.settings.database) as outbox:
        async with asyncio.timeout(WITHIN):
            settled = await outbox.settled(since)
    assert settled.verdicts == {Verdict.ACCEPTED: CARDS}


async def metric(service: RunningService, name: str, label: str = "") -> float:
    async with httpx2.AsyncClient(timeout=WITHIN) as client:
        text = (await client.get(f"http://127.0.0.1:{service.rest.port}/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith(name) and label in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_all_of_them_send_and_the_service_counts_for_all(home: Home) -> None:
    async with running_service(home, processes=1 + BESIDE) as service:
        others = beside(service)
        assert len(others) == BESIDE
        owners: set[str] = set()
        for title in ("1", "2", "3"):
            since = await update(service, title)
            with outbox_of(home.settings.database) as outbox:
                leased = "SELECT DISTINCT lease_owner FROM chunks WHERE state = 2"
                while outbox._connection.execute("SELECT 1 FROM chunks WHERE state <> 3 LIMIT 1").fetchone():
                    owners |= {owner for (owner,) in outbox._connection.execute(leased)}
                    await asyncio.sleep(0.002)
            await accepted(home, since)
        assert joined(home) & owners, "at least one of those beside had a share"
        async with asyncio.timeout(WITHIN):
            while await metric(service, 'skerry_pushes_total{verdict="accepted"}') < 3 * CARDS:
                await asyncio.sleep(0.1)
        assert await metric(service, 'skerry_pushes_total{verdict="accepted"}') == 3 * CARDS
        assert await metric(service, "skerry_push_verdict_seconds_count") == 3 * CARDS
        assert await metric(service, "skerry_apns_connections{", 'state="open"') >= 1 + len(joined(home) & owners)
    assert not joined(home)
    assert not any(map(alive, others))


async def test_any_of_them_killed_loses_nothing_and_comes_back(home: Home) -> None:
    dice = random.Random(5)
    async with running_service(home, processes=1 + BESIDE) as service:
        for title in ("1", "2"):
            before = joined(home)
            since = await update(service, title)
            await asyncio.sleep(dice.uniform(0.0, 0.1))
            os.kill(dice.choice(sorted(beside(service))), signal.SIGKILL)
            await accepted(home, since)
            await others_joined(home, before)


async def test_told_to_stop_in_the_middle_they_leave_nothing_running_and_nothing_in_the_log(home: Home) -> None:
    async with running_service(home, processes=1 + BESIDE) as service:
        others = beside(service)
        since = await update(service, "1")
    assert not any(map(alive, others))
    assert not joined(home)
    assert not re.findall(r"error|exception|Traceback", service.log.read_text(), re.IGNORECASE)
    async with running_service(home, processes=1 + BESIDE):
        await accepted(home, since)


@pytest.mark.slow
async def test_with_the_service_killed_the_others_end_and_the_next_service_goes_on(home: Home) -> None:
    async with running_service(home, processes=1 + BESIDE) as service:
        others = beside(service)
        since = await update(service, "1")
        os.kill(service.process.pid, signal.SIGKILL)
        async with asyncio.timeout(WITHIN):
            while any(map(alive, others)):
                await asyncio.sleep(0.05)
    async with running_service(home, processes=1 + BESIDE):
        await accepted(home, since)


@pytest.mark.slow
async def test_one_that_is_stopped_for_long_is_given_up_and_replaced_when_it_wakes(home: Home) -> None:
    async with running_service(home, processes=1 + BESIDE) as service:
        pid = max(beside(service))
        owner = owner_of(pid)
        since = await stopped_with_a_share(service, home, pid)
        await accepted(home, since)
        async with asyncio.timeout(WITHIN):
            while owner in joined(home):
                await asyncio.sleep(0.1)
        os.kill(pid, signal.SIGCONT)
        await others_joined(home, joined(home))
        assert not alive(pid)
        assert "others have taken over" in service.log.read_text()


def owner_of(pid: int) -> str:
    """The name in which it leases: what it was started with."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode()


async def stopped_with_a_share(service: RunningService, home: Home, pid: int) -> float:
    """Send updates until the process can be stopped with chunks in its hands; the time of the last update.

    One that holds nothing is missed by nobody, and goes on when it wakes. And stopped in the middle of a commit it
    would hold up the whole service, as any process on a SQLite file could.
    """
    held = "SELECT 1 FROM chunks WHERE state = 2 AND lease_owner = ? LIMIT 1"
    owner, titles = owner_of(pid), map(str, itertools.count(1))
    with closing(sqlite3.connect(home.settings.database, isolation_level=None, timeout=1.0)) as connection:
        async with asyncio.timeout(WITHIN):
            while True:
                since = await update(service, next(titles))
                while connection.execute("SELECT 1 FROM chunks WHERE state <> 3 LIMIT 1").fetchone():
                    os.kill(pid, signal.SIGSTOP)
                    with suppress(sqlite3.OperationalError):
                        connection.execute("BEGIN IMMEDIATE")
                        share = connection.execute(held, (owner,)).fetchone()
                        connection.execute("ROLLBACK")
                        if share:
                            return since
                    os.kill(pid, signal.SIGCONT)
                    await asyncio.sleep(0.002)
