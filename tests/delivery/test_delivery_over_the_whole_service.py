"""Delivery where a service stops, and where it cannot push for a long time."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skerry.domain.verdict import Verdict

START: dict[str, Any] = {
    "message": {
        "title": "T",
        "text": "t",
        "platforms": ["IOS"],
        "contentState": {"n": 0},
        "liveActAttr": {"a": 1},
        "liveActAttrType": "T",
        "groupId": "g",
    },
    "type": "LIVE_ACTIVITY",
    "target": {"sendToAll": True},
}


async def register(house: Any, phones: int) -> None:
    for number in range(phones):
        event = {"name": "n:lst", "token": f"5a{number:062x}"}
        assert (await house.report(f"phone-{number}", event, environment="sandbox")).status_code == 200


async def until(met: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not met():
            await asyncio.sleep(0.01)


async def finished(house: Any, key: int) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            stats: dict[str, Any] = (await house.rest(f"getPushStats?notificationKey={key}", None)).json()
            if stats["status"] == "FINISHED":
                return stats
            await asyncio.sleep(0.02)


def change(directory: Path, statement: str) -> None:
    """What takes hours otherwise."""
    database = sqlite3.connect(directory / "data" / "skerry.db")
    with database:
        database.execute(statement)
    database.close()


async def test_a_service_that_is_told_to_stop_waits_for_the_answers_of_its_starts(
    apple: Any, open_house: Any, tmp_path: Path
) -> None:
    async with open_house() as house:
        await apple.adopt(house)
        await register(house, 20)
        apple.chaos.update_from({"latency_ms": 300})
        await house.rest("sendBulkNotification", START)
        await until(lambda: apple.ledger.entries(0, 10, event="start"))
    database = sqlite3.connect(tmp_path / "data" / "skerry.db")
    board = database.execute("SELECT verdicts FROM chunks").fetchall()
    database.close()
    assert {Verdict(byte) for (verdicts,) in board for byte in verdicts} == {Verdict.ACCEPTED}


async def test_an_app_that_gets_its_key_later_is_pushed_to_from_then_on(apple: Any, open_house: Any) -> None:
    async with open_house() as house:
        await register(house, 1)
        first = (await house.rest("sendBulkNotification", START)).json()["notificationKey"]
        assert (await house.rest(f"getPushStats?notificationKey={first}", None)).json()["status"] == "STARTING"
        await apple.adopt(house)
        other = START | {"message": START["message"] | {"groupId": "other"}}
        key = (await house.rest("sendBulkNotification", other)).json()["notificationKey"]
        assert (await finished(house, key))["stats"][0]["sent"] == 1


async def test_a_start_whose_time_has_passed_is_given_up(apple: Any, open_house: Any, tmp_path: Path) -> None:
    async with open_house() as house:
        await register(house, 1)
        key = (await house.rest("sendBulkNotification", START)).json()["notificationKey"]
        await apple.adopt(house)
    change(tmp_path, "UPDATE chunks SET created_at = created_at - 9 * 3600000, due_at = 1")
    async with open_house() as house:
        assert (await finished(house, key))["stats"][0]["failed"] == 1
        (result,) = (await house.rest(f"getPushResult?notificationKey={key}", None)).json()["list"]
        assert (result["status"], result["errorMsg"]) == ("FAILED", "NOT_PROCESSED")
        assert list(apple.ledger.entries(0, 10)) == []


async def test_a_start_that_waited_with_a_newest_state_too_large_for_both_shows_its_own_first(
    apple: Any, open_house: Any, tmp_path: Path
) -> None:
    large = "x" * 2_500
    start = START | {"message": START["message"] | {"liveActAttr": {"a": large}}}
    async with open_house() as house:
        await register(house, 1)
        key = (await house.rest("sendBulkNotification", start)).json()["notificationKey"]
        update = {"groupId": "g", "action": "UPDATE", "contentState": {"n": large}}
        assert (await house.rest("update-live-activity", update)).status_code == 200
        await apple.adopt(house)
    change(tmp_path, "UPDATE chunks SET due_at = 1")
    async with open_house() as house:
        assert (await finished(house, key))["stats"][0]["sent"] == 1
        event = {"name": "n:lut", "token": "80" * 32, "groupId": "g"}
        assert (await house.report("phone-0", event)).json() == {"outcomes": ["accepted"]}
        await until(lambda: apple.ledger.entries(0, 10, event="update"))
        assert large in apple.ledger.entries(0, 10, event="update")[0].body
