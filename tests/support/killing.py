"""`kill -9` of a service that `run_dev` brings up again, and callers that live with it."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from skerry.cli.dev import DevService
from skerry.simulator.apns.ledger import Entry, Ledger
from skerry.simulator.phone.card import CardStatus


def start(group: str, subtitle: str) -> dict[str, Any]:
    """A start for everybody, whose repeat is free."""
    message = {
        "title": "Kick-off",
        "text": "It begins",
        "platforms": ["IOS"],
        "contentState": {"title": "0", "subtitle": subtitle, "progress": 0},
        "liveActAttr": {"referenceId": group, "category": "match"},
        "liveActAttrType": "LiveActivityAttributes",
        "groupId": group,
    }
    return {"message": message, "type": "LIVE_ACTIVITY", "target": {"sendToAll": True}, "extRef": "kick-off"}


def change(group: str, action: str, title: str) -> dict[str, Any]:
    """An update or an end."""
    state = {"title": title, "subtitle": action, "progress": 1}
    return {"groupId": group, "action": action, "contentState": state, "priority": 10}


async def all_ended(service: DevService, client: httpx2.AsyncClient, group: str, title: str, cards: int) -> None:
    """Wait until every card has ended on the state with this title, and see that no phone was started twice.

    None was left out but where its start was on its way when a sender died, and the end came before it could be
    repeated: nobody wants a card for what is over.
    """
    shown = f'"{title}"'.encode()

    def finished() -> int:
        found = [card for phone in service.simulation.world.phones.values() for card in phone.cards]
        return sum(card.status is CardStatus.ENDED and shown in card.content_state for card in found)

    async def left_out() -> int:
        return int((await _asked(client, f"/v1/activities/{group}"))["cards"]["starting"])

    async with asyncio.timeout(300):
        while finished() + await left_out() < cards or finished() < len(_starts(service.simulation.ledger)):
            await asyncio.sleep(0.1)
    starts = _starts(service.simulation.ledger)
    assert max(starts.values()) == 1
    verdicts = (await _asked(client, f"/v1/activities/{group}/revisions/1"))["verdicts"]
    assert cards - len(starts) <= verdicts.get("unknown", 0)


async def _asked(client: httpx2.AsyncClient, path: str) -> Any:
    """Of a service that may just be coming up."""
    while True:
        with suppress(httpx2.HTTPError):
            return (await client.get(path)).json()
        await asyncio.sleep(0.05)


def _starts(ledger: Ledger) -> Counter[str]:
    """How many each phone got, by its start token."""
    return Counter(entry.token for entry in _all_entries(ledger, "start"))


def _all_entries(ledger: Ledger, event: str) -> Iterator[Entry]:
    seen = 0
    while page := ledger.entries(seen, 1000, event=event):
        yield from page
        seen = page[-1].number


async def persistently(client: httpx2.AsyncClient, operation: str, body: dict[str, Any]) -> None:
    """As a backend does: try again until it is answered; only an answer counts."""
    while True:
        try:
            answer = await client.post(f"/rest/3.0/{operation}", json=body)
        except httpx2.HTTPError:
            await asyncio.sleep(0.05)
            continue
        assert answer.status_code == 200, answer.text
        return


async def kill_at_random(service: DevService, client: httpx2.AsyncClient, dice: random.Random, kills: int) -> None:
    """Mostly in the middle of its work, sometimes while it comes up again."""
    for _ in range(kills):
        if dice.random() < 0.75:
            await answering(client)
        await asyncio.sleep(dice.uniform(0.02, 1.2))
        killed = service.process
        killed.kill()
        while service.process is killed:
            await asyncio.sleep(0.01)
        service.restarts = 0  # the parent's back-off is for services that cannot start


async def answering(client: httpx2.AsyncClient) -> None:
    while True:
        with suppress(httpx2.HTTPError):
            await client.get("/healthz")
            return
        await asyncio.sleep(0.02)


def be_patient(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Lost answers are looked at when even a busy machine has brought in what all phones had to report.

    Sooner, phones that were started and could not say so yet would be started again, as invariant 4 has it. Outside of
    tests the service waits for five minutes.
    """
    monkeypatch.setenv("SKERRY_DELIVERY__UNKNOWN_START_AFTER_S", str(seconds))


async def registered(client: httpx2.AsyncClient) -> int:
    text = (await client.get("/metrics")).text
    line = 'skerry_http_requests_total{operation="reportEvents",status="200"} '
    return next((int(float(one[len(line) :])) for one in text.splitlines() if one.startswith(line)), 0)
