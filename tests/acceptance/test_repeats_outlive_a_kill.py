"""`kill -9` between a write and its answer: the repeat has the answer that was lost, and nothing is done twice."""

import asyncio
import random
import socket
from pathlib import Path
from typing import Any

import httpx2
from killing import kill_at_random

from skerry.cli.dev import REST_KEY, run_dev

ROUNDS = 40


async def insist(client: httpx2.AsyncClient, method: str, path: str, key: str, body: Any = None) -> httpx2.Response:
    """As a backend does: the same request under the same key until it is answered."""
    while True:
        try:
            answer = await client.request(method, path, json=body, headers={"Idempotency-Key": key})
        except httpx2.HTTPError:
            await asyncio.sleep(0.02)
            continue
        assert answer.is_success, answer.text
        return answer


async def test_each_write_is_done_once_and_says_so_whenever_its_answer_was_lost(tmp_path: Path) -> None:
    dice = random.Random(7)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with run_dev(tmp_path, host="127.0.0.1", port=port, phones=1) as service:
        headers = {"X-netmera-api-key": REST_KEY}
        async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=5.0) as client:
            killer = asyncio.create_task(kill_at_random(service, client, dice, kills=2))
            answers = []
            while len(answers) < ROUNDS or not killer.done():
                body = {"state": {"round": len(answers)}}
                answers.append(await insist(client, "PUT", "/v1/activities/match", f"put-{len(answers)}", body))
            await killer
            # What was done is told as done, though it may have been the repeat that was answered.
            assert {one.json()["result"] for one in answers[1:]} == {"changed"}
            assert [one.json()["revision"] for one in answers] == list(range(1, len(answers) + 1))
            ended = await insist(client, "DELETE", "/v1/activities/match", "end")
            await insist(client, "PUT", "/v1/activities/match", "anew", {"state": {"round": "anew"}})
            for number in (0, len(answers) // 2):
                body = {"state": {"round": number}}
                again = await insist(client, "PUT", "/v1/activities/match", f"put-{number}", body)
                assert (again.status_code, again.headers["etag"]) == (
                    answers[number].status_code,
                    answers[number].headers["etag"],
                )
            assert (await insist(client, "DELETE", "/v1/activities/match", "end")).json() == ended.json()
            assert (await client.get("/v1/activities/match")).json()["state"] == {"round": "anew"}
