"""`kill -9` of the service at random moments of a start, an update and an end: every card ends on the newest state."""

import asyncio
import random
import socket
from pathlib import Path

import httpx2
import pytest
from killing import (
    all_ended,
    be_patient,
    change,
    kill_at_random,
    persistently,
    registered,
    start,
)

from skerry.cli.dev import REST_KEY, run_dev

GROUP = "match-1"
CARDS = 2_000


async def outlive(seed: int, directory: Path, cards: int) -> None:
    dice = random.Random(seed)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with run_dev(directory, host="127.0.0.1", port=port, phones=cards) as service:
        headers = {"X-netmera-api-key": REST_KEY}
        async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=5.0) as client:
            async with asyncio.timeout(60):
                while await registered(client) < cards:
                    await asyncio.sleep(0.05)
            killer = asyncio.create_task(kill_at_random(service, client, dice, kills=3))
            await persistently(client, "sendBulkNotification", start(GROUP, f"seed {seed}"))
            await asyncio.sleep(dice.uniform(0, 1.0))
            await persistently(client, "update-live-activity", change(GROUP, "UPDATE", "1"))
            await asyncio.sleep(dice.uniform(0, 1.0))
            await persistently(client, "update-live-activity", change(GROUP, "END", "2"))
            await killer
            await all_ended(service, client, GROUP, "2", cards)


@pytest.mark.parametrize("seed", [1])
async def test_every_card_ends_on_the_newest_state_and_no_start_is_sent_twice(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch, 20)
    await outlive(seed, tmp_path, 200)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 120))
async def test_two_thousand_cards_outlive_it_too(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch, 60)
    await outlive(seed, tmp_path, CARDS)
