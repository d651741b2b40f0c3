"""Skerry's own client on the work of the benchmarks: `ApnsClient`, in batches as large as the outbox's chunks."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from skerry.apns import ApnsClient, PoolSettings
from skerry.domain.push import Credential, Endpoint, Outcome, PushBatch, Route

CHUNK = 500
"""As many as one chunk of the outbox has cards."""
AT_ONCE = 64
"""Chunks on their way, as in the service."""
PATIENCE = 600.0
"""Seconds. No push may end for want of time: the benchmark counts what becomes of it."""


async def main(work: dict[str, Any]) -> None:
    tokens = Path(work["tokens_file"]).read_text().split()[: work["pushes"]]
    body = Path(work["payload_file"]).read_bytes()
    endpoint = Endpoint(work["host"], work["port"], work["ca_file"])
    route = Route(Credential(work["team_id"], work["key_id"], Path(work["key_file"]).read_bytes()), endpoint)
    chunks = [
        PushBatch(work["topic"], body, tokens[first : first + CHUNK], deadline=PATIENCE)
        for first in range(0, len(tokens), CHUNK)
    ]
    settings = PoolSettings(max_connections=work["connections"], streams_per_connection=work["streams"])
    async with ApnsClient(settings) as client:
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await one_round(client, route, chunks)), flush=True)


async def one_round(client: ApnsClient, route: Route, chunks: list[PushBatch]) -> dict[str, Any]:
    counts: Counter[int] = Counter()
    causes: Counter[str] = Counter()

    async def carry(waiting: Iterator[PushBatch]) -> None:
        for chunk in waiting:
            outcomes = await client.send(route, chunk)
            counts.update(outcomes.codes)
            causes.update(outcomes.causes.values())

    waiting = iter(chunks)
    await asyncio.gather(*(carry(waiting) for _ in range(AT_ONCE)))
    return {
        "accepted": counts[Outcome.ACCEPTED],
        "rejected": counts[Outcome.REJECTED],
        "failed": counts[Outcome.NOT_PROCESSED] + counts[Outcome.UNKNOWN],
        "errors": causes,
    }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(json.loads(Path(sys.argv[1]).read_text())))
