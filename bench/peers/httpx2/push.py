"""httpx2 on the work of the benchmarks, as one would write it oneself. bench/client.py has the protocol."""

import asyncio
import json
import ssl
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import uvloop


async def main(work: dict[str, Any]) -> None:
    tokens = Path(work["tokens_file"]).read_text().split()[: work["pushes"]]
    body = Path(work["payload_file"]).read_bytes()
    headers = {
        "authorization": work["authorization"],
        "apns-topic": work["topic"],
        "apns-push-type": "liveactivity",
        "apns-priority": "10",
    }
    async with httpx2.AsyncClient(
        base_url=f"https://{work['host']}:{work['port']}",
        headers=headers,
        http1=False,
        http2=True,
        verify=ssl.create_default_context(cafile=work["ca_file"]),
        limits=httpx2.Limits(max_connections=work["connections"]),
        timeout=None,
    ) as client:
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await one_round(client, work, tokens, body)), flush=True)


async def one_round(client: httpx2.AsyncClient, work: dict[str, Any], tokens: list[str], body: bytes) -> dict[str, Any]:
    result = {"accepted": 0, "rejected": 0, "failed": 0}
    errors: Counter[str] = Counter()

    async def carry(waiting: Iterator[str]) -> None:
        for token in waiting:
            try:
                response = await client.post(f"/3/device/{token}", content=body)
            except httpx2.HTTPError as error:
                result["failed"] += 1
                errors[type(error).__name__] += 1
            else:
                result["accepted" if response.is_success else "rejected"] += 1

    # A fresh connection to APNs takes one request and then more: one push goes ahead.
    await carry(iter(tokens[:1]))
    waiting = iter(tokens[1:])
    await asyncio.gather(*(carry(waiting) for _ in range(work["connections"] * work["streams"])))
    return {**result, "errors": errors}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(json.loads(Path(sys.argv[1]).read_text())))
