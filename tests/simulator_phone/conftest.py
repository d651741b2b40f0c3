"""One phone on a desk: `desk.start(...)`, `desk.update(...)`, with a clock that only moves when told."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from skerry.domain.push import Environment
from skerry.simulator.carrier import Delivery
from skerry.simulator.clock import FrozenClock
from skerry.simulator.phone.card import Card
from skerry.simulator.phone.handset import Handset
from skerry.simulator.phone.phone import Phone
from skerry.simulator.phone.rules import PhoneRules
from skerry.simulator.phone.swift_types import AttributesType
from skerry.simulator.phone.verdict import PushRecord

BUNDLE = "com.example.skerry"

UPLOAD = {
    "name": "LiveActivityAttributes",
    "attributes": {"referenceId": "String", "category": "String?", "netmeraGroupId": "String?"},
    "content_state": {"title": "String", "subtitle": "String", "progress": "Double", "eta": "Date?", "count": "Int?"},
}
ALERT = {"title": "Upload", "body": "It has begun"}


class Desk:
    """A phone, its clock, and a hand that stamps pushes one second apart."""

    def __init__(self, os_version: str = "18.1", typed: bool = True, user: str | None = "user-1", **rules: Any) -> None:
        self.clock = FrozenClock()
        known = AttributesType.declared(UPLOAD)
        handset = Handset("phone-1", Environment.SANDBOX, BUNDLE, os_version)
        types = {known.name: known} if typed else None
        self.phone = Phone(handset, user, self.now, types=types, rules=PhoneRules(**rules))
        self.stamp = int(self.now)
        self.pushes = 0

    @property
    def now(self) -> float:
        return self.clock.now()

    @property
    def card(self) -> Card:
        return self.phone.cards[-1]

    def send(
        self,
        token: str | None,
        body: bytes | dict[str, Any],
        *,
        priority: int = 10,
        expiration: int | None = None,
        push_type: str = "liveactivity",
    ) -> PushRecord:
        self.pushes += 1
        text = body if isinstance(body, bytes) else json.dumps({"aps": body}).encode()
        delivery = Delivery(
            environment=Environment.SANDBOX,
            token=token or "80" * 80,
            apns_id=f"push-{self.pushes}",
            topic=f"{BUNDLE}.push-type.liveactivity",
            push_type=push_type,
            priority=priority,
            expiration=expiration,
            body=text,
            accepted_at=self.now,
        )
        return self.phone.receive(delivery, self.now)

    def next_stamp(self) -> int:
        self.stamp += 1
        return self.stamp

    def aps(self, kind: str, /, **changes: Any) -> dict[str, Any]:
        """The aps of a good push; keyword arguments change keys (`_` for `-`), `...` removes one."""
        aps: dict[str, Any] = {"timestamp": self.next_stamp(), "event": kind}
        if kind == "start":
            aps |= {
                "attributes-type": "LiveActivityAttributes",
                "attributes": {"referenceId": "upload-456", "category": "upload"},
                "content-state": {"title": "Uploading", "subtitle": "Almost there", "progress": 0.7},
                "alert": ALERT,
                "input-push-token": 1,
            }
        if kind == "update":
            aps["content-state"] = {"title": "Uploading", "subtitle": "Nearly", "progress": 0.9}
        aps |= {key.replace("_", "-"): value for key, value in changes.items()}
        return {key: value for key, value in aps.items() if value is not ...}

    def start(self, **changes: Any) -> PushRecord:
        return self.send(self.phone.start_token, self.aps("start", **changes))

    def update(self, **changes: Any) -> PushRecord:
        return self.send(self.card.update_token, self.aps("update", **changes))

    def end(self, **changes: Any) -> PushRecord:
        return self.send(self.card.update_token, self.aps("end", **changes))

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.phone.tick(self.now)

    def reports(self) -> list[tuple[str, str | None]]:
        """What leaves the phone now: (event name, token or group id)."""
        return [(r.kind.value, r.token or r.group_id) for r in self.phone.take_reports(self.now)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def new_desk() -> Callable[..., Desk]:
    return Desk


@pytest.fixture
def upload_type() -> dict[str, Any]:
    return UPLOAD
