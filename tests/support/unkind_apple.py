"""An APNs on a bad day, which keeps a record of what it has lost: nobody else can know that afterwards."""

import json
import random
from collections import Counter
from enum import StrEnum
from typing import Any

from virtual_world import FINE, Apple, Mishap

from skerry.domain.push import Environment, Outcome, Rejected
from skerry.simulator.carrier import Delivery
from skerry.simulator.phone.verdict import Verdict
from skerry.simulator.world import World

Run = tuple[str, int]
"""A group id, and the number of its run: what the attributes of a card say."""


class Fate(StrEnum):
    """Of a push whose sender cannot know it."""

    LOST = "lost"
    """Not answered, and it never arrived."""
    DONE = "done"
    """Not answered, and it has arrived."""
    ASTRAY = "astray"
    """Answered with 200; the token had been replaced, and nothing reached the phone (apple.md 3.6)."""


MISHAPS = (
    Mishap(Outcome.UNKNOWN, arrives=True),
    Mishap(Outcome.UNKNOWN, arrives=False),
    Mishap(Outcome.NOT_PROCESSED, arrives=False),
    Mishap(Outcome.REJECTED, arrives=False, rejected=Rejected(500, "InternalServerError")),
    Mishap(Outcome.REJECTED, arrives=False, rejected=Rejected(503, "Shutdown")),
    Mishap(Outcome.REJECTED, arrives=False, rejected=Rejected(429, "TooManyRequests")),
    Mishap(late=3.0),
    Mishap(late=20.0),
)


class UnkindApple(Apple):
    """Goes wrong as often as `rate` says."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.dice = random.Random(0)
        self.rate = 0.0
        self.starts: Counter[tuple[Fate, str, Run]] = Counter()
        """What became of starts, by phone."""
        self.sent_at: dict[str | None, float] = {}
        """When the starts were that have become cards; some were late."""
        self.changes: Counter[tuple[Fate, str]] = Counter()
        """And of updates and ends, by token or channel."""

    def mishap(self, what: str, whom: str, aps: dict[str, Any]) -> Mishap:
        if not self.rate or self.dice.random() >= self.rate:
            return FINE
        mishap = self.dice.choice(MISHAPS)
        if mishap.late and (what in ("broadcast", "channel") or "input-push-channel" in aps):
            return FINE  # a card that begins to listen after a broadcast has missed it, and nobody could tell
        if mishap.outcome is Outcome.UNKNOWN:
            self._note(Fate.DONE if mishap.arrives else Fate.LOST, what, whom, aps)
        return mishap

    def arrive(self, delivery: Delivery) -> None:
        super().arrive(delivery)
        phone = self.world.holder(delivery.environment, delivery.token)
        aps = json.loads(delivery.body)["aps"]
        if phone is not None and aps["event"] == "start":
            shown = phone.log.records[-1]
            self.sent_at[shown.card_id] = delivery.accepted_at
            if shown.verdict is Verdict.ROTATED_TOKEN:
                self.starts[Fate.ASTRAY, phone.id, _run(aps["attributes"])] += 1

    def forget_start(self, phone: str, attributes: bytes) -> None:
        """The service has died with this start on its way; whether it has arrived, the phone shows."""
        for fate in (Fate.LOST, Fate.DONE):
            self.starts[fate, phone, _run(json.loads(attributes))] += 1

    def _note(self, fate: Fate, what: str, whom: str, aps: dict[str, Any]) -> None:
        phone = self.world.holder(Environment.SANDBOX, whom)
        if what == "start" and phone is not None:
            self.starts[fate, phone.id, _run(aps["attributes"])] += 1
        else:
            self.changes[fate, whom] += 1


def _run(attributes: dict[str, Any]) -> Run:
    return attributes["netmeraGroupId"], attributes["run"]
