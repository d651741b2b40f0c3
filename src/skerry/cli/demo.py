"""`skerry demo`: the five steps of the guide, with its own request bodies, on simulated phones you can see."""

import asyncio
import json
import signal
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.columns import Columns
from rich.console import Console
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table

from skerry.cli.dev import REST_KEY, run_dev
from skerry.simulator.phone.screen import render

PHONES = 3
CUT_SHORT = 130
"""Exit code where a signal came before the end of the story; as shells have it."""
PATIENCE = 10.0
"""Seconds in which phones must show what was sent."""

BULK = {
    "message": {
        "title": "Live Activity Update",
        "text": "Your process is ongoing",
        "platforms": ["IOS"],
        "contentState": {"title": "Uploading File", "subtitle": "50% completed", "progress": 0.5},
        "liveActAttr": {"referenceId": "upload-12345", "category": "upload"},
        "liveActAttrType": "LiveActivityAttributes",
    },
    "type": "LIVE_ACTIVITY",
    "target": {"sendToAll": True},
}
DEFINITION = {
    "title": "Live Activity Started",
    "message": "Tracking your process in real-time",
    "platforms": ["IOS"],
    "contentState": {"title": "Uploading File", "subtitle": "Almost there...", "progress": 0.7},
    "liveActAttr": {"referenceId": "upload-456", "category": "upload"},
    "liveActAttrType": "LiveActivityAttributes",
}
GROUP, SINGLE = "upload-12345", "upload-456"

console = Console()


class DemoError(RuntimeError):
    """A phone does not show what it should."""


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running afterwards.")] = False,
) -> None:
    """Watch the five steps of the guide: real HTTP, a simulated APNs over TLS, and three phones."""
    with tempfile.TemporaryDirectory(prefix="skerry-demo-") as directory:
        asyncio.run(_until_stopped(Path(directory), keep=keep))


async def _until_stopped(directory: Path, *, keep: bool) -> None:
    """At any moment a signal ends it, and the service and the directory with it."""
    story = asyncio.create_task(_run(directory, keep=keep))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, story.cancel)
    try:
        await story
    except asyncio.CancelledError:
        raise typer.Exit(CUT_SHORT) from None


async def _run(directory: Path, *, keep: bool) -> None:
    began = time.monotonic()
    console.print(Rule("[bold]Skerry[/]: service, simulated APNs and three phones are starting"))
    async with run_dev(directory, host="127.0.0.1", port=_free_port(), phones=PHONES) as service:
        async with httpx2.AsyncClient(base_url=service.url, timeout=10.0) as client:
            story = _Story(client)
            await story.tell()
            console.print(await story.summary(time.monotonic() - began))
        if keep:
            console.print(f"Everything goes on at [bold]{service.url}[/] (key {REST_KEY}); Ctrl-C ends it.")
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()


class _Story:
    """The steps, each with its request, its answer, and the phones' screens."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self._facts: list[tuple[str, str]] = []

    async def tell(self) -> None:
        """All of it.

        Raises:
            DemoError: if a request is refused or a phone does not show what it should.
        """
        console.print(Rule("1  The phones report their starter tokens (LiveActivityStartToken)"))
        await self._until("the service knows three start tokens", self._reported(PHONES))
        await self._control("phone-3/reports", {"update_token": {"delay_s": 3.0}}, method="PUT")
        console.print("[dim]phone-3 is told to report its update tokens three seconds late.[/]")

        console.print(Rule("2  The backend starts an activity for everybody"))
        await self._call("sendBulkNotification", BULK)
        await self._until("three phones show a card", self._showing(GROUP, progress=0.5, phones=PHONES))
        await self._screens()

        console.print(Rule("3  Update tokens come in: phone-3's is still on its way, phone-1's changes"))
        await self._control("phone-1/rotate", {"group_id": GROUP})
        console.print(Rule("4  The backend updates the group; phone-3's update is held for its token"))
        update = {
            "groupId": GROUP,
            "action": "UPDATE",
            "contentState": {"title": "Uploading File", "subtitle": "90% completed", "progress": 0.9},
            "priority": 10,
        }
        await self._call("update-live-activity", update)
        await self._until("two phones show 90 %", self._showing(GROUP, progress=0.9, phones=2))
        await self._screens()
        await self._until("phone-3 catches up", self._showing(GROUP, progress=0.9, phones=PHONES))
        self._facts.append(("held for phone-3, delivered with its token", "yes"))

        console.print(Rule("   One more activity, for one user: a definition and a send"))
        key = (await self._call("createNotificationDefinition", DEFINITION))["notificationKey"]
        await self._call("sendNotification", {"notificationKey": str(key), "target": {"extId": "user-2"}})
        await self._until("phone-2 shows it", self._showing(SINGLE, progress=0.7, phones=1))

        console.print(Rule("5  phone-2's owner swipes the upload away; the backend ends the group"))
        await self._control("phone-2/dismiss", {"group_id": GROUP})
        await self._call("update-live-activity", {"groupId": GROUP, "action": "END", "priority": 10})
        await self._until("phones 1 and 3 have ended cards", self._with_status(GROUP, "ended", 2))
        await self._screens()

    async def summary(self, seconds: float) -> Table:
        """What was seen."""
        table = Table(title="What happened", title_justify="left")
        for name in ("phone", "group", "status", "shows", "pushes"):
            table.add_column(name)
        for phone in await self._phones():
            verdicts = ", ".join(f"{push['event']} {push['verdict']}" for push in phone["pushes"])
            for place, card in enumerate(phone["cards"]):
                shown = card["content_state"].get("subtitle", "")
                table.add_row(phone["id"], card["group_id"], card["status"], shown, "" if place else verdicts)
        starts = (await self._client.get("/simulator/ledger", params={"event": "start"})).json()
        tokens = [entry["token"] for entry in starts["entries"]]
        if len(tokens) != PHONES + 1:
            raise DemoError(f"{len(tokens)} starts went out for {PHONES + 1} cards")
        table.caption = f"{len(tokens)} starts for {PHONES + 1} cards, none twice · {seconds:.1f} s in all"
        return table

    async def _call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self._client.post(f"/rest/3.0/{operation}", json=body, headers={"X-netmera-api-key": REST_KEY})
        console.print(f"[bold cyan]POST /rest/3.0/{operation}[/]")
        console.print(Syntax(json.dumps(body, indent=2), "json", background_color="default"))
        console.print(f"[bold green]{answer.status_code}[/] {answer.text}\n")
        if answer.status_code != httpx2.codes.OK:
            raise DemoError(f"{operation} was refused: {answer.text}")
        return dict(answer.json())

    async def _control(self, path: str, body: dict[str, Any], method: str = "POST") -> None:
        answer = await self._client.request(method, f"/simulator/phones/{path}", json=body)
        if not answer.is_success:
            raise DemoError(f"the simulator refused {path}: {answer.text}")

    async def _phones(self) -> list[dict[str, Any]]:
        found = (await self._client.get("/simulator/phones")).json()
        return [(await self._client.get(f"/simulator/phones/{one['id']}")).json() for one in found]

    async def _screens(self) -> None:
        phones = await self._phones()
        screens = [render(phone, width=36) for phone in phones]
        console.print(Columns(screens), "")

    async def _until(self, what: str, condition: Any) -> None:
        with console.status(f"waiting until {what}"):
            deadline = time.monotonic() + PATIENCE
            while not await condition():
                if time.monotonic() > deadline:
                    raise DemoError(f"it was not seen within {PATIENCE:.0f} s that {what}")
                await asyncio.sleep(0.05)
        console.print(f"[green]✓[/] {what}")

    def _reported(self, count: int) -> Any:
        async def seen() -> bool:
            text = (await self._client.get("/metrics")).text
            line = 'skerry_http_requests_total{operation="reportEvents",status="200"} '
            return any(one.startswith(line) and float(one[len(line) :]) >= count for one in text.splitlines())

        return seen

    def _showing(self, group: str, *, progress: float, phones: int) -> Any:
        async def seen() -> bool:
            cards = [card for phone in await self._phones() for card in phone["cards"] if card["group_id"] == group]
            return len([card for card in cards if card["content_state"]["progress"] == progress]) >= phones

        return seen

    def _with_status(self, group: str, status: str, phones: int) -> Any:
        async def seen() -> bool:
            cards = [card for phone in await self._phones() for card in phone["cards"] if card["group_id"] == group]
            return len([card for card in cards if card["status"] == status]) >= phones

        return seen


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
