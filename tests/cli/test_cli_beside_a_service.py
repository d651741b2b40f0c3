"""The commands that look at a running service: `skerry activity` and `skerry doctor` beside `skerry dev`."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dev_service import dev_service, until

DOOMED = "nobody"
START = {
    "type": "LIVE_ACTIVITY",
    "message": {
        "title": "Order",
        "text": "On its way",
        "platforms": ["IOS"],
        "contentState": {"title": "Packed", "subtitle": "[red]soon[/]", "progress": 0.1},
        "liveActAttr": {"referenceId": "order-1", "category": "courier"},
        "liveActAttrType": "LiveActivityAttributes",
        "groupId": "order-1",
    },
    "target": {"extId": ["user-1", "user-2", DOOMED]},
}
UPDATE = {
    "groupId": "order-1",
    "action": "UPDATE",
    "contentState": {"title": "Here", "subtitle": "now", "progress": 1},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of a `skerry dev` on which two cards show an update, and a third could not be started.

    One of the phones has iOS 17: nothing in what follows may depend on that.
    """
    directory = tmp_path_factory.mktemp("dev")
    with dev_service(directory, phones=1, older_phones=1) as dev:
        assert [one["os_version"] for one in dev.client.get("/simulator/phones").json()] == ["18.1", "17.6"]
        assert dev.client.get("/simulator/channels").json() == {"enabled": True, "channels": []}
        dev.rest("sendBulkNotification", START)
        dev.rest("update-live-activity", UPDATE)
        until(lambda: [card["content_state"]["title"] for card in dev.cards("order-1").values()] == ["Here"] * 2)
        yield directory


@pytest.fixture
def beside(skerry: Any, data: Path) -> Any:
    return lambda *arguments: skerry(*arguments, "--data", str(data))


def test_activities_are_listed_with_their_cards(beside: Any) -> None:
    listed = beside("activity", "list")
    assert listed.code == 0
    assert "order-1" in listed.out
    assert "2 live" in listed.out


def test_an_activity_is_shown_revision_by_revision_and_card_by_card(beside: Any) -> None:
    text = beside("activity", "show", "order-1").out
    assert "2 accepted by APNs" in text
    assert "1 not started: NO_DEVICE" in text
    assert "user-1" in text
    assert "user-2" in text


def test_machines_get_the_same_as_json(beside: Any) -> None:
    found = json.loads(beside("activity", "show", "order-1", "--json").out)
    update, start = found["revisions"][0], found["revisions"][-1]
    assert start["kind"] == "start"
    assert start["verdicts"] == {"accepted": 2}
    assert start["misses"] == {"NO_DEVICE": 1}
    assert update["kind"] == "update"
    assert {card["extId"] for card in found["cards"]} == {"user-1", "user-2"}
    assert [card["target"] for card in found["cards"]] == [update["number"]] * 2
    assert found["contentState"]["title"] == "Here"
    assert json.loads(beside("activity", "list", "--json").out)[0]["cards"] == {"live": 2}


def test_the_timeline_of_an_activity_and_of_one_phone(beside: Any) -> None:
    every = beside("activity", "timeline", "order-1").out
    assert "activity.started" in every
    card = json.loads(beside("activity", "show", "order-1", "--json").out)["cards"][0]
    installation = card["installationId"]
    text = beside("activity", "timeline", "order-1", "--installation", installation, "--kinds", "card.*").out
    assert f"{installation}: card {card['number']} is live, accepted by APNs" in " ".join(text.split())
    assert "activity.started" not in text
    found = json.loads(beside("activity", "timeline", "order-1", "--installation", installation, "--json").out)
    assert found["phone"]["card"]["number"] == card["number"]
    updated = next(one for one in found["events"] if one["type"] == "activity.updated")
    assert updated["onPhone"] == {"card": card["number"], "verdict": "accepted", "reason": None}
    assert "--after" in beside("activity", "timeline", "order-1", "--limit", "1").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("order-2",), "no activity 'order-2'"),
        (("order-1", "--installation", "nobody"), "no installation 'nobody'"),
        (("order-1", "--kinds", "card.flew"), "not a kind of event"),
    ],
)
def test_a_timeline_that_is_not_there_is_told(beside: Any, arguments: tuple[str, ...], said: str) -> None:
    ran = beside("activity", "timeline", *arguments)
    assert ran.code == 1
    assert said in " ".join((ran.out + ran.err).split())


def test_cards_are_paged(beside: Any) -> None:
    first = beside("activity", "show", "order-1", "--cards", "1")
    assert "--after 1" in first.out
    second = json.loads(beside("activity", "show", "order-1", "--after", "1", "--json").out)
    assert [card["number"] for card in second["cards"]] == [2]


def test_an_activity_is_found_by_its_number_too(beside: Any) -> None:
    assert "order-1" in beside("activity", "show", "#1").out


def test_the_doctor_finds_nothing_to_mend(beside: Any) -> None:
    ran = beside("doctor")
    assert ran.code == 0, ran.out
    assert "HTTP/2" in ran.out
    assert os.linesep + "✗" not in ran.out
