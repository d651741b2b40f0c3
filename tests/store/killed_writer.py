"""A process that writes, says what has been acknowledged, and is killed by its test. Not a test itself.

Arguments: the database, and the number under which this run's rows go.
"""

import asyncio
import os
import sys
from pathlib import Path

from skerry.domain.ids import AppId, Millis
from skerry.store.sqlite import SqliteStore

WRITERS = 20


async def main(path: Path, run: int) -> None:
    store = await SqliteStore.open(path)

    async def write() -> None:
        while True:
            activity = await store.write(lambda tx: tx.activities.create(AppId(1), Millis(run)))
            # One write call of few bytes is whole or not there: a line never arrives torn.
            os.write(1, f"{activity.activity_id}\n".encode())

    await asyncio.gather(*[write() for _ in range(WRITERS)])


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
