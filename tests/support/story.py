"""A day of an app, told with the examples of the reference: every operation once, with a request that works."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dev_service import REST, SDK, Dev, until

PHONES = 3
PERMITTED = {"SKERRY_WEBHOOKS__ALLOW_PRIVATE_NETWORKS": "true", "SKERRY_WEBHOOKS__ALLOW_HTTP": "true"}
"""Environment of the service, so that its webhook may lead to the listener."""
URL = "https://example.com/skerry"
"""Where the webhook of the examples leads; told, it leads to a listener on this machine."""
HOST = "https://skerry.example.com"
"""Instead of the machine's own address."""
UNSHOWN = ("openapi", "metrics", "streamEvents")
"""Their answers are long, or go on: the page says what they are."""

_MADE_UP = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z|[0-9a-f]{16,}|[0-9a-f]{8}-[0-9a-f-]{27}|whsec_\S+")
_LARGE = 10_000
"""Numbers from here on are times, or ids of rows."""


@dataclass
class Story:
    """What is told, with whom."""

    dev: Dev
    description: dict[str, Any] = field(init=False)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By operation: the request line, its status, and the answer."""

    def __post_init__(self) -> None:
        self.description = self.dev.client.get("/openapi.json").json()
        self._where = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, methods in self.description["paths"].items()
            for method, operation in methods.items()
        }

    @property
    def operations(self) -> list[str]:
        """All that there are."""
        return list(self._where)

    def ask(self, operation: str, *, query: str = "", change: dict[str, Any] | None = None, **path: str) -> Any:
        """Do an operation with the body of its example, some members changed; the answer has to be a success."""
        method, template, described = self._where[operation]
        where = template.format(**path)
        example = self._example(described)
        body = example | change if change is not None else example
        key = SDK if operation == "reportEvents" else REST
        headers = key | ({"X-netmera-os": "IOS"} if operation in {"getSegments", "getSegmentUsers"} else {})
        sent = {} if body is None else {"json": body}
        answer = self.dev.client.request(method, where + query, headers=headers, **sent)
        assert answer.is_success, f"{operation}: {answer.status_code} {answer.text}"
        found = answer.json() if "json" in answer.headers.get("content-type", "") else None
        if operation not in self.told:
            self.told[operation] = {"request": f"{method} {where}{query}", "status": answer.status_code}
            if operation not in UNSHOWN:
                self.told[operation]["answer"] = found
        return found

    @staticmethod
    def _example(described: dict[str, Any]) -> Any:
        contents = described.get("requestBody", {}).get("content", {})
        return next(iter(contents.values()), {}).get("example")


def tell(dev: Dev, hook: str) -> Story:
    """The whole of it.

    Args:
        dev: a fresh `skerry dev` with three phones, whose webhooks may lead to this machine.
        hook: where the webhook leads.
    """
    story = Story(dev)
    for operation in ("healthz", "readyz", "openapi", "metrics"):
        story.ask(operation)
    story.ask("putWebhook", name="scores", change={"url": hook})
    _users(story)
    _segments(story)
    _drop_in(story)
    _own(story)
    _webhooks(story)
    for operation in ("disablePush", "enablePush", "untagUsers", "deleteUsers", "deleteUsersPermanently"):
        story.ask(operation)
    story.told = json.loads(json.dumps(story.told).replace(hook, URL).replace(dev.url, HOST))
    return story


def _users(story: Story) -> None:
    story.ask("registerUsers")
    for verb in ("set", "push", "pull"):
        story.ask(f"{verb}ProfileAttributes")
    story.ask("getProfileAttributes", query="?extId=user-1")
    for operation in ("unsetProfileAttributes", "deleteProfileAttributeValue", "deleteProfileAttributes", "tagUsers"):
        story.ask(operation)
    story.ask("getDevices", query="?extId=user-1")
    story.ask("getDeviceTokens", query="?max=2")


def _segments(story: Story) -> None:
    story.ask("putSegment", name="vip")
    story.dev.client.put("/v1/segments/staff", headers=REST, json={"audience": {"users": ["user-9"]}})
    story.ask("getSegment", name="vip")
    segments = story.ask("getSegments")
    story.ask("getSegmentUsers", query=f"?id={segments[0]['id']}" if isinstance(segments, list) else "?id=1")
    story.ask("listSegments")
    story.ask("previewAudience")
    story.ask("deleteSegment", name="vip")


def _drop_in(story: Story) -> None:
    dev = story.dev
    bulk = story.ask("sendBulkNotification")
    until(lambda: len(dev.cards("ars-liv-2025")) == PHONES)
    definition = story.ask("createNotificationDefinition")
    message = {"message": {"groupId": "goal-of-the-day"}}
    story.ask("sendNotification", change={"notificationKey": str(definition["notificationKey"]), **message})
    until(lambda: len(dev.cards("goal-of-the-day")) == 1)
    story.ask("update-live-activity")
    until(lambda: {one["content_state"]["homeTeamScore"] for one in dev.cards("ars-liv-2025").values()} == {1})
    story.ask("getPushStats", query=f"?notificationKey={bulk['notificationKey']}")
    story.ask("getPushResult", query=f"?notificationKey={bulk['notificationKey']}&max=1")


def _own(story: Story) -> None:
    dev = story.dev
    answer = dev.client.post("/rest/3.0/tagUsers", headers=REST, json={"tag": ["arsenal"], "extIds": ["user-1"]})
    assert answer.is_success
    story.ask("putActivity", id="arsenal-liverpool", query="?wait=5")
    until(lambda: [one["status"] for one in dev.cards("arsenal-liverpool").values()] == ["live"])
    until(lambda: story.ask("getActivity", id="arsenal-liverpool")["cards"].get("live") == 1)
    story.told.pop("getActivity")
    story.ask("getActivity", id="arsenal-liverpool")
    story.ask("getRevision", id="arsenal-liverpool", n="2")
    story.ask("getCards", id="arsenal-liverpool", query="?limit=1")
    phone = dev.phone(1)["installation_id"]
    story.ask("getTimeline", id="arsenal-liverpool", query=f"?kinds=activity.*,card.*&installation={phone}")
    story.ask("batchActivities")
    change = str(story.ask("schedule", id="arsenal-liverpool")["id"])
    story.ask("listScheduledOf", id="arsenal-liverpool")
    story.ask("listScheduled", query="?state=waiting&limit=10")
    for operation in ("getScheduled", "cancelScheduled"):
        story.ask(operation, id=change)
    story.ask("endActivity", id="arsenal-liverpool", query="?wait=5")
    # These speak for user-1 with a token that APNs does not know, so that they come last.
    story.ask("reportEvents")
    story.ask("fireEvents")


def _webhooks(story: Story) -> None:
    until(lambda: story.ask("listWebhookAttempts", name="scores", query="?limit=1")["attempts"])
    story.told.pop("listWebhookAttempts")
    event = story.ask("listWebhookAttempts", name="scores", query="?limit=1")["attempts"][0]["event_id"]
    story.ask("resendEvent", name="scores", event_id=str(event))
    until(lambda: story.ask("getWebhook", name="scores")["pending"] == 0)
    story.told.pop("getWebhook")
    for operation in ("getWebhook", "listWebhooks", "listDeadLetters", "replayDeadLetters", "rotateWebhookSecret"):
        story.ask(operation, name="scores")
    story.ask("deleteWebhook", name="scores")
    with story.dev.client.stream("GET", "/v1/stream?after=0", headers=REST) as answer:
        assert next(answer.iter_lines())
    story.told["streamEvents"] = {"request": "GET /v1/stream?after=0", "status": answer.status_code}


@contextlib.contextmanager
def listener() -> Iterator[str]:
    """A caller's server that takes every event; yields where it listens."""

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/skerry"
        finally:
            server.shutdown()
            thread.join()


def form(value: Any, name: str = "") -> Any:
    """A told answer without what differs from one day to the next: moments, ids that are made up, durations."""
    if isinstance(value, dict):
        return {key: form(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [form(inner, name) for inner in value]
    if isinstance(value, str):
        return re.sub(r"\d+", "a number", value) if name == "request" else _MADE_UP.sub("made up", value)
    if isinstance(value, int) and (value >= _LARGE or name.endswith(("id", "_ms", "number", "before"))):
        return "a number"
    return value
