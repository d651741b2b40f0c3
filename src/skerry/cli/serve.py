"""`skerry serve`: the service."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from rich.console import Console

from skerry.app import open_service
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
        await uvicorn.Server(config).serve()
