"""aioapns on the work of the benchmarks. bench/client.py has the protocol."""

import asyncio
import json
import logging
import ssl
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol

PLENTY = 1_000
"""Attempts of one push: each reads as lost only once the library has truly given up."""


async def main(work: dict[str, Any]) -> None:
    # aioapns knows two hosts and no setting for a third: host and port are attributes of its protocol's class.
    APNsProductionClientProtocol.APNS_SERVER = work["host"]
    APNsProductionClientProtocol.APNS_PORT = work["port"]
    # It logs every refusal, formatted: nobody would leave that on in a fan-out.
    logging.disable(logging.CRITICAL)
    tokens = Path(work["tokens_file"]).read_text().split()[: work["pushes"]]
    message = json.loads(Path(work["payload_file"]).read_text())
    context = ssl.create_default_context(cafile=work["ca_file"])
    context.set_alpn_protocols(["h2"])
    client = APNs(
        key=Path(work["key_file"]).read_text(),
        key_id=work["key_id"],
        team_id=work["team_id"],
        topic=work["topic"],
        max_connections=work["connections"],
        max_connection_attempts=PLENTY,
        ssl_context=context,
    )
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await one_round(client, work, tokens, message)), flush=True)


async def one_round(client: APNs, work: dict[str, Any], tokens: list[str], message: dict[str, Any]) -> dict[str, Any]:
    result = {"accepted": 0, "rejected": 0, "failed": 0}
    errors: Counter[str] = Counter()

    async def carry(waiting: Iterator[str]) -> None:
        for token in waiting:
            request = NotificationRequest(token, message, priority=10, push_type=PushType.LIVEACTIVITY)
            try:
                response = await client.send_notification(request)
            except Exception as error:  # noqa: BLE001 - whatever it raises, the push has failed
                result["failed"] += 1
                errors[repr(error)] += 1
            else:
                result["accepted" if response.is_successful else "rejected"] += 1

    # A fresh connection to APNs takes one request and then more: one push goes ahead.
    await carry(iter(tokens[:1]))
    waiting = iter(tokens[1:])
    # As many as fit: one more would only find all connections busy and look again every 10 ms.
    await asyncio.gather(*(carry(waiting) for _ in range(work["connections"] * work["streams"])))
    return {**result, "errors": errors}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(json.loads(Path(sys.argv[1]).read_text())))
