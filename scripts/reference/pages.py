"""Every page, by its path from the root of the repository."""

import tempfile
from pathlib import Path
from typing import Any

import httpx2

from reference import command_line, configuration, http_api, metrics
from skerry.app import open_service
from skerry.log import configure
from skerry.settings import Settings


async def pages() -> dict[str, str]:
    """What the code says now."""
    description, exposition = await _running_service()
    return {
        "docs/reference/configuration.md": configuration.page(),
        "docs/reference/cli.md": command_line.page(),
        "docs/reference/rest.md": http_api.page(description),
        "docs/reference/metrics.md": metrics.page(exposition),
        "deploy/skerry.toml": configuration.example(),
    }


async def _running_service() -> tuple[dict[str, Any], str]:
    """What a service says of its routes and its metrics."""
    configure("error", "console")
    with tempfile.TemporaryDirectory() as directory:
        async with open_service(Settings(data_dir=Path(directory))) as service:
            transport = httpx2.ASGITransport(app=service.api)
            async with httpx2.AsyncClient(transport=transport, base_url="http://skerry") as client:
                return (await client.get("/openapi.json")).json(), (await client.get("/metrics")).text
