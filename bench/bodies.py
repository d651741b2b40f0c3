"""The requests that callers and phones make."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

MATCH = "match-1"
EVENTS = "/v1/events"
UPDATE = "/rest/3.0/update-live-activity"
START = "/rest/3.0/sendBulkNotification"
BATCH = "/v1/activities:batch"


def nobodys_start(group: str) -> dict[str, Any]:
    """A start for somebody we do not know: the group exists from then on, and has no card."""
    message = {
        "title": "Your order", "text": "It is on its way", "platforms": ["IOS"], "groupId": group,
        "contentState": {"title": "Ordered", "progress": 0},
        "liveActAttr": {"orderNumber": group}, "liveActAttrType": "OrderAttributes",
    }  # fmt: skip
    return {"type": "LIVE_ACTIVITY", "message": message, "target": {"extId": ["nobody"]}}


def change(group: str, title: str) -> dict[str, Any]:
    """An update of a match's score."""
    state = {"title": title, "subtitle": "In the second half", "homeTeamScore": 2, "awayTeamScore": 1, "progress": 0.5}
    return {"groupId": group, "action": "UPDATE", "contentState": state, "priority": 10}


def line(group: str, title: str) -> dict[str, Any]:
    """The same as a line of a batch."""
    one = change(group, title)
    return {"id": group, "state": one["contentState"], "priority": one["priority"]}


def personal_change(group: str, title: str) -> dict[str, Any]:
    """The same with two placeholders, for people as `population.name_people` makes them."""
    told = change(group, title)
    state = {
        **told["contentState"],
        "subtitle": "@{first_name|there}, you have a bet on this",
        "bet": "@{bet:number|0}",
    }
    return {**told, "contentState": state}


def spoken_change(group: str, title: str) -> dict[str, Any]:
    """The same with an alert in five languages."""
    texts = {
        "default": title,
        "tr": f"{title}: gol",
        "de": f"{title}: Tor",
        "fr": f"{title}: but",
        "es": f"{title}: gol",
    }
    return {**change(group, title), "alert": {"title": texts, "body": "2 - 1"}}


def changes(groups: Sequence[str], count: int, *, seed: int) -> Iterator[dict[str, Any]]:
    """So many updates, round the groups; no two alike."""
    return (change(groups[number % len(groups)], f"{seed}-{number}") for number in range(count))


def lines(groups: Sequence[str], *, seed: int) -> Iterator[str]:
    """A line of a batch for each group; no two alike."""
    made = (line(group, f"{seed}-{number}") for number, group in enumerate(groups))
    return (json.dumps(one, separators=(",", ":")) for one in made)
