"""A store of its own for every test."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.store import migration
from skerry.store.sqlite import SqliteStore


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest migration: copied, since alembic takes a while."""
    path = tmp_path_factory.mktemp("migrated") / "skerry.db"
    migration.upgrade(path)
    return path


@pytest.fixture
async def store(migrated: Path, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """With two apps in it."""
    path = tmp_path / "skerry.db"
    shutil.copy(migrated, path)
    async with await SqliteStore.open(path) as one:
        for app_id in (1, 2):
            statement = (
                "INSERT INTO apps (app_id, name, bundle_id, environment, endpoints, created_at)"
                f" VALUES ({app_id}, 'app-{app_id}', 'com.example', 'production', '{{}}', 0)"
            )
            await one.write(lambda tx, statement=statement: tx.connection.execute(statement))  # type: ignore[misc]
        yield one
