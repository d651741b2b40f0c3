"""`kill -9` of the service at random moments of a start, an update and an end: every card ends on the newest state."""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from killing import be_patient, kill_at_random, persistently, registered

from skerry.cli.dev import REST_KEY, run_dev
from skerry.simulator.apns.ledger import Entry, Ledger
from skerry.simulator.phone.card import CardStatus

GROUP = "match-1"
CARDS = 2_000


def start(seed: int) -> dict[str, Any]:
    return {
        "message": {
            "title": "Kick-off",
            "text": "It begins",
            "platforms": ["IOS"],
            "contentState": {"title": "0", "subtitle": f"seed {seed}", "progress": 0},
            "liveActAttr": {"referenceId": GROUP, "category": "match"},
            "liveActAttrType": "LiveActivityAttributes",
            "groupId": GROUP,
        },
        "type": "LIVE_ACTIVITY",
        "target": {"sendToAll": True},
        "extRef": "kick-off",
    }


def change(action: str, title: str) -> dict[str, Any]:
    state = {"title": title, "subtitle": action, "progress": 1}
    return {"groupId": GROUP, "action": action, "contentState": state, "priority": 10}


async def outlive(seed: int, directory: Path, cards: int) -> None:
    dice = random.Random(seed)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with run_dev(directory, host="127.0.0.1", port=port, phones=cards) as service:
        world = service.simulation.world
        headers = {"X-netmera-api-key": REST_KEY}
        async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=5.0) as client:
            async with asyncio.timeout(60):
                while await registered(client) < cards:
                    await asyncio.sleep(0.05)
            killer = asyncio.create_task(kill_at_random(service, client, dice, kills=3))
            await persistently(client, "sendBulkNotification", start(seed))
            await asyncio.sleep(dice.uniform(0, 1.0))
            await persistently(client, "update-live-activity", change("UPDATE", "1"))
            await asyncio.sleep(dice.uniform(0, 1.0))
            await persistently(client, "update-live-activity", change("END", "2"))
            await killer

            def finished() -> int:
                shown = [card for phone in world.phones.values() for card in phone.cards]
                return sum(card.status is CardStatus.ENDED and b'"2"' in card.content_state for card in shown)

            async with asyncio.timeout(300):
                while finished() < cards:
                    await asyncio.sleep(0.1)
        starts = Counter(entry.token for entry in all_entries(service.simulation.ledger, event="start"))
        assert len(starts) == cards
        assert max(starts.values()) == 1


def all_entries(ledger: Ledger, event: str) -> Iterator[Entry]:
    seen = 0
    while page := ledger.entries(seen, 1000, event=event):
        yield from page
        seen = page[-1].number


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
