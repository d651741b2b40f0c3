"""The Lock Screen in the terminal."""

import io
from typing import Any

from rich.console import Console

from skerry.simulator.phone.screen import render


def drawn(phone: dict[str, Any], **options: Any) -> str:
    console = Console(file=io.StringIO(), width=60, color_system=None)
    console.print(render(phone, **options))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def phone(*cards: dict[str, Any], **changes: Any) -> dict[str, Any]:
    base = {
        "id": "phone-1",
        "user": "ada",
        "os_version": "18.1",
        "environment": "sandbox",
        "bundle_id": "com.example.uploader",
        "online": True,
    }
    return base | {"cards": list(cards)} | changes


def card(status: str = "live", **state: Any) -> dict[str, Any]:
    return {"group_id": "upload-456", "status": status, "content_state": state}


def test_a_card_shows_app_title_subtitle_bar_and_status() -> None:
    text = drawn(phone(card(title="Uploading File", subtitle="Almost there...", progress=0.5, left=3)))
    for part in ("phone-1", "ada", "UPLOADER", "Uploading File", "Almost there...", "━━━━", "● live", "left 3"):
        assert part in text
    assert "progress" not in text


def test_progress_outside_0_to_1_is_a_plain_value() -> None:
    assert "progress 70" in drawn(phone(card(title="a", progress=70)))
    assert "progress True" in drawn(phone(card(title="a", progress=True)))


def test_an_empty_screen_says_so_and_dismissed_cards_show_on_request_only() -> None:
    swiped = phone(card("dismissed", title="Gone"))
    assert "no Live Activities" in drawn(swiped)
    assert "Gone" in drawn(swiped, dismissed=True)


def test_the_newest_card_is_on_top() -> None:
    text = drawn(phone(card(title="First"), card(title="Second")))
    assert text.index("Second") < text.index("First")


def test_a_state_without_words_shows_the_group_id_and_odd_states_do_no_harm() -> None:
    assert "upload-456" in drawn(phone(card(homeScore=1)))
    assert "upload-456" in drawn(phone({"group_id": "upload-456", "status": "live", "content_state": None}))
    assert "[bold]x[/bold]" in drawn(phone(card(title="[bold]x[/bold]"), user="[red]"))
    assert "offline" in drawn(phone(online=False, user=None))
