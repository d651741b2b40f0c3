"""`skerry serve`: the service."""

import asyncio
import socket
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from rich.console import Console

from skerry.app import Service, open_service
from skerry.log import configure
from skerry.settings import Settings, load

GRACE = 10
"""Seconds that open requests get when the service is asked to stop."""


def serve(
    data: Annotated[Path | None, typer.Option(help="Directory of the database and the key ring.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65535)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not print the addresses.")] = False,
) -> None:
    """Run the service until it is told to stop (SIGINT or SIGTERM).

    Settings come from skerry.toml, then from SKERRY_… variables, then from these flags.
    """
    settings = load(data_dir=data, http={"host": host, "port": port})
    configure(settings.log.level, settings.log.format)
    if not quiet:
        Console().print(f"Skerry answers on http://{settings.http.host}:{settings.http.port}")
    uvicorn_loop = uvicorn.Config("skerry:app", loop="auto", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=uvicorn_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    async with open_service(settings) as service:
        config = uvicorn.Config(
            service.api,
            host=settings.http.host,
            port=settings.http.port,
            log_config=None,  # ours writes uvicorn's lines too
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACE,
            server_header=False,
        )
        await Server(config, service).serve()


class Server(uvicorn.Server):
    """Ends the live streams before it waits for answers to be complete: they have no end of their own."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: streams first."""
        self._service.feed.close()
        await super().shutdown(sockets)
