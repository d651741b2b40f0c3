"""`python -m bench.audience_preview`: how long a preview takes over a million devices, and whether it is in the way.

The store is the service's own; its rows are written by SQL, because a million reports would take an hour. Nine of ten
devices have a user, in no order; a user has up to six tags and four attributes; a device was somewhere near one of 200
towns; eight of ten can be started. Each question is asked through the service's own room (`registry.audiences`) beside
a caller who reads one row every few milliseconds: how long those reads take says whether a preview is in the way.
"""

import asyncio
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import machine
from skerry.app import now
from skerry.domain import audience_json
from skerry.domain.audience import (
    Audience,
    ProfileCondition,
    ProfileGroup,
    Quantifier,
    Segment,
    SegmentCondition,
    TagCondition,
)
from skerry.domain.ids import AppId
from skerry.domain.location import Circle, place
from skerry.domain.rollout import Rollout
from skerry.registry.audiences import Audiences
from skerry.store import migration
from skerry.store.sqlite.database import SqliteStore
from skerry.store.sqlite.transaction import SqliteTransaction

APP = AppId(1)
TYPE = "MatchAttributes"
TAGS = {"gold": 0.01, "red": 0.1, "blue": 0.3, "news": 0.5, "consent": 0.8, "rare": 0.0001}
"""Share of users with each tag."""
CITIES = 50
TOWNS = 200
NOT_VIP = (False,)
READ_EVERY = 0.002
"""Seconds between two reads of the neighbour."""
ALL, ANY, NONE = Quantifier.ALL, Quantifier.ANY, Quantifier.NONE


def tags(quantifier: Quantifier, *names: str) -> Audience:
    return Audience(tags=TagCondition(quantifier, names))


def profile(attribute: str, *values: str | int | bool) -> ProfileGroup:
    return ProfileGroup(ALL, (ProfileCondition(attribute, values),))


def segment(*names: str) -> SegmentCondition:
    return SegmentCondition(ANY, tuple(map(Segment, names)))


def questions(towns: Sequence[tuple[float, float]]) -> dict[str, Audience]:
    near = Circle(*towns[0], 20)
    return {
        "everyone": Audience(everyone=True),
        "10 % of everyone": Audience(everyone=True, rollout=Rollout(1000, "spring")),
        "a tag of 0.01 %": tags(ANY, "rare"),
        "a tag of 10 %": tags(ANY, "red"),
        "a tag of 80 %": tags(ANY, "consent"),
        "without a tag of 10 %": tags(NONE, "red"),
        "two tags, without a third": Audience(tags=TagCondition(ALL, ("consent", "news")), exclude=tags(ANY, "red")),
        "one city of 50": Audience(profile=profile("city", "city-7")),
        "one city, and a tag": Audience(tags=TagCondition(ANY, ("news",)), profile=profile("city", "city-7")),
        "a boolean that 90 % have": Audience(profile=profile("vip", *NOT_VIP)),
        "a segment, without another": Audience(segments=segment("fans"), exclude=Audience(segments=segment("staff"))),
        "20 km around a place": Audience(location=near),
        "1,000 users": Audience(ext_ids=tuple(f"user-{number}" for number in range(1, 1001))),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser(prog="python -m bench.audience_preview", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, default=1_000_000, help="how many there are (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="of each question (default: %(default)s)")
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="skerry-audiences-") as directory:
        path = Path(directory) / "skerry.db"
        began = time.perf_counter()
        towns = populate(path, wanted.devices)
        say(f"{wanted.devices:,} devices in {time.perf_counter() - began:.0f} s, {path.stat().st_size / 1e6:,.0f} MB")
        lines = asyncio.run(ask(path, questions(towns), wanted.runs))
    about = machine.describe()
    print(f"\n{wanted.devices:,} devices, {wanted.runs} runs; {about['processor']}, SQLite {about['SQLite']}\n")
    print("| audience | devices | startable | median | slowest | longest read beside it |\n|---|--:|--:|--:|--:|--:|")
    print("\n".join(lines))


async def ask(path: Path, asked: dict[str, Audience], runs: int) -> list[str]:
    lines = []
    async with await SqliteStore.open(path, clock=now) as store:
        audiences: Audiences[SqliteTransaction] = Audiences(store, clock=now)
        for name, audience in asked.items():
            say(name)
            seconds, reads = [], [0.0]
            beside = asyncio.create_task(read_beside(store, reads))
            for _ in range(runs):
                began = time.perf_counter()
                found = await audiences.preview(APP, audience, TYPE, None)
                seconds.append(time.perf_counter() - began)
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)
            lines.append(
                f"| {name} | {found.matched:,} | {found.startable:,} | {statistics.median(seconds):.2f} s"
                f" | {max(seconds):.2f} s | {max(reads) * 1000:.0f} ms |"
            )
    return lines


async def read_beside(store: SqliteStore, seconds: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await store.read(lambda tx: tx.segments.find(APP, "fans"))
        seconds.append(time.perf_counter() - began)
        await asyncio.sleep(READ_EVERY)


def populate(path: Path, devices: int) -> list[tuple[float, float]]:
    """Fill a new database; the towns that its devices are near."""
    migration.upgrade(path)
    dice = random.Random(7)
    towns = [(dice.uniform(-40, 60), dice.uniform(-180, 180)) for _ in range(TOWNS)]
    users = range(1, devices * 9 // 10 + 1)
    connection = sqlite3.connect(path, isolation_level=None)
    execute, insert = connection.execute, connection.executemany
    execute("PRAGMA journal_mode = WAL")
    execute("PRAGMA synchronous = OFF")
    execute("BEGIN")
    execute(
        "INSERT INTO apps (app_id, name, bundle_id, environment, endpoints, created_at)"
        " VALUES (1, 'bench', 'com.example', 'production', '{}', 0)"
    )
    insert(
        "INSERT INTO users (user_id, app_id, ext_id, profile, created_at) VALUES (?, 1, ?, ?, 0)",
        ((user, f"user-{user}", described(dice)) for user in users),
    )
    for tag, share in TAGS.items():
        chosen = ((tag, user) for user in users if dice.random() < share)
        insert("INSERT INTO user_tags (app_id, tag, user_id) VALUES (1, ?, ?)", chosen)
    insert(
        "INSERT INTO devices (device_id, app_id, installation_id, user_id, platform, environment, push_token,"
        " os_version, app_version, model, secret_hash, created_at, last_active_at)"
        " VALUES (?, 1, ?, ?, ?, ?, ?, ?, '5.1.0', 'iPhone17,1', zeroblob(32), 0, 0)",
        installations(dice, devices, users),
    )
    insert(
        "INSERT INTO start_tokens (app_id, device_id, attributes_type, token, token_time, registered_at, dead_reason)"
        " VALUES (1, ?, ?, ?, 0, 0, ?)",
        start_tokens(dice, devices),
    )
    insert("INSERT INTO device_locations (device_id, app_id, x, y, z, located_at) VALUES (?, 1, ?, ?, ?, 0)",
           places(dice, devices, towns))  # fmt: skip
    fans = Audience(tags=TagCondition(ANY, ("red", "blue")), profile=profile("city", "city-1", "city-2", "city-3"))
    for name, audience in (("fans", fans), ("staff", tags(ANY, "gold"))):
        execute(
            "INSERT INTO segments (app_id, name, audience, created_at, updated_at) VALUES (1, ?, ?, 0, 0)",
            (name, audience_json.encode(audience)),
        )
    execute("COMMIT")
    connection.close()
    return towns


def described(dice: random.Random) -> str:
    profile = {
        "city": f"city-{dice.randrange(CITIES)}",
        "age": dice.randrange(18, 80),
        "vip": dice.random() < 0.1,
        "teams": dice.sample(["a", "b", "c", "d", "e", "f"], 2),
    }
    return json.dumps(profile, separators=(",", ":"))


def installations(dice: random.Random, devices: int, users: range) -> Iterator[tuple[object, ...]]:
    owners = list(users)
    dice.shuffle(owners)
    for device in range(1, devices + 1):
        user = owners[device - 1] if device <= len(owners) else None
        platform = "IOS" if dice.random() < 0.95 else "ANDROID"
        environment = "production" if dice.random() < 0.8 else None
        version = "18.1" if dice.random() < 0.6 else "17.0"
        name = f"installation-{dice.getrandbits(96):024x}-{device}"
        yield device, name, user, platform, environment, hexadecimal(dice), version


def start_tokens(dice: random.Random, devices: int) -> Iterator[tuple[object, ...]]:
    for device in range(1, devices + 1):
        chance = dice.random()
        if chance < 0.9:
            dead = "Unregistered" if dice.random() < 0.05 else None
            yield device, "" if chance < 0.85 else TYPE, hexadecimal(dice) * 2, dead


def places(
    dice: random.Random, devices: int, towns: Sequence[tuple[float, float]]
) -> Iterator[tuple[int, int, int, int]]:  # fmt: skip
    for device in range(1, devices + 1):
        latitude, longitude = dice.choice(towns)
        spot = place(latitude + dice.gauss(0, 0.3), longitude + dice.gauss(0, 0.3))
        yield device, spot.x, spot.y, spot.z


def hexadecimal(dice: random.Random) -> str:
    return f"{dice.getrandbits(320):080x}"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
