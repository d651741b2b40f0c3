"""A start, an update and an end on simulated phones, drawn as a terminal: screens beside the requests behind them."""

import asyncio
import io
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.terminal_theme import MONOKAI
from rich.text import Text

from skerry.cli.demo import BULK, GROUP
from skerry.cli.dev import REST_KEY, run_dev
from skerry.simulator.phone.screen import render

WIDTH = 120
SCREEN = 34
LATE_S = 2.0
"""How late the second phone reports its update token, so that its update is held."""
PATIENCE = 10.0
WEB_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)

Phone = dict[str, Any]


async def draw(directory: Path) -> str:
    """The picture as SVG.

    Raises:
        TimeoutError: if the phones do not show what they should.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with (
        run_dev(directory, host="127.0.0.1", port=port, phones=2) as service,
        httpx2.AsyncClient(base_url=service.url, headers={"X-netmera-api-key": REST_KEY}) as client,
    ):
        steps = await _story(client)
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    grid = Table.grid(padding=(0, 2))
    for left, right in steps:
        grid.add_row(left, right)
    console.print(grid)
    # Without rich's fonts from the web: a page must not need another server to be read.
    return WEB_FONT.sub("", console.export_svg(title="one activity on two phones", theme=MONOKAI, unique_id="demo"))


async def _story(client: httpx2.AsyncClient) -> list[tuple[RenderableType, RenderableType]]:
    async def phone(number: int) -> Phone:
        found: Phone = (await client.get(f"/simulator/phones/phone-{number}")).json()
        return found

    async def shows(number: int, met: Callable[[Phone], bool]) -> Phone:
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await phone(number)
                if found["cards"] and met(found["cards"][0]):
                    return found
                await asyncio.sleep(0.02)

    async def call(operation: str, body: dict[str, Any]) -> Text:
        answer = await client.post(f"/rest/3.0/{operation}", json=body)
        line = Text.assemble(("POST ", "bold cyan"), (operation, "cyan"), "  ", (str(answer.status_code), "bold green"))
        line.append(f" {answer.text}", "green")
        state = body.get("message", body).get("contentState")
        return line.append(f"\n     {json.dumps(state)}" if state else "", "dim")

    await client.put("/simulator/phones/phone-2/reports", json={"update_token": {"delay_s": LATE_S}})
    async with asyncio.timeout(PATIENCE):
        while await _reports(client) < 2:  # noqa: ASYNC110, PLR2004 - one start token a phone, asked for over HTTP
            await asyncio.sleep(0.02)
    start = await call("sendBulkNotification", BULK)
    first = await shows(1, lambda card: card["update_token"] is not None)
    await shows(2, lambda card: card["update_token"] is not None)
    update = await call("update-live-activity", _change("90% completed", 0.9))
    second = await shows(1, lambda card: card["content_state"]["progress"] == 0.9)  # noqa: PLR2004
    held = await phone(2)
    caught_up = await shows(2, lambda card: card["content_state"]["progress"] == 0.9)  # noqa: PLR2004
    end = await call("update-live-activity", {"groupId": GROUP, "action": "END"})
    third = await shows(1, lambda card: card["status"] == "ended")
    waiting = _note(held, f"update held: no update token yet, it shows {held['cards'][0]['content_state']['subtitle']}")
    return [
        (render(first, width=SCREEN), Group(start, _pushed(first))),
        (render(second, width=SCREEN), Group(update, _pushed(second), waiting, _pushed(caught_up))),
        (render(third, width=SCREEN), Group(end, _pushed(third))),
    ]


async def _reports(client: httpx2.AsyncClient) -> int:
    text = (await client.get("/metrics")).text
    line = 'skerry_device_events_total{outcome="accepted"} '
    return next((int(float(one.removeprefix(line))) for one in text.splitlines() if one.startswith(line)), 0)


def _change(subtitle: str, progress: float) -> dict[str, Any]:
    state = {"title": "Uploading File", "subtitle": subtitle, "progress": progress}
    return {"groupId": GROUP, "action": "UPDATE", "contentState": state, "priority": 10}


def _pushed(phone: Phone) -> Text:
    """The newest push of a phone, and what it did with it."""
    push = phone["pushes"][-1]
    return _note(phone, f"{push['event']} accepted, {push['verdict']}: {push['why']}")


def _note(phone: Phone, what: str) -> Text:
    return Text.assemble(("  → ", "dim"), (phone["id"], "bold"), f"  {what}")
