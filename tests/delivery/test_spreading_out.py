"""A start is spread out over its audience in slices: bounded in what they look at, and as fast as its pace allows."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skerry.delivery.planner import Planner
from skerry.domain import activity as rules
from skerry.domain.activity import Start
from skerry.domain.audience import Audience, Quantifier, TagCondition
from skerry.domain.commands import Pace
from skerry.domain.ids import ActivityId, AppId, Millis
from skerry.store.sqlite.database import SqliteStore
from skerry.store.sqlite.transaction import SqliteTransaction

APP = AppId(1)
SLICE = 4
START = Start("Match", b"{}", b"{}", b'{"title": "t", "body": "b"}')
RARE = Audience(tags=TagCondition(Quantifier.ANY, ("rare",)))


@dataclass
class House:
    """Twenty devices that can be started, each of a user; the 3rd, the 11th and the 20th have a rare tag."""

    store: SqliteStore
    clock: list[int]
    planner: Planner = field(init=False)

    def __post_init__(self) -> None:
        self.planner = Planner(clock=lambda: Millis(self.clock[0]), wake=lambda: None, slice_size=SLICE)

    async def start(self, audience: Audience, pace: Pace = Pace()) -> ActivityId:  # noqa: B008 - frozen
        def work(tx: SqliteTransaction) -> ActivityId:
            activity, revision = rules.start(tx.activities.create(APP, Millis(0)), START, Millis(self.clock[0]))
            tx.activities.add_revision(revision)
            tx.activities.save(activity)
            self.planner.plan_start(tx, activity, revision, audience, pace)
            return activity.activity_id

        return await self.store.write(work)

    async def cards(self, activity: ActivityId) -> list[int]:
        select = "SELECT device_id FROM cards WHERE activity_id = ? ORDER BY number"
        rows = await self.store.read(lambda tx: tx.connection.execute(select, (activity,)).fetchall())
        return [row[0] for row in rows]

    async def spread(self) -> int:
        """Every slice that is due now; how many that were."""
        slices = 0
        while await self.planner.spread_due(self.store):
            slices += 1
        return slices


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with await SqliteStore.open(tmp_path / "skerry.db") as store:

        def fill(tx: SqliteTransaction) -> None:
            execute = tx.connection.execute
            execute(
                "INSERT INTO apps (app_id, name, bundle_id, environment, endpoints, created_at)"
                " VALUES (1, 'a', 'b', 'production', '{}', 0)"
            )
            for number in range(1, 21):
                execute("INSERT INTO users (user_id, app_id, ext_id, created_at) VALUES (?1, 1, ?1, 0)", (number,))
                execute(
                    "INSERT INTO devices (device_id, app_id, installation_id, user_id, platform, created_at,"
                    " last_active_at) VALUES (?1, 1, ?1, ?1, 'IOS', 0, 0)",
                    (number,),
                )
                execute(
                    "INSERT INTO start_tokens (app_id, device_id, attributes_type, token, token_time, registered_at)"
                    " VALUES (1, ?1, '', ?1, 0, 0)",
                    (number,),
                )
            for number in (3, 11, 20):
                execute("INSERT INTO user_tags (app_id, tag, user_id) VALUES (1, 'rare', ?)", (number,))

        await store.write(fill)
        yield House(store, [1_000_000])


async def test_a_slice_looks_at_so_many_devices_however_few_of_them_match(house: House) -> None:
    activity = await house.start(RARE)
    assert await house.cards(activity) == [3]
    assert await house.planner.spread_due(house.store)
    assert await house.cards(activity) == [3]
    assert await house.planner.spread_due(house.store)
    assert await house.cards(activity) == [3, 11]
    await house.spread()
    assert await house.cards(activity) == [3, 11, 20]
    assert await house.store.read(lambda tx: tx.outbox.next_plan_due()) is None


async def test_a_start_for_everybody_reaches_each_device_once(house: House) -> None:
    activity = await house.start(Audience(everyone=True))
    assert await house.spread() == 5  # four more of four, and one that finds nobody
    assert await house.cards(activity) == list(range(1, 21))


@pytest.mark.parametrize(("package", "reached"), [(3, [3, 6, 9]), (4, [4, 8, 12]), (10, [10, 20, 20])])
async def test_a_package_goes_out_whole_even_where_it_is_larger_than_a_slice(house: House, package, reached) -> None:
    activity = await house.start(Audience(everyone=True), Pace(package=package, interval=Millis(60_000)))
    for number in reached:
        await house.spread()
        assert len(await house.cards(activity)) == number
        assert not await house.planner.spread_due(house.store)
        house.clock[0] += 60_000


async def test_devices_that_do_not_match_take_no_room_in_a_package(house: House) -> None:
    activity = await house.start(RARE, Pace(package=2, interval=Millis(60_000)))
    await house.spread()
    assert await house.cards(activity) == [3, 11]
    house.clock[0] += 60_000
    await house.spread()
    assert await house.cards(activity) == [3, 11, 20]


async def test_named_devices_are_found_within_the_request(house: House) -> None:
    activity = await house.start(Audience(ext_ids=("20", "1")))
    assert await house.cards(activity) == [1, 20]
    assert await house.store.read(lambda tx: tx.outbox.next_plan_due()) is None
