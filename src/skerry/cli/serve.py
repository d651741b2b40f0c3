"""`skerry serve`: the service."""

import logging
import socket
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from skerry.app import open_service
from skerry.http_server import listening, runner, serve_http, settle_in
from skerry.log import configure
from skerry.settings import Settings, load


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
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # six lines about itself
    with listening(settings.http.host, settings.http.port) as listener, runner() as loop:
        loop.run(_serve(settings, listener, quiet=quiet))


async def _serve(settings: Settings, listener: socket.socket, *, quiet: bool) -> None:
    async with open_service(settings) as service:
        settle_in()
        if not quiet:
            host = f"[{settings.http.host}]" if ":" in settings.http.host else settings.http.host
            Console(soft_wrap=True).print(f"Skerry answers on http://{host}:{settings.http.port}", markup=False)
        await serve_http(service.api, listener, before_shutdown=service.feed.close)
