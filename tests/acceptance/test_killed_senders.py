"""`kill -9` of processes that send beside the service, in the middle of a large start, an update and an end.

What the service outlives, its helpers may not break: every card ends on the newest state, no start is sent twice.
"""

import asyncio
import os
import random
import signal
import socket
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from bench.process import Process
from killing import all_ended, be_patient, change, persistently, registered, start

from skerry.cli.dev import REST_KEY, DevService, run_dev

GROUP = "final"
CARDS = 2_200
"""Above the audience from which chunks are for all processes."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks for children in /proc"),
]


async def kill_those_beside(service: DevService, dice: random.Random) -> None:
    """Again and again, whichever is there: some have just begun to send, some to come up."""
    while True:
        await asyncio.sleep(dice.uniform(0.2, 1.5))
        if service.process is not None and (beside := Process(service.process.pid).children()):
            with suppress(ProcessLookupError):
                os.kill(dice.choice(beside).pid, signal.SIGKILL)


@pytest.mark.parametrize("seed", range(3))
async def test_every_card_ends_on_the_newest_state_and_no_start_is_sent_twice(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch, 60)
    monkeypatch.setenv("SKERRY_DELIVERY__PROCESSES", "3")
    dice = random.Random(seed)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with run_dev(tmp_path, host="127.0.0.1", port=port, phones=CARDS) as service:
        headers = {"X-netmera-api-key": REST_KEY}
        async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=20.0) as client:
            async with asyncio.timeout(120):
                while await registered(client) < CARDS:
                    await asyncio.sleep(0.05)
            killer = asyncio.create_task(kill_those_beside(service, dice))
            await persistently(client, "sendBulkNotification", start(GROUP, "start"))
            for action, title in (("UPDATE", "1"), ("UPDATE", "2"), ("END", "3")):
                await asyncio.sleep(dice.uniform(0.5, 2.0))
                await persistently(client, "update-live-activity", change(GROUP, action, title))
            await asyncio.sleep(1.0)
            killer.cancel()
            await all_ended(service, client, GROUP, "3", CARDS)
