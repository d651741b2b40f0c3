"""`kill -9` around the moments of a schedule and of a script: each change is made exactly once, the ledger says so."""

import asyncio
import contextlib
import random
import socket
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from skerry.cli.dev import REST_KEY, DevService, run_dev
from skerry.simulator.apns.ledger import Entry, Ledger
from skerry.simulator.phone.card import Card, CardStatus

PHONES = 3
PATIENCE = 170.0
TYPE = {"type": "LiveActivityAttributes", "attributes": {"referenceId": "match", "category": "match"}}

WHOM = {"audience": {"all": True}, "routing": "tokens"}


@pytest.fixture(autouse=True)
def unknown_starts_are_looked_at_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those whose answers a kill has swallowed; a busy machine has brought in what the phones report by then."""
    monkeypatch.setenv("SKERRY_DELIVERY__UNKNOWN_START_AFTER_S", "20")


def state(title: str) -> dict[str, Any]:
    return {"title": title, "subtitle": "", "progress": 0}


def alert(title: str) -> dict[str, Any]:
    return {"title": title, "body": "!"}


class Story:
    """A dev service, a client, and a hand at the switch."""

    def __init__(self, service: DevService, client: httpx2.AsyncClient) -> None:
        self.service, self.client = service, client

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """As a backend does: try again until it is answered."""
        while True:
            try:
                answer = await self.client.request(method, f"/v1/{path}", json=body)
            except httpx2.HTTPError:
                await asyncio.sleep(0.05)
                continue
            assert answer.is_success, answer.text
            return answer.json()

    async def kill_at(self, moment: datetime) -> None:
        await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
        killed = self.service.process
        killed.kill()
        while self.service.process is killed:
            await asyncio.sleep(0.01)
        self.service.restarts = 0  # the parent's back-off is for services that cannot start

    async def ready(self) -> None:
        """Every phone can be started."""
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                text = (await self.client.get("/metrics")).text
                line = 'skerry_http_requests_total{operation="reportEvents",status="200"} '
                if any(one.startswith(line) and float(one[len(line) :]) >= PHONES for one in text.splitlines()):
                    return
            await asyncio.sleep(0.05)

    @property
    def cards(self) -> list[Card]:
        return [card for phone in self.service.simulation.world.phones.values() for card in phone.cards]

    async def started(self) -> None:
        """A start that a kill has kept from Apple is sent again if its activity still runs, so an end must wait."""
        while len(self.cards) < PHONES:
            await asyncio.sleep(0.1)

    async def ended(self, title: str) -> None:
        while not (
            (cards := self.cards)
            and all(card.status is not CardStatus.LIVE for card in cards)
            and all(f'"{title}"'.encode() in card.content_state for card in cards)
        ):
            await asyncio.sleep(0.1)
        assert len(cards) == PHONES

    async def kinds(self) -> list[str]:
        """What the activity's revisions are, in order."""
        newest = (await self.call("GET", "activities/match"))["revision"]
        return [(await self.call("GET", f"activities/match/revisions/{n}"))["kind"] for n in range(1, newest + 1)]


def entries(ledger: Ledger) -> list[Entry]:
    found: list[Entry] = []
    while page := ledger.entries(found[-1].number if found else 0, 1000):
        found += page
    return found


def judge(ledger: Ledger, titles: list[str]) -> None:
    """No card was started twice, and no phone was shown an older state after a newer one."""
    starts = Counter(entry.token for entry in entries(ledger) if entry.event == "start")
    assert len(starts) == PHONES
    assert set(starts.values()) == {1}
    order = {title: place for place, title in enumerate(titles)}
    shown: dict[str, list[int]] = {}
    for entry in entries(ledger):
        if entry.event != "start":
            place = next(place for title, place in order.items() if f'"{title}"' in (entry.body or ""))
            shown.setdefault(entry.token, []).append(place)
    for places in shown.values():
        assert places == sorted(places)


@contextlib.asynccontextmanager
async def story(directory: Path) -> Any:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    headers = {"X-netmera-api-key": REST_KEY}
    async with (
        run_dev(directory, host="127.0.0.1", port=port, phones=PHONES) as service,
        httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=5.0) as client,
        asyncio.timeout(PATIENCE),
    ):
        one = Story(service, client)
        await one.ready()
        yield one


def around(moment: datetime, dice: random.Random) -> datetime:
    """Shortly before or after: what is due is read, done and committed within some milliseconds."""
    return moment + timedelta(milliseconds=dice.uniform(-60, 60))


async def outlive_changes(directory: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with story(directory) as one:
        bodies: list[dict[str, Any]] = [
            {**TYPE, "state": state("0"), "alert": alert("0"), **WHOM},
            {"state": state("1"), "alert": alert("1")},
            {"state": state("2"), "action": "end"},
        ]
        for body in bodies:
            moment = datetime.now(UTC) + timedelta(seconds=2)
            made = await one.call("POST", "activities/match/schedule", {**body, "at": moment.isoformat()})
            await one.kill_at(around(moment, dice))
            while (await one.call("GET", f"schedule/{made['id']}"))["state"] == "waiting":
                await asyncio.sleep(0.05)
            await one.started()
        await one.ended("2")
        assert await one.kinds() == ["update", "start", "update", "end"]
        assert len((await one.call("GET", "schedule?state=done"))["changes"]) == len(bodies)
        judge(one.service.simulation.ledger, ["0", "1", "2"])


async def outlive_script(directory: Path, seed: int) -> None:
    """A busy machine may take longer to come up than a phase lasts: then that one is skipped, and never shown."""
    dice = random.Random(seed)
    async with story(directory) as one:
        phases = [{"after": "PT4S", "state": state(str(n)), "alert": alert(str(n))} for n in (1, 2, 3)]
        body = {**TYPE, "state": state("0"), **WHOM, "phases": phases}
        began = datetime.now(UTC)
        await one.call("PUT", "activities/match", body)
        for number in (1, 2, 3):
            await one.kill_at(around(began + timedelta(seconds=4 * number), dice))
        await one.ended("3")
        kinds = await one.kinds()
        assert kinds[:2] == ["update", "start"]
        assert kinds[2:] in (["update", "update", "end"], ["update", "end"], ["end"])
        judge(one.service.simulation.ledger, ["0", "1", "2", "3"])


@pytest.mark.timeout(PATIENCE + 20)
async def test_each_scheduled_change_is_made_exactly_once(tmp_path: Path) -> None:
    await outlive_changes(tmp_path, 1)


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE + 20)
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize("outlive", [outlive_changes, outlive_script])
async def test_the_same_at_other_moments_and_with_a_script(outlive: Any, seed: int, tmp_path: Path) -> None:
    await outlive(tmp_path, seed)
