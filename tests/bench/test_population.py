"""Cards that are made in bulk are the ones that the registry would have made."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bench.bodies import MATCH
from bench.service import new_home

from bench import population
from skerry.domain.push import Endpoint

ENDPOINT = Endpoint("localhost", 1, "ca.pem")
CARDS = 30
TIMES = frozenset({"created_at", "last_active_at", "token_time", "registered_at"})


def rows(database: Path, table: str, key: str) -> Sequence[dict[str, Any]]:
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(f"SELECT * FROM {table} ORDER BY {key}").fetchall()
    return [{name: row[name] for name in row.keys() if name not in TIMES} for row in found]  # noqa: SIM118 - a Row


@pytest.mark.parametrize(("table", "key"), [("devices", "device_id"), ("cards", "number"), ("activities", "1")])
async def test_rows_made_in_bulk_are_those_of_the_registry(table: str, key: str) -> None:
    async with new_home(ENDPOINT) as one_by_one, new_home(ENDPOINT) as in_bulk:
        await population.populate(one_by_one, MATCH, CARDS)
        await population.populate(in_bulk, MATCH, 1)
        population.multiply(in_bulk.settings.database, CARDS)
        expected = rows(one_by_one.settings.database, table, key)
        assert rows(in_bulk.settings.database, table, key) == expected


async def test_nothing_else_is_written_by_the_registry(tmp_path: Path) -> None:
    """But that the cards have joined, which nobody here wants to be told."""
    async with new_home(ENDPOINT) as home:
        await population.populate(home, MATCH, 2)
        with closing(sqlite3.connect(home.settings.database)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            more = [name for name in tables if connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] > 1]
    assert set(more) - {"api_keys"} == {"devices", "cards", "events"}


async def test_a_cached_population_is_copied_and_pointed_at_the_new_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "CACHE", tmp_path)
    for port in (1, 2):
        async with population.populated_home(Endpoint("localhost", port), MATCH, CARDS) as home:
            assert len(rows(home.settings.database, "cards", "number")) == CARDS
            (app,) = rows(home.settings.database, "apps", "app_id")
            assert f'"port": {port}' in app["endpoints"]
    assert len(list(tmp_path.iterdir())) == 1
