"""`skerry sender`: a further process that sends, started by `skerry serve` where `delivery.processes` says so."""

import asyncio
import signal
import sys
from contextlib import suppress
from typing import Annotated

import structlog
import typer

from skerry.app import SETTLE_WITHIN, open_sender
from skerry.delivery.assistance import GivenUpError
from skerry.http_server import runner, settle_in
from skerry.log import configure
from skerry.sender_processes import report
from skerry.settings import Settings, load

log = structlog.get_logger()

REPORT_EVERY = 1.0
"""Seconds between two lines about what was sent."""


def sender(owner: Annotated[str, typer.Option(help="The name under which it leases what it sends.")]) -> None:
    """Send large fan-outs beside a running service; ends with it. `skerry serve` starts these."""
    settings = load()
    configure(settings.log.level, settings.log.format)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the service hears it too, and ends this one
    with runner() as loop:
        try:
            loop.run(_send(settings, owner))
        except* GivenUpError:
            log.error("this sender was silent for so long that others have taken over")  # noqa: TRY400 - it says it all
            sys.exit(1)


async def _send(settings: Settings, owner: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def left_alone() -> None:
        """The service holds the other end: however it dies, this one ends."""
        loop.remove_reader(sys.stdin.fileno())
        stop.set()

    loop.add_reader(sys.stdin.fileno(), left_alone)
    async with open_sender(settings, owner) as beside:
        settle_in()
        running = asyncio.create_task(beside.run())
        ending = asyncio.create_task(stop.wait())
        while not running.done() and not ending.done():
            await asyncio.wait({running, ending}, timeout=REPORT_EVERY, return_when=asyncio.FIRST_COMPLETED)
            _say(report(beside.sender.tally, beside.stats()))
        await beside.sender.finish(SETTLE_WITHIN)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        _say(report(beside.sender.tally, beside.stats()))


def _say(line: bytes) -> None:
    with suppress(BrokenPipeError):
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
