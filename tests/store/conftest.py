"""The adapters that every test of the ports runs against, and what such tests put into a store."""

import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from skerry.domain.activity import Activity, Update, update
from skerry.domain.chunk import Chunk, Lane, fresh_verdicts
from skerry.domain.ids import AppId, CardNumber, ChunkId, DeviceId, Millis, RevisionNumber
from skerry.store import migration
from skerry.store.sqlite import SqliteStore, SqliteTransaction

T = TypeVar("T")
APP = AppId(1)
OTHER_APP = AppId(2)


@dataclass
class FakeClock:
    now: int = 1_000_000

    def __call__(self) -> Millis:
        return Millis(self.now)


@dataclass
class Bench:
    """A store and its clock. Rows of other rooms (apps, devices, start tokens) are put in by SQL."""

    store: SqliteStore
    clock: FakeClock
    path: Path
    _devices: int = field(default=0)

    async def write(self, work: Callable[[SqliteTransaction], T]) -> T:
        return await self.store.write(work)

    async def read(self, work: Callable[[SqliteTransaction], T]) -> T:
        return await self.store.read(work)

    async def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return await self.store.write(lambda tx: tx.connection.execute(statement, values).fetchall())

    async def device(self, **columns: Any) -> DeviceId:
        self._devices += 1
        row = {
            "device_id": self._devices,
            "app_id": APP,
            "installation_id": f"installation-{self._devices}",
            "platform": "IOS",
            "created_at": 0,
            "last_active_at": 0,
            **columns,
        }
        await self._insert("devices", row)
        return DeviceId(self._devices)

    async def start_token(
        self, device: DeviceId, token: str, attributes_type: str = "", dead_reason: str | None = None
    ) -> None:
        row = {
            "app_id": APP,
            "device_id": device,
            "attributes_type": attributes_type,
            "token": token,
            "token_time": 0,
            "registered_at": 0,
            "dead_reason": dead_reason,
        }
        await self._insert("start_tokens", row)

    async def activity(self, app_id: AppId = APP) -> Activity:
        return await self.store.write(lambda tx: tx.activities.create(app_id, self.clock()))

    async def update(self, activity: Activity, *, alert: bytes | None = None) -> Activity:
        """One more revision, an update."""
        after, revision = update(activity, Update(b'{"n":1}', alert=alert), self.clock())

        def work(tx: SqliteTransaction) -> None:
            tx.activities.add_revision(revision)
            tx.activities.save(after)

        await self.store.write(work)
        return after

    async def chunk(self, activity: Activity, revision: int, first: int, last: int, **fields: Any) -> Chunk:
        """Store a chunk and read it back, with its id."""
        chunk = make_chunk(activity, revision, first, last, **fields)
        await self.store.write(lambda tx: tx.outbox.add_chunks([chunk]))
        ((chunk_id,),) = await self.sql("SELECT max(chunk_id) FROM chunks")
        found = await self.store.read(lambda tx: tx.outbox.get(ChunkId(chunk_id)))
        assert found is not None
        return found

    async def _insert(self, table: str, row: dict[str, Any]) -> None:
        places = ", ".join("?" * len(row))
        await self.sql(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())


def make_chunk(activity: Activity, revision: int, first: int, last: int, **fields: Any) -> Chunk:
    defaults: dict[str, Any] = {"verdicts": fresh_verdicts(last - first + 1), "lane": Lane.SMALL}
    return Chunk(
        ChunkId(0),
        activity.app_id,
        activity.activity_id,
        RevisionNumber(revision),
        CardNumber(first),
        CardNumber(last),
        **(defaults | fields),
    )


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest migration: copied, since alembic takes a while."""
    path = tmp_path_factory.mktemp("migrated") / "skerry.db"
    migration.upgrade(path)
    return path


@pytest.fixture(params=["sqlite"])
async def bench(request: pytest.FixtureRequest, migrated: Path, tmp_path: Path) -> AsyncIterator[Bench]:
    """Each adapter in turn. Another database joins by one more parameter."""
    clock = FakeClock()
    path = tmp_path / "skerry.db"
    shutil.copy(migrated, path)
    async with await SqliteStore.open(path, clock=clock) as store:
        bench = Bench(store, clock, path)
        for app_id in (APP, OTHER_APP):
            await bench.sql(
                "INSERT INTO apps (app_id, name, bundle_id, environment, endpoints, created_at) "
                "VALUES (?, ?, 'com.example', 'production', '{}', 0)",
                app_id,
                f"app-{app_id}",
            )
        yield bench
