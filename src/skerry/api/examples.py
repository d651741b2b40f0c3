"""A request that works, for each operation that has a body, and an answer to each: a service with phones gave them.

The answers are recorded by `scripts/record-answers`; tests/acceptance/test_examples.py asks again and compares.
"""

import json
from importlib import resources
from typing import Any

ANSWERS: dict[str, dict[str, Any]] = json.loads(
    resources.files(__package__).joinpath("answers.json").read_text("utf-8")
)
"""By operation: `request` (its line), `status` and `answer`, which is null where there is no JSON."""

_CONTENT: dict[str, Any] = {
    "platforms": ["IOS"],
    "contentState": {"homeTeamScore": 0, "awayTeamScore": 0, "matchStatus": "1st Half"},
    "liveActAttr": {
        "leagueName": "Premier League",
        "homeTeamName": "Arsenal",
        "awayTeamName": "Liverpool",
        "matchStartTime": "18.30",
    },
    "liveActAttrType": "MatchLiveScoreWidgetAttributes",
}
BULK: dict[str, Any] = {
    "type": "LIVE_ACTIVITY",
    "message": {"title": "Arsenal – Liverpool", "text": "Kick-off!", "groupId": "ars-liv-2025", **_CONTENT},
    "target": {"sendToAll": True},
}
DEFINITION: dict[str, Any] = {"title": "Arsenal – Liverpool", "message": "Kick-off!", **_CONTENT}
SEND: dict[str, Any] = {
    "notificationKey": "9401",
    "message": {"groupId": "ars-liv-2025"},
    "target": {"extId": "user-1"},
}
REVISION: dict[str, Any] = {
    "groupId": "ars-liv-2025",
    "action": "UPDATE",
    "contentState": {"homeTeamScore": 1, "awayTeamScore": 0, "matchStatus": "2nd Half"},
    "priority": 10,
}
_TOKEN = "80f4bd0c6ffb3a6a" * 5  # not a secret: an example of the form
REPORT: dict[str, Any] = {
    "installationId": "8c1f7c1e-2f0b-4a53-9a0e-5b6f0c1d2e3f",
    "installationSecret": "made by the app at its first start",
    "extId": "user-1",
    "environment": "production",
    "platform": "IOS",
    "osVersion": "18.1",
    "events": [
        {"name": "LiveActivityStartToken", "token": _TOKEN},
        {"name": "LiveActivityUpdateToken", "token": _TOKEN, "groupId": "ars-liv-2025"},
        {"name": "LiveActivityClose", "groupId": "ars-liv-2025"},
    ],
}
FIRED: list[dict[str, Any]] = [{"extId": "user-1", "name": "LiveActivityStartToken", "token": _TOKEN}]

REGISTRATIONS: list[dict[str, Any]] = [
    {"extId": "user-1", "platform": "IOS", "tags": ["gold"], "profile": {"team": "Arsenal", "age": 30}}
]
EXT_IDS: dict[str, Any] = {"extIds": ["user-1", "user-2"]}
WHO: dict[str, Any] = {"extId": "user-1"}
TAGS: dict[str, Any] = {"tag": ["gold"], **EXT_IDS}
PROFILES: list[dict[str, Any]] = [{"extId": "user-1", "profile": {"team": "Arsenal", "age": 30}}]
LISTS: list[dict[str, Any]] = [{"extId": "user-1", "profile": {"teams": ["Arsenal"]}}]
UNSET: list[dict[str, Any]] = [{"extId": "user-1", "profile": ["age"]}]
ATTRIBUTE_NAMES: list[dict[str, Any]] = [{"profile": ["age"]}]
ATTRIBUTE_VALUES: list[dict[str, Any]] = [{"key": "team", "value": "Arsenal"}]

PUT: dict[str, Any] = {
    "type": "MatchLiveScoreWidgetAttributes",
    "attributes": {
        "leagueName": "Premier League",
        "homeTeamName": "Arsenal",
        "awayTeamName": "Liverpool",
        "matchStartTime": "18.30",
    },
    "state": {"homeTeamScore": 1, "awayTeamScore": 0, "matchStatus": "1st Half"},
    "alert": {"title": "Goal!", "body": "Arsenal 1 – 0 Liverpool"},
    "audience": {"tags": ["arsenal"]},
    "version": 17,
}

SCHEDULED: dict[str, Any] = {
    "at": "2099-09-17T21:00:00",
    "time_zone": "Europe/Istanbul",
    "type": PUT["type"],
    "attributes": PUT["attributes"],
    "state": {"homeTeamScore": 0, "awayTeamScore": 0, "matchStatus": "1st Half"},
    "audience": {"tags": ["arsenal"]},
    "phases": [
        {"after": "PT45M", "state": {"homeTeamScore": 0, "awayTeamScore": 0, "matchStatus": "Half-time"}},
        {"after": "PT1H", "state": {"homeTeamScore": 0, "awayTeamScore": 0, "matchStatus": "Full-time"}},
    ],
    "dismiss_after": "PT30M",
}

WEBHOOK: dict[str, Any] = {"url": "https://example.com/skerry", "kinds": ["activity.*", "card.lost"]}
_AUDIENCE: dict[str, Any] = {
    "tags": {"$and": ["football", "goals"]},
    "location": {"latitude": 41.0370, "longitude": 28.9850, "radius": 25},
    "exclude": {"segment": "staff"},
    "percent": 12.5,
}
PREVIEW: dict[str, Any] = {"audience": _AUDIENCE, "attributes_type": "MatchLiveScoreWidgetAttributes"}
SEGMENT: dict[str, Any] = {"audience": {"profile": {"city": ["Istanbul", "Izmir"], "vip": True}}}
LINE: dict[str, Any] = {
    "id": "arsenal-liverpool",
    "state": {"homeTeamScore": 2, "awayTeamScore": 0, "matchStatus": "2nd Half"},
    "version": 18,
}
