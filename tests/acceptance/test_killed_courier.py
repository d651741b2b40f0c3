"""`kill -9` of the service amid single updates and batches: every card ends on the newest state that was answered."""

import asyncio
import json
import random
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from killing import be_patient, kill_at_random, persistently, registered

from skerry.cli.dev import REST_KEY, run_dev
from skerry.simulator.phone.card import CardStatus

UPDATES = 12


def start(number: int) -> dict[str, Any]:
    return {
        "message": {
            "title": "Your order",
            "text": "It is on its way",
            "platforms": ["IOS"],
            "contentState": {"title": "0", "subtitle": "", "progress": 0},
            "liveActAttr": {"referenceId": f"order-{number}", "category": "order"},
            "liveActAttrType": "LiveActivityAttributes",
            "groupId": f"order-{number}",
        },
        "type": "LIVE_ACTIVITY",
        "target": {"extId": [f"user-{number}"]},
        "extRef": f"order-{number}",
    }


def change(number: int, title: str, action: str = "UPDATE") -> dict[str, Any]:
    state = {"title": title, "subtitle": action, "progress": 1}
    return {"groupId": f"order-{number}", "action": action, "contentState": state, "priority": 10}


async def persist_with_a_batch(client: httpx2.AsyncClient, numbers: Iterable[int], title: str) -> None:
    """Until each line is answered for good; a batch that broke off is repeated with its key."""
    states = {f"order-{one}": change(one, title)["contentState"] for one in numbers}
    body = "".join(json.dumps({"id": name, "state": state}) + "\n" for name, state in states.items())
    headers = {"idempotency-key": f"{title} of {len(states)}"}
    while True:
        try:
            answer = await client.post("/v1/activities:batch", content=body, headers=headers)
            results = [json.loads(line)["result"] for line in answer.text.splitlines()]
        except (httpx2.HTTPError, ValueError):
            await asyncio.sleep(0.05)
            continue
        assert answer.status_code == 200, answer.text
        assert len(results) == len(states)
        if "refused" in results:  # there was no room for them
            headers = {}
            continue
        assert set(results) == {"changed"}, "a repeat with its key has the first answer"
        return


async def outlive(seed: int, directory: Path, orders: int) -> None:
    dice = random.Random(seed)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with run_dev(directory, host="127.0.0.1", port=port, phones=orders) as service:
        world = service.simulation.world
        headers = {"X-netmera-api-key": REST_KEY}

        def showing(title: str, status: CardStatus) -> int:
            shown = [card for phone in world.phones.values() for card in phone.cards]
            return sum(card.status is status and f'"{title}"'.encode() in card.content_state for card in shown)

        async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=5.0) as client:
            async with asyncio.timeout(60):
                while await registered(client) < orders:
                    await asyncio.sleep(0.05)
                numbers = range(1, orders + 1)
                await asyncio.gather(*(persistently(client, "sendBulkNotification", start(one)) for one in numbers))
                while showing("0", CardStatus.LIVE) < orders or await registered(client) < 2 * orders:
                    await asyncio.sleep(0.05)

            async def courier(number: int) -> None:
                for title in range(1, UPDATES):
                    await persistently(client, "update-live-activity", change(number, str(title)))
                    await asyncio.sleep(dice.uniform(0, 0.4))
                await persistently(client, "update-live-activity", change(number, str(UPDATES)))

            async def fleet(orders: Iterable[int]) -> None:
                for title in range(1, UPDATES + 1):
                    await persist_with_a_batch(client, orders, str(title))
                    await asyncio.sleep(dice.uniform(0, 0.4))

            half = orders // 2
            killer = asyncio.create_task(kill_at_random(service, client, dice, kills=3))
            await asyncio.gather(fleet(numbers[half:]), *(courier(number) for number in numbers[:half]))
            await killer
            async with asyncio.timeout(120):
                while showing(str(UPDATES), CardStatus.LIVE) < orders:
                    await asyncio.sleep(0.1)
            ends = (persistently(client, "update-live-activity", change(one, "over", "END")) for one in numbers)
            await asyncio.gather(*ends)
            async with asyncio.timeout(120):
                while showing("over", CardStatus.ENDED) < orders:
                    await asyncio.sleep(0.1)


async def test_every_card_ends_on_the_newest_update_that_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch, 20)
    await outlive(1, tmp_path, 40)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(200, 210))
async def test_hundreds_of_orders_outlive_it_too(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch, 60)
    await outlive(seed, tmp_path, 400)
