"""A phone's Lock Screen in the terminal, drawn from the JSON of `GET /simulator/phones/{id}`."""

from collections.abc import Mapping
from typing import Any

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_DOTS = {"live": "green", "stale": "yellow", "ended": "bright_black", "dismissed": "bright_black"}
_TITLE_KEYS = ("title", "headline", "name")
_SUBTITLE_KEYS = ("subtitle", "body", "message")
_OTHERS_SHOWN = 6
_VALUE_CHARS = 40


def render(phone: Mapping[str, Any], *, width: int = 44, dismissed: bool = False) -> RenderableType:
    """The phone as a panel with its cards, newest on top.

    Args:
        phone: the JSON of `GET /simulator/phones/{id}`.
        width: of the panel, in characters.
        dismissed: whether to show the cards that are no longer on the Lock Screen, too.
    """
    cards = [card for card in phone.get("cards", ()) if dismissed or card.get("status") != "dismissed"]
    inside: list[RenderableType] = [_card(card, _app_name(phone)) for card in reversed(cards)]
    if not inside:
        inside = [Text("no Live Activities", style="dim", justify="center")]
    title = f"[bold]{_plain(phone.get('id', 'phone'))}[/bold] · {_plain(phone.get('user') or 'nobody')}"
    network = "online" if phone.get("online", True) else "[red]offline[/red]"
    subtitle = f"iOS {_plain(phone.get('os_version', '?'))} · {_plain(phone.get('environment', ''))} · {network}"
    return Panel(Group(*inside), title=title, subtitle=subtitle, width=width, box=ROUNDED, border_style="bright_black")


def _card(card: Mapping[str, Any], app_name: str) -> Panel:
    state = card.get("content_state")
    state = state if isinstance(state, dict) else {}
    status = str(card.get("status", ""))
    colour = _DOTS.get(status, "red")
    header = Table.grid(expand=True)
    header.add_column(justify="left", ratio=1)
    header.add_column(justify="right")
    header.add_row(Text(app_name.upper(), style="dim"), Text.assemble(("● ", colour), (status, "dim")))
    title_key, title = _first(state, _TITLE_KEYS)
    subtitle_key, subtitle = _first(state, _SUBTITLE_KEYS)
    lines: list[RenderableType] = [header, Text(title or str(card.get("group_id", "")), style="bold")]
    if subtitle:
        lines.append(Text(subtitle))
    progress = state.get("progress")
    has_bar = isinstance(progress, (int, float)) and not isinstance(progress, bool) and 0 <= progress <= 1
    if has_bar:
        lines.append(ProgressBar(total=1.0, completed=float(progress or 0), complete_style=colour))
    drawn = {title_key, subtitle_key, "progress" if has_bar else None}
    others = [f"{key} {str(value)[:_VALUE_CHARS]}" for key, value in state.items() if key not in drawn]
    if others:
        lines.append(Text(" · ".join(others[:_OTHERS_SHOWN]), style="dim"))
    style = "bright_black" if status in {"ended", "dismissed"} else "white"
    return Panel(Group(*lines), box=ROUNDED, border_style=style, style="dim" if status == "dismissed" else "")


def _first(state: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[str | None, str | None]:
    for key in keys:
        if isinstance(state.get(key), str) and state[key]:
            return key, state[key]
    return None, None


def _app_name(phone: Mapping[str, Any]) -> str:
    """The last part of the bundle id stands for the app's name."""
    return str(phone.get("bundle_id", "app")).rpartition(".")[2]


def _plain(value: object) -> str:
    """Text from outside, with rich's markup made harmless."""
    return str(value).replace("[", r"\[")
