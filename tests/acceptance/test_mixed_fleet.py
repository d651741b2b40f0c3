"""One activity on newer phones by channel and on older ones by token, chosen by the server for each."""

from collections.abc import Iterator
from typing import Any

import pytest
from dev_service import REST, Dev, dev_service, until

NEWER, OLDER = 3, 2
MATCH: dict[str, Any] = {
    "type": "LiveActivityAttributes",
    "attributes": {"referenceId": "final", "category": "sport"},
    "state": {"title": "Final", "subtitle": "0 : 0", "progress": 0.1},
    "alert": {"title": "Final", "body": "It begins"},
    "audience": {"all": True},
}


def shown(subtitle: str) -> dict[str, Any]:
    return {**MATCH, "state": {"title": "Final", "subtitle": subtitle, "progress": 0.5}, "alert": None}


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with dev_service(tmp_path_factory.mktemp("fleet"), NEWER, OLDER) as found:
        yield found


def subtitles(dev: Dev) -> list[str]:
    return [card["content_state"]["subtitle"] for card in dev.cards("final").values()]


def test_one_update_is_one_broadcast_and_one_push_per_older_phone(dev: Dev) -> None:
    answer = dev.put("final", MATCH)
    assert answer["counts"]["started"] == NEWER + OLDER
    until(lambda: subtitles(dev) == ["0 : 0"] * (NEWER + OLDER))
    # The older phones' update tokens have to arrive first.
    until(lambda: dev.client.get("/v1/activities/final", headers=REST).json()["cards"]["live"] == NEWER + OLDER)
    before = dev.operations()
    assert before["create_channel"] == 1
    answer = dev.put("final", shown("1 : 0"))
    assert answer["settled"]
    assert (answer["counts"]["updated"], answer["counts"]["on_channel"]) == (OLDER, NEWER)
    until(lambda: subtitles(dev) == ["1 : 0"] * (NEWER + OLDER))
    after = dev.operations()
    assert after["broadcast"] - before.get("broadcast", 0) == 1
    assert after["push"] - before["push"] == OLDER


def test_who_comes_later_listens_from_the_newest_state_on(dev: Dev) -> None:
    dev.put("final", MATCH)
    dev.put("final", shown("1 : 1"))
    dev.client.post("/simulator/phones", json={"count": 1})
    until(lambda: subtitles(dev) == ["1 : 1"] * (NEWER + OLDER + 1))
    dev.put("final", shown("2 : 1"))
    until(lambda: subtitles(dev) == ["2 : 1"] * (NEWER + OLDER + 1))


def test_the_end_reaches_everybody(dev: Dev) -> None:
    dev.put("final", MATCH)
    assert dev.client.delete("/v1/activities/final", params={"wait": 5}, headers=REST).json()["settled"]
    until(lambda: {card["status"] for card in dev.cards("final").values()} == {"ended"})
