"""Opening a database: made, migrated, locked, or refused with the reason."""

import asyncio
import os
import re
import sqlite3
import stat
from contextlib import closing

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from skerry.store import migration
from skerry.store.errors import StoreInUseError, StoreOutdatedError, StoreTooNewError, StoreUnusableError
from skerry.store.schema import metadata
from skerry.store.sqlite import SqliteStore, lock


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 0.0)


def _schema(path) -> set[tuple[str, str]]:
    """Names and statements, the words of each sorted: the order of a table's constraints means nothing."""
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic_%' "
            "AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
    finally:
        connection.close()
    return {(name, " ".join(sorted(re.findall(r"[^\s,()]+", sql)))) for name, sql in rows}


def _migrated(path, way, number) -> None:
    engine = migration.engine_for(path)
    try:
        with engine.begin() as connection:
            configuration = migration.alembic_config()
            configuration.attributes["connection"] = connection
            way(configuration, number)
    finally:
        engine.dispose()


async def test_directory_and_database_are_made_for_their_owner_only(tmp_path):
    path = tmp_path / "data" / "deep" / "skerry.db"
    async with await SqliteStore.open(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.with_name("skerry.db-wal").stat().st_mode) == 0o600


async def test_commits_are_synced_and_keys_are_enforced(bench):
    read = lambda pragma: bench.write(lambda tx: tx.connection.execute(f"PRAGMA {pragma}").fetchone()[0])  # noqa: E731
    assert await read("journal_mode") == "wal"
    assert await read("synchronous") == 2
    assert await read("foreign_keys") == 1


async def test_a_second_service_is_refused_and_told_who_holds_it(tmp_path):
    path = tmp_path / "skerry.db"
    async with await SqliteStore.open(path):
        with pytest.raises(StoreInUseError, match=f"process {os.getpid()}"):
            await SqliteStore.open(path)
    async with await SqliteStore.open(path):
        pass


async def test_a_tool_reads_and_writes_beside_the_service(bench):
    async with await SqliteStore.open(bench.path, exclusive=False) as tool:
        activity = await tool.write(lambda tx: tx.activities.create(1, 5))
        assert await bench.read(lambda tx: tx.activities.get(activity.activity_id)) == activity
        await asyncio.gather(*[s.write(lambda tx: tx.activities.create(1, 5)) for s in (tool, bench.store) * 20])
    assert await bench.sql("SELECT count(*) FROM activities") == [(41,)]


async def test_a_tool_may_be_the_first_to_open(tmp_path):
    path = tmp_path / "skerry.db"
    async with await SqliteStore.open(path, exclusive=False):
        pass
    assert migration.is_current(path)


async def test_a_tool_does_not_migrate_under_a_running_service(tmp_path, migrated):
    path = tmp_path / "skerry.db"
    async with await SqliteStore.open(path) as store:
        await store.write(lambda tx: tx.connection.execute("UPDATE alembic_version SET version_num = '0000'"))
        with pytest.raises(StoreOutdatedError, match="restart that service"):
            await SqliteStore.open(path, exclusive=False)


@pytest.mark.parametrize("exclusive", [True, False])
async def test_a_database_of_a_later_release_is_refused(tmp_path, exclusive):
    path = tmp_path / "skerry.db"
    async with await SqliteStore.open(path) as store:
        await store.write(lambda tx: tx.connection.execute("UPDATE alembic_version SET version_num = '9999'"))
    for _ in range(2):  # the lock is let go of after the refusal
        with pytest.raises(StoreTooNewError, match="9999"):
            await SqliteStore.open(path, exclusive=exclusive)


async def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "skerry.db"
    path.write_text("this is not a database, and it is long enough to have a header of one hundred bytes " * 3)
    with pytest.raises(StoreUnusableError, match="not a database"):
        await SqliteStore.open(path)


async def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "skerry.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE apps (x)")
    connection.close()
    with pytest.raises(StoreUnusableError, match="not a database of Skerry"):
        await SqliteStore.open(path)
    assert {name for name, _ in _schema(path)} == {"apps"}


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "skerry.db"

    def upgrade_and_fail(configuration, revision):
        configuration.attributes["connection"].exec_driver_sql("CREATE TABLE half (x)")
        raise LookupError

    monkeypatch.setattr(command, "upgrade", upgrade_and_fail)
    with pytest.raises(LookupError):
        migration.upgrade(path)
    assert _schema(path) == set()


def test_the_newest_migration_is_the_head_this_release_names():
    scripts = ScriptDirectory.from_config(migration.alembic_config())
    assert scripts.get_heads() == [migration.HEAD]
    assert all(script.revision.isdigit() and len(script.revision) == 4 for script in scripts.walk_revisions())


def test_revisions_and_leases_outlive_the_rebuilding_of_their_tables(tmp_path):
    path = tmp_path / "skerry.db"
    _migrated(path, command.upgrade, "0010")
    with closing(sqlite3.connect(path)) as before:
        before.executescript(
            """
            INSERT INTO apps (app_id, name, bundle_id, environment, endpoints, created_at)
            VALUES (1, 'shop', 'com.example', 'production', '{}', 0);
            INSERT INTO activities (
                activity_id, app_id, phase, named, newest, newest_state, end_revision, last_timestamp, first_card,
                next_card, created_at
            ) VALUES (1, 1, 1, 1, 2, 2, 0, 0, 1, 2, 0);
            INSERT INTO revisions (
                activity_id, number, kind, timestamp, created_at, state, attributes, attributes_type, alert, priority,
                stale_date, dismissal_date, expiration, notification_key, relevance, settled_at
            ) VALUES (1, 2, 2, 3, 4, x'05', x'06', 't', x'07', 8, 9, 10, 11, 12, 13.5, 14), (
                1, 1, 1, 2, 3, NULL, NULL, NULL, NULL, 5, NULL, NULL, NULL, NULL, NULL, NULL);
            INSERT INTO chunks (
                app_id, activity_id, revision, first, last, verdicts, state, lane, due_at, attempt, floor, lease_owner,
                lease_until, created_at
            ) VALUES (1, 1, 2, 1, 1, x'00', 2, 1, 0, 0, 0, 'me', 7, 0);
            """
        )
        found = before.execute("SELECT * FROM revisions ORDER BY number")
        columns, rows = ", ".join(one[0] for one in found.description), found.fetchall()
    for target, number in ((command.upgrade, "0011"), (command.downgrade, "0010"), (command.upgrade, "0011")):
        _migrated(path, target, number)
        with closing(sqlite3.connect(path)) as after:
            assert after.execute(f"SELECT {columns} FROM revisions ORDER BY number").fetchall() == rows
            assert after.execute("SELECT state, lease_owner FROM chunks").fetchall() == [(2, "me")]
            assert after.execute("PRAGMA foreign_key_check").fetchall() == []


def test_alembic_finds_no_difference_between_migrations_and_tables(migrated):
    engine = migration.engine_for(migrated)
    try:
        with engine.begin() as connection:
            configuration = migration.alembic_config()
            configuration.attributes["connection"] = connection
            try:
                command.check(configuration)
            except CommandError as difference:
                pytest.fail(str(difference))
    finally:
        engine.dispose()


def test_migrations_make_exactly_the_tables_of_the_schema(migrated, tmp_path):
    """Beyond `alembic check`, which sees neither STRICT, nor WITHOUT ROWID, nor the conditions of partial indexes."""
    path = tmp_path / "direct.db"
    engine = migration.engine_for(path)
    with engine.begin() as connection:
        metadata.create_all(connection)
    engine.dispose()
    assert _schema(migrated) == _schema(path)
    tables = [sql.split() for _, sql in _schema(migrated) if "TABLE" in sql.split()]
    assert len(tables) == len(metadata.tables)
    assert all("STRICT" in words for words in tables)


def test_all_migrations_can_be_taken_back(tmp_path):
    path = tmp_path / "skerry.db"
    migration.upgrade(path)
    engine = migration.engine_for(path)
    with engine.begin() as connection:
        configuration = migration.alembic_config()
        configuration.attributes["connection"] = connection
        command.downgrade(configuration, "base")
    engine.dispose()
    assert _schema(path) == set()
