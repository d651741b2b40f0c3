"""What was committed moves into the database file while others commit."""

import asyncio

from skerry.store.sqlite.checkpoints import WORKS_BETWEEN
from skerry.store.sqlite.connection import CHECKPOINT_PAGES

WITHIN = 20.0


async def test_the_file_grows_long_before_the_writers_own_checkpoint_is_due(bench):
    before = bench.path.stat().st_size
    await bench.sql("CREATE TABLE filled (text TEXT NOT NULL)")
    insert = "INSERT INTO filled VALUES (?)"
    await asyncio.gather(*(bench.sql(insert, "x" * 4_000) for _ in range(2 * WORKS_BETWEEN)))
    log = bench.path.with_name(f"{bench.path.name}-wal").stat().st_size
    assert log < CHECKPOINT_PAGES * 4_096, "by itself the writer has had no reason"
    async with asyncio.timeout(WITHIN):
        while bench.path.stat().st_size < before + WORKS_BETWEEN * 4_000:
            await asyncio.sleep(0.01)


async def test_closing_while_one_is_due_is_fine(bench):
    await asyncio.gather(*(bench.sql("UPDATE apps SET name = name") for _ in range(WORKS_BETWEEN)))
    await bench.store.close()
    assert not bench.path.with_name(f"{bench.path.name}-wal").exists()
