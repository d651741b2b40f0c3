"""The outbox as it is on disk, read beside the service: what is settled, and with which verdicts."""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from skerry.domain.chunk import ChunkState, Lane
from skerry.domain.verdict import Verdict

SETTLED_WITHIN = 600.0
LOOK_EVERY = 0.02
"""Seconds between two looks; the moment of the last settlement is read from the rows, not from the looking."""

# One state at a time: each of the open ones has an index of its own.
_OPEN = "SELECT 1 WHERE " + " OR ".join(
    f"EXISTS (SELECT 1 FROM chunks WHERE state = {int(state)}{{and_lane}})"
    for state in ChunkState
    if state is not ChunkState.SETTLED
)
_ANY_OPEN, _LARGE_OPEN = _OPEN.format(and_lane=""), _OPEN.format(and_lane=f" AND lane = {int(Lane.LARGE)}")
_SETTLED_SINCE = "SELECT settled_at, verdicts FROM chunks WHERE created_at >= ?"


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the pushes of some chunks."""

    at: float
    """When the last of them was settled, in seconds since 1970."""
    verdicts: Counter[Verdict]


class OutboxView:
    """A reading connection of our own: SQLite lets it look without holding up the service's writer."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def settled(self, since: float) -> Settled:
        """Wait until nothing is open; what has become of the chunks that were made since (seconds since 1970).

        Raises:
            TimeoutError: if something stays open.
        """
        await self._until_none(_ANY_OPEN)
        rows = self._connection.execute(_SETTLED_SINCE, (int(since * 1000),)).fetchall()
        verdicts = Counter(byte for _, board in rows for byte in board)
        last = max((at for at, _ in rows), default=0)
        return Settled(last / 1000, Counter({Verdict(byte): count for byte, count in verdicts.items()}))

    async def large_settled(self) -> float:
        """Wait until no chunk of a large audience is open; when that was seen, in seconds since 1970."""
        await self._until_none(_LARGE_OPEN)
        return time.time()

    async def _until_none(self, query: str) -> None:
        async with asyncio.timeout(SETTLED_WITHIN):
            while self._connection.execute(query).fetchone():  # noqa: ASYNC110 - another process settles
                await asyncio.sleep(LOOK_EVERY)


@contextmanager
def outbox_of(database: Path) -> Iterator[OutboxView]:
    """Look at a database until the block is left."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        yield OutboxView(connection)
