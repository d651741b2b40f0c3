"""gorush, a whole gateway, beside our whole path: the same tokens and payload in its own requests, until the server has
seen every push. bench/peers/README.md says how it is set up and where it comes from.
"""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from bench.client import ClientError
from bench.credential import KEY_ID, TEAM_ID, TOPIC, private_key
from bench.figures import Run
from bench.peers import renamed
from bench.population import token
from bench.process import Process
from bench.session import Session
from bench.sink import HOST, Sink, free_ports
from bench.work import PAYLOAD

GORUSH = "gorush"
READY_WITHIN = 20.0
SENT_WITHIN = 300.0
LOOK_EVERY = 0.02
TOKENS_A_NOTIFICATION = 1_000
"""Measured to be no slower than fewer or more."""

_CONFIGURATION = """\
core:
  address: "{host}"
  port: "{port}"
  worker_num: 0
  queue_num: 8192
  max_notification: 10000
  sync: false
android:
  enabled: false
ios:
  enabled: true
  key_path: "{key}"
  key_type: "p8"
  production: true
  max_concurrent_pushes: 1000
  max_retry: 0
  key_id: "{key_id}"
  team_id: "{team_id}"
log:
  access_log: "{directory}/access.log"
  access_level: "error"
  error_log: "{directory}/error.log"
  error_level: "error"
  hide_messages: true
stat:
  engine: "memory"
"""


async def gorush_runs(session: Session, sink: Sink, cards: int) -> list[Run] | str:
    """Its runs, the first to warm up left out; or why there are none."""
    try:
        async with _running_gorush(sink) as (process, url):
            runs = []
            for number in range(session.sizes.runs + 1):
                runs.append(await _run(process, url, sink, cards))
                session.say(f"gorush, {cards:,} cards, run {number}: {runs[-1].values['per_cpu_second']:,.0f}")
            return runs[1:]
    except ClientError as error:
        return str(error)


@asynccontextmanager
async def _running_gorush(sink: Sink) -> AsyncIterator[tuple[Process, str]]:
    program = shutil.which(GORUSH)
    if program is None:
        raise ClientError("there is no gorush on the PATH: bench/peers/README.md says where it comes from")
    with TemporaryDirectory(prefix="skerry-gorush-") as name:
        directory = Path(name)
        (port,) = free_ports(1)
        key = directory / "key.p8"
        key.write_bytes(private_key())
        configuration = directory / "gorush.yml"
        configuration.write_text(
            _CONFIGURATION.format(host=HOST, port=port, key=key, key_id=KEY_ID, team_id=TEAM_ID, directory=directory)
        )
        # apns2 underneath could be pointed elsewhere, gorush has no setting for it.
        command = renamed([program, "-c", str(configuration)], sink.apple_address, directory)
        with (directory / "said.log").open("wb") as said:
            child = await asyncio.create_subprocess_exec(
                *command,
                env={"SSL_CERT_FILE": sink.endpoint.ca_file or "", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
                stdout=said,
                stderr=said,
            )
        try:
            url = f"http://{HOST}:{port}"
            await _until_ready(child, url, directory / "said.log")
            yield Process(child.pid), url
        finally:
            with suppress(ProcessLookupError):
                child.kill()  # it would wait half a minute for its queue
            await child.wait()


async def _run(process: Process, url: str, sink: Sink, cards: int) -> Run:
    shape = json.loads(PAYLOAD)["aps"]
    notifications = [
        {
            "tokens": [token(number) for number in range(first, min(first + TOKENS_A_NOTIFICATION, cards))],
            "platform": 1,
            "topic": TOPIC,
            "push_type": "liveactivity",
            "priority": "high",
            "event": shape["event"],
            "timestamp": shape["timestamp"],
            "content-state": shape["content-state"],
        }
        for first in range(0, cards, TOKENS_A_NOTIFICATION)
    ]
    body = json.dumps({"notifications": notifications}).encode()
    due = await sink.pushes() + cards
    cpu, began = process.cpu_seconds(), time.perf_counter()
    async with httpx2.AsyncClient(timeout=SENT_WITHIN) as client:
        answer = await client.post(f"{url}/api/push", content=body, headers={"content-type": "application/json"})
        if answer.status_code != httpx2.codes.OK:
            raise ClientError(f"gorush answers {answer.status_code}: {answer.text[:300]}")
    try:
        async with asyncio.timeout(SENT_WITHIN):
            while await sink.pushes() < due:  # noqa: ASYNC110 - another process counts
                await asyncio.sleep(LOOK_EVERY)
    except TimeoutError:
        raise ClientError(f"not all of its pushes have arrived within {SENT_WITHIN:.0f} s") from None
    wall, cpu = time.perf_counter() - began, process.cpu_seconds() - cpu
    extra = await sink.pushes() - due
    return Run(cards, cpu, wall, {"peak_rss_mb": process.peak_memory_mib(), "lost": 0, "doubled": extra})


async def _until_ready(child: asyncio.subprocess.Process, url: str, log: Path) -> None:
    async with httpx2.AsyncClient(timeout=2.0) as client, asyncio.timeout(READY_WITHIN):
        while child.returncode is None:
            with suppress(httpx2.HTTPError):
                if (await client.get(f"{url}/healthz")).is_success:
                    return
            await asyncio.sleep(0.05)
    said = await asyncio.to_thread(log.read_text, errors="replace")
    raise ClientError(f"gorush has ended with {child.returncode}:\n{said[-2000:]}")
