"""The courier's way and the general way come to the same: rows, pushes, verdicts and events of the same history.

The courier's way is all that single updates and batches go through: rounds, parcels from the commit to the wire, one
settlement for many. The general way is what everything else goes through.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from virtual_world import Apple, VirtualService, virtual_service

from skerry.activities.batch import Batches
from skerry.activities.rounds import Rounds
from skerry.domain.activity import End, Update
from skerry.domain.desired import Desired, Policies, Priority
from skerry.domain.device import DeviceEvent, DeviceEventKind, DeviceReport
from skerry.domain.ids import GroupId, Seconds
from skerry.domain.line import Line, LineOutcome
from skerry.domain.parcel import Planned
from skerry.domain.push import Environment, Outcome, Outcomes, PushBatch, Rejected, Route
from skerry.domain.verdict import Verdict
from skerry.simulator.world import World
from skerry.store.sqlite.parcels import ParcelRecords
from skerry.store.sqlite.transaction import SqliteTransaction

GROUPS = [GroupId(f"order-{number}") for number in range(10)]
NAMES = [*GROUPS, GroupId("nobody")]
DEVICES = 14
STEPS = 60

TABLES = {
    "activities": "SELECT * FROM activities ORDER BY activity_id",
    "revisions": """
        SELECT activity_id, number, kind, timestamp, created_at, state, attributes, attributes_type, alert, priority,
            stale_date, dismissal_date, expiration, notification_key, relevance, settled_at
        FROM revisions ORDER BY activity_id, number
    """,
    "cards": "SELECT * FROM cards ORDER BY activity_id, number",
    "chunks": """
        SELECT activity_id, revision, first, last, hex(verdicts), state, lane, attempt, floor, created_at, settled_at,
            lease_owner, iif(state = 3, NULL, due_at)
        FROM chunks ORDER BY activity_id, revision, first, attempt
    """,
    "desired": """
        SELECT activity_id, hex(digest), audience, policies, version, alerted_at, revised_at, pushed_at, start,
            round(spent, 6), spent_at
        FROM desired ORDER BY activity_id
    """,
    "devices": "SELECT * FROM devices ORDER BY device_id",
    "rejections": "SELECT * FROM rejections ORDER BY activity_id, revision, number",
    "timers": "SELECT kind, activity_id, subject, due_at FROM timers ORDER BY 1, 2, 3",
    "events": "SELECT at, kind, app_id, activity_id, card, device_id, body FROM events ORDER BY 1, 2, 3, 4, 5, 6, 7",
}
"""Without the ids of chunks and events: in which order equals are written is nobody's business."""

REFUSALS = [
    Rejected(410, "Unregistered", invalid_since=None),
    Rejected(400, "BadDeviceToken"),
    Rejected(413, "PayloadTooLarge"),
    Rejected(503, "ServiceUnavailable"),
    Rejected(429, "TooManyRequests"),
    Rejected(500, "InternalServerError"),
]


@dataclass(frozen=True)
class Push:
    token: str
    body: bytes
    priority: int
    expiration: int | None
    environment: str
    urgent: bool
    outcome: Outcome


class Wire(Apple):
    """Takes three pushes in four; what happens to the others is drawn by token, text and how often it has come."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.pushes: list[Push] = []
        self.had: Counter[tuple[str, str]] = Counter()

    async def send(self, route: Route, batch: PushBatch, outcomes: Outcomes | None = None) -> Outcomes:
        await asyncio.sleep(0)
        outcomes = outcomes or Outcomes(bytearray(len(batch.tokens)))
        for place, token in enumerate(batch.tokens):
            aps = json.loads(batch.body_of(place))["aps"]
            # An older alert shows the newest state as well: with that state alone, who is sent first would count.
            shown = f"{aps.get('content-state')} {aps.get('alert')}"
            self.had[token, shown] += 1
            dice = random.Random(f"{token} {shown} {self.had[token, shown]}")
            fate = dice.choices(
                [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NOT_PROCESSED, Outcome.UNKNOWN], [9, 1, 1, 1]
            )[0]
            if fate is Outcome.REJECTED:
                outcomes.rejections[place] = dice.choice(REFUSALS)
            outcomes.codes[place] = fate
            self.pushes.append(
                Push(
                    token,
                    batch.body_of(place),
                    batch.priority,
                    batch.expiration,
                    route.endpoint.host,
                    batch.urgent,
                    fate,
                )
            )
        return outcomes


async def play(service: VirtualService, seed: int) -> list[Any]:
    """A history. What is done at the same time concerns different activities: there the order is left to chance."""
    dice = random.Random(seed)
    told: list[Any] = []
    for device in range(DEVICES):
        await report(service, dice, device, token=dice.randrange(1 << 64))
        await service.quiet()
    for step in range(STEPS):
        match dice.choices(["update", "batch", "put", "token", "close", "end", "time"], [8, 8, 1, 3, 1, 1, 4])[0]:
            case "update":
                chosen = dice.sample(GROUPS, dice.randint(1, len(GROUPS)))
                commands = [(group, an_update(dice, step)) for group in chosen]
                known = await asyncio.gather(*(service.activities.update(service.app_id, *one) for one in commands))
                told.append(dict(zip(chosen, known, strict=True)))
            case "batch":
                lines = [a_line(dice, step, name) for name in dice.sample(NAMES, dice.randint(1, len(NAMES)))]
                told.append(await service.batches.carry_out(service.app_id, lines, as_text))
            case "put":
                desired = Desired(dice.choice(GROUPS), b'{"put":%d}' % step, policies=Policies(frequent=True))
                await service.desired.put(service.app_id, desired)
            case "token":
                await report(service, dice, dice.randrange(DEVICES), token=dice.randrange(1 << 64))
            case "close":
                await report(service, dice, dice.randrange(DEVICES), token=None)
            case "end":
                await service.activities.end(
                    service.app_id, dice.choice(GROUPS), End(b'{"over":true}', dismissal_date=Seconds(1_790_000_000))
                )
            case "time":
                await service.pass_time(dice.choice([0.5, 3.0, 20.0, 61.0]))
        await service.quiet()
    await service.pass_time(9 * 3600.0)
    return told


def an_update(dice: random.Random, step: int) -> Update:
    return Update(
        json.dumps({"step": step, "x": dice.random()}).encode(),
        priority=dice.choice([5, 10]),
        alert=b'{"title":"T%d","body":"B"}' % step if dice.random() < 0.2 else None,
        stale_date=Seconds(1_800_000_000) if dice.random() < 0.2 else None,
        relevance=dice.choice([None, None, 0.5, 75.0]),
    )


def a_line(dice: random.Random, step: int, group: GroupId) -> Line:
    if dice.random() < 0.05:
        return Line(group, b"{}", version=dice.choice([None, step]), end=End(b'{"over":1}'))
    return Line(
        group,
        json.dumps({"step": dice.choice([step, step, 0])}).encode(),
        alert=b'{"title":"T%d","body":"B"}' % step if dice.random() < 0.2 else None,
        priority=dice.choice(list(Priority)),
        important=dice.random() < 0.1,
        relevance=dice.choice([None, None, 0.5, 75.0]),
        stale_at=Seconds(1_800_000_000) if dice.random() < 0.2 else None,
        version=dice.choice([None, None, None, step, step, step - 2]),
    )


def as_text(outcomes: Sequence[LineOutcome]) -> str:
    return str([(one.result, one.revision, str(one.error)) for one in outcomes])


async def report(service: VirtualService, dice: random.Random, device: int, token: int | None) -> None:
    """A phone's update token, perhaps of a card that it has already; None: a close.

    A phone keeps to its group: what two pushes at a time teach about its environment would depend on their order.
    """
    group = GROUPS[device % len(GROUPS)]
    kind = DeviceEventKind.CLOSE if token is None else DeviceEventKind.UPDATE_TOKEN
    text = None if token is None else f"80{token:062x}"
    await service.registry.report(
        service.app_id,
        DeviceReport(
            f"installation-{device}",
            (DeviceEvent(kind, service.now(), token=text, group_id=group),),
            environment=dice.choice([None, *Environment]),
            platform="IOS",
        ),
    )


@dataclass
class Story:
    """What a history has left behind."""

    tables: dict[str, list[Any]]
    pushes: list[Push]
    verdicts: Counter[Verdict]
    known: list[Any]
    """What callers were told."""


async def told(directory: Path, seed: int) -> Story:
    async with virtual_service(directory, Wire) as service:
        known = await play(service, seed)
        await service.sender.finish(5.0)  # what is on disk is counted a moment later

        def work(tx: SqliteTransaction) -> dict[str, list[Any]]:
            return {name: tx.connection.execute(text).fetchall() for name, text in TABLES.items()}

        wire = cast("Wire", service.apple)
        return Story(await service.store.read(work), wire.pushes, service.sender.tally.verdicts, known)


def the_general_way_only(patch: pytest.MonkeyPatch) -> None:
    async def declined(*_: Any) -> bool:
        return False

    patch.setattr(Rounds, "update", declined)
    patch.setattr(ParcelRecords, "read", lambda *_: [])
    patch.setattr(Batches, "_together", lambda *_: Planned((), waiting=False))


async def compare(directory: Path, seed: int) -> Story:
    courier = await told(directory / "courier", seed)
    with pytest.MonkeyPatch.context() as patch:
        the_general_way_only(patch)
        general = await told(directory / "general", seed)
    for name in TABLES:
        assert courier.tables[name] == general.tables[name], name
    # In which order is left to chance, within a moment.
    assert Counter(courier.pushes) == Counter(general.pushes)
    assert courier.verdicts == general.verdicts
    assert courier.known == general.known
    return courier


@pytest.mark.parametrize("seed", [1, 2])
async def test_both_ways_come_to_the_same(seed: int, tmp_path: Path) -> None:
    await compare(tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
async def test_both_ways_come_to_the_same_forty_times(seed: int, tmp_path: Path) -> None:
    await compare(tmp_path, seed)
