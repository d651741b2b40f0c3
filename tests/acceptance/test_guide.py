"""The guide's own JSON bodies, sent to `skerry dev` as they stand, lead to the right cards on the phones.

Bodies: netmera.md 5.1 to 5.5. Their dates lie in the past by now: where a date has to lie ahead it is moved there.
"""

import itertools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dev_service import SDK, Dev, dev_service, until

FORMER_BULK = """{
  "message": {
    "title": "Live Activity Update",
    "text": "Your process is ongoing",
    "platforms": ["IOS"],
    "contentState": {"title": "Uploading File", "subtitle": "50% completed", "progress": 0.5},
    "liveActAttr": {"referenceId": "upload-12345", "category": "upload"},
    "liveActAttrType": "LiveActivityAttributes"
  },
  "type": "LIVE_ACTIVITY",
  "target": {"sendToAll": true}
}"""
CURRENT_BULK = """{
  "message": {
    "title": "Live Activity Start",
    "text": "Here your live activity",
    "platforms": ["IOS"],
    "contentState": {"homeTeamScore": 0, "awayTeamScore": 0, "matchStatus": "1st Half"},
    "liveActAttr": {"leagueName": "Premier League", "homeTeamName": "Arsenal",
                    "awayTeamName": "Liverpool", "matchStartTime": "18.30"},
    "liveActAttrType": "MatchLiveScoreWidgetAttributes",
    "groupId": "ars-liv-2025",
    "liveActEndDate": "2026-01-28T15:35:37Z"
  },
  "type": "LIVE_ACTIVITY",
  "target": {"sendToAll": true}
}"""
DEFINITION = """{
  "title": "Live Activity Started",
  "message": "Tracking your process in real-time",
  "platforms": ["IOS"],
  "contentState": {"title": "Uploading File", "subtitle": "Almost there...", "progress": 0.7},
  "liveActAttr": {"referenceId": "upload-456", "category": "upload"},
  "liveActAttrType": "LiveActivityAttributes"
}"""
SEND = """{"notificationKey": "9401",
 "message": {"groupId": "aw-ch-2025"},
 "target": {"extId": "your_external_id"}}"""
UPDATE = """{"groupId": "ars-liv-2025",
 "action": "UPDATE",
 "contentState": {"homeTeamScore": 1, "awayTeamScore": 0, "matchStatus": "2nd Half"},
 "staleDate": "2026-01-11T09:21:37Z",
 "priority": 10}"""
END = """{"groupId": "ars-liv-2025",
 "action": "END",
 "dismissalDate": "2026-01-11T09:21:37Z",
 "priority": 10}"""
PHONES = 3
_numbers = itertools.count(1)


@pytest.fixture(scope="class")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """Fresh for each class: a phone takes ten starts an hour. No phone may have been started twice in the end."""
    with dev_service(tmp_path_factory.mktemp("guide"), phones=PHONES) as found:
        yield found
        for number in range(1, PHONES + 1):
            groups = [card["group_id"] for card in found.phone(number)["cards"]]
            assert len(groups) == len(set(groups))


@pytest.fixture
def group(dev: Dev) -> Iterator[str]:
    """A group id of the test's own; ended afterwards, since a phone shows only so many activities of an app at once."""
    name = f"group-{next(_numbers)}"
    yield name
    dev.rest("update-live-activity", {"groupId": name, "action": "END"})
    until(lambda: not {"live", "stale"} & {*statuses(dev, name).values()})


def ahead(seconds: float = 3600) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def start(group: str, target: dict[str, Any] | None = None, **message: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(FORMER_BULK)
    body["message"]["liveActAttr"]["referenceId"] = group
    body["message"] |= {"groupId": group, **message}
    body["target"] = target or {"sendToAll": True}
    return body


def change(group: str, action: str = "UPDATE", progress: float = 1, **more: Any) -> dict[str, Any]:
    state = {"title": "Uploading File", "subtitle": "changed", "progress": progress}
    return {"groupId": group, "action": action, "contentState": state, "priority": 10, **more}


def states(dev: Dev, group: str, field: str) -> dict[int, Any]:
    return {number: card["content_state"][field] for number, card in dev.cards(group).items()}


def statuses(dev: Dev, group: str) -> dict[int, str]:
    return {number: card["status"] for number, card in dev.cards(group).items()}


class TestTheGuidesBodies:
    def test_the_former_guides_start_without_a_group_id_and_an_update_by_its_reference_id(self, dev: Dev) -> None:
        assert isinstance(dev.rest("sendBulkNotification", FORMER_BULK)["notificationKey"], int)
        until(lambda: states(dev, "upload-12345", "progress") == {1: 0.5, 2: 0.5, 3: 0.5})
        card = dev.cards("upload-12345")[1]
        assert card["attributes"] == {"referenceId": "upload-12345", "category": "upload"}
        assert card["content_state"] == {"title": "Uploading File", "subtitle": "50% completed", "progress": 0.5}
        assert dev.rest("update-live-activity", change("upload-12345", progress=0.9)) == {}
        until(lambda: states(dev, "upload-12345", "progress") == {1: 0.9, 2: 0.9, 3: 0.9})
        dev.rest("update-live-activity", {"groupId": "upload-12345", "action": "END", "priority": 10})
        until(lambda: statuses(dev, "upload-12345") == dict.fromkeys((1, 2, 3), "ended"))
        assert states(dev, "upload-12345", "progress") == {1: 0.9, 2: 0.9, 3: 0.9}

    def test_the_current_guides_start_update_and_end(self, dev: Dev) -> None:
        dev.rest("sendBulkNotification", CURRENT_BULK.replace("2026-01-28T15:35:37Z", ahead()))
        until(lambda: states(dev, "ars-liv-2025", "matchStatus") == dict.fromkeys((1, 2, 3), "1st Half"))
        attributes = json.loads(CURRENT_BULK)["message"]["liveActAttr"] | {"netmeraGroupId": "ars-liv-2025"}
        assert dev.cards("ars-liv-2025")[1]["attributes"] == attributes
        assert dev.rest("update-live-activity", UPDATE) == {}
        until(lambda: states(dev, "ars-liv-2025", "homeTeamScore") == {1: 1, 2: 1, 3: 1})
        assert statuses(dev, "ars-liv-2025") == dict.fromkeys((1, 2, 3), "stale")  # the guide's stale date is long past
        assert dev.rest("update-live-activity", END) == {}
        until(lambda: {*statuses(dev, "ars-liv-2025").values()} <= {"ended", "dismissed"})

    def test_a_definition_and_a_send_to_one_user(self, dev: Dev) -> None:
        key = dev.rest("createNotificationDefinition", DEFINITION)["notificationKey"]
        send = SEND.replace("9401", str(key)).replace("your_external_id", "user-2")
        assert dev.rest("sendNotification", send) == {}
        until(lambda: states(dev, "aw-ch-2025", "progress") == {2: 0.7})
        assert dev.cards("aw-ch-2025")[2]["attributes"]["netmeraGroupId"] == "aw-ch-2025"


class TestSends:
    def test_each_entry_of_an_array_has_its_own_key_parameters_and_overrides(self, dev: Dev) -> None:
        definition = json.loads(DEFINITION)
        definition["contentState"] = {"title": "@{name}'s upload", "subtitle": "@{part}", "progress": 0.25}
        key = str(dev.rest("createNotificationDefinition", definition)["notificationKey"])
        entries = [
            {
                "notificationKey": key,
                "message": {"groupId": f"array-{user}", "params": {"name": user, "part": "one"}, **more},
                "target": {"extId": [user]},
            }
            for user, more in (("user-1", {}), ("user-3", {"contentState": {"progress": 0.75}}))
        ]
        assert dev.rest("sendNotification", entries) == {}
        until(lambda: dev.cards("array-user-1") and dev.cards("array-user-3"))
        first, second = dev.cards("array-user-1")[1], dev.cards("array-user-3")[3]
        assert first["content_state"] == {"title": "user-1's upload", "subtitle": "one", "progress": 0.25}
        assert second["content_state"] == {"title": "user-3's upload", "subtitle": "one", "progress": 0.75}

    @pytest.mark.parametrize(
        ("target", "phones"),
        [
            ({"extId": "user-3"}, {3}),
            ({"tag": ["gold"]}, {1, 2}),
            ({"tag": {"$and": ["gold", "new"]}}, {2}),
            ({"tag": {"$not": ["gold"]}}, {3}),
            ({"profile": {"team": ["Arsenal", "Liverpool"]}}, {1, 3}),
            ({"profile": {"$or": {"team": "Arsenal", "age": 30}}}, {1, 2}),
            ({"profile": {"age": {"$exists": True}}, "tag": "gold"}, {2}),
        ],
    )
    def test_a_start_reaches_whom_its_target_names_and_nobody_else(
        self, dev: Dev, group: str, target: dict[str, Any], phones: set[int]
    ) -> None:
        dev.rest("tagUsers", {"tag": ["gold"], "extIds": ["user-1", "user-2"]})
        dev.rest("tagUsers", {"tag": ["new"], "extIds": ["user-2"]})
        profiles = {"user-1": {"team": "Arsenal"}, "user-2": {"age": 30}, "user-3": {"team": "Liverpool"}}
        dev.rest("setProfileAttributes", [{"extId": user, "profile": profile} for user, profile in profiles.items()])
        before = len(dev.starts())
        dev.rest("sendBulkNotification", start(group, target))
        until(lambda: set(dev.cards(group)) == phones)
        assert len(dev.starts()) == before + len(phones)

    def test_a_repeated_start_skips_phones_that_run_the_activity(self, dev: Dev, group: str) -> None:
        dev.rest("sendBulkNotification", start(group, {"extId": "user-1"}))
        until(lambda: set(dev.cards(group)) == {1})
        before = len(dev.starts())
        dev.rest("sendBulkNotification", start(group))
        until(lambda: set(dev.cards(group)) == {1, 2, 3})
        assert len(dev.starts()) == before + 2

    def test_statistics_and_results_tell_of_each_start(self, dev: Dev, group: str) -> None:
        body = start(group, {"extId": ["user-1", "nobody"]})
        key = dev.rest("sendBulkNotification", body)["notificationKey"]
        headers = {"X-netmera-api-key": "dev-rest-key"}

        def stats() -> Any:
            return dev.client.get(f"/rest/3.0/getPushStats?notificationKey={key}", headers=headers).json()

        until(lambda: stats()["status"] == "FINISHED")
        results = dev.client.get(f"/rest/3.0/getPushResult?notificationKey={key}", headers=headers).json()["list"]
        assert len(results) == 2


class TestLives:
    def test_an_update_before_the_token_is_held_and_delivered_with_it(self, dev: Dev, group: str) -> None:
        dev.tell(3, "reports", {"update_token": {"delay_s": 1.5}}, method="PUT")
        try:
            dev.rest("sendBulkNotification", start(group))
            until(lambda: len(dev.cards(group)) == PHONES)
            dev.rest("update-live-activity", change(group, progress=0.8))
            until(lambda: states(dev, group, "progress") == {1: 0.8, 2: 0.8, 3: 0.5})
            until(lambda: states(dev, group, "progress") == {1: 0.8, 2: 0.8, 3: 0.8})
        finally:
            dev.tell(3, "reports", {"update_token": {"delay_s": 0}}, method="PUT")

    def test_an_end_reaches_a_card_that_joins_late(self, dev: Dev, group: str) -> None:
        dev.tell(2, "reports", {"update_token": {"delay_s": 1.5}}, method="PUT")
        try:
            dev.rest("sendBulkNotification", start(group, {"extId": "user-2"}))
            until(lambda: dev.cards(group))
            dev.rest("update-live-activity", change(group, "END"))
            until(lambda: statuses(dev, group) == {2: "ended"})
        finally:
            dev.tell(2, "reports", {"update_token": {"delay_s": 0}}, method="PUT")

    def test_updates_follow_a_token_that_changes(self, dev: Dev, group: str) -> None:
        dev.rest("sendBulkNotification", start(group, {"extId": "user-1"}))
        until(lambda: dev.cards(group))
        for turn in (0.6, 0.7, 0.8):
            dev.tell(1, "rotate", {"group_id": group})
            dev.rest("update-live-activity", change(group, progress=turn))
            until(lambda turn=turn: states(dev, group, "progress") == {1: turn})

    def test_a_card_that_is_swiped_away_hears_nothing_more(self, dev: Dev, group: str) -> None:
        dev.rest("sendBulkNotification", start(group, {"extId": ["user-1", "user-2"]}))
        until(lambda: len(dev.cards(group)) == 2)
        dev.rest("update-live-activity", change(group, progress=0.6))
        until(lambda: states(dev, group, "progress") == {1: 0.6, 2: 0.6})
        dev.tell(2, "dismiss", {"group_id": group})
        closes = 'skerry_device_events_total{outcome="accepted"}'
        until(lambda: closes in dev.client.get("/metrics").text)
        time.sleep(0.3)  # the close is on its way through the reporter
        pushes = len(dev.phone(2)["pushes"])
        dev.rest("update-live-activity", change(group, progress=0.9))
        until(lambda: states(dev, group, "progress")[1] == 0.9)
        assert statuses(dev, group)[2] == "dismissed"
        assert len(dev.phone(2)["pushes"]) == pushes

    def test_a_planned_end_happens(self, dev: Dev, group: str) -> None:
        dev.rest("sendBulkNotification", start(group, {"extId": "user-1"}, liveActEndDate=ahead(4)))
        until(lambda: statuses(dev, group) == {1: "live"})
        until(lambda: statuses(dev, group) == {1: "ended"})
        assert states(dev, group, "progress") == {1: 0.5}

    def test_a_group_that_the_app_started_by_itself_is_known_by_its_first_token(self, dev: Dev, group: str) -> None:
        event = {"name": "LiveActivityUpdateToken", "token": "80" * 80, "groupId": group}
        body = {"installationId": "app-started", "environment": "sandbox", "events": [event]}
        assert dev.client.post("/v1/events", json=body, headers=SDK).json() == {"outcomes": ["accepted"]}
        dev.rest("update-live-activity", change(group))
        pushed = {"token": "80" * 80}
        until(lambda: dev.client.get("/simulator/ledger", params=pushed).json()["entries"])
        entries = dev.client.get("/simulator/ledger", params=pushed).json()["entries"]
        # No phone of this world has it. Once refused, the push is tried in the other environment, at once.
        assert {(one["event"], one["reason"]) for one in entries} == {("update", "BadDeviceToken")}
        assert len(entries) <= 2
