"""The whole service in this process, on a database of its own, without a socket: spoken to as callers do."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from skerry.app import Service, open_service
from skerry.domain.app import App, KeyKind
from skerry.settings import Settings

REST = "rest-key-of-the-tests"
SDK = "sdk-key-of-the-tests"


@dataclass
class Whole:
    """A running service, its one app, and a client."""

    service: Service
    app: App
    client: httpx2.AsyncClient

    async def rest(self, operation: str, body: Any) -> httpx2.Response:
        """`POST /rest/3.0/…`, or GET where there is no body."""
        headers = {"X-netmera-api-key": REST}
        if body is None:
            return await self.client.get(f"/rest/3.0/{operation}", headers=headers)
        return await self.client.post(f"/rest/3.0/{operation}", json=body, headers=headers)

    async def report(self, installation: str, *events: dict[str, Any], **members: Any) -> httpx2.Response:
        """`POST /v1/events`."""
        body = {"installationId": installation, "events": list(events), **members}
        return await self.client.post("/v1/events", json=body, headers={"X-netmera-api-key": SDK})


@contextlib.asynccontextmanager
async def whole_service(data: Path, **settings: Any) -> AsyncIterator[Whole]:
    """Open it with one app, without a key for APNs: what is planned waits. Again on the same data, it is a restart."""
    async with open_service(Settings(data_dir=data, **settings)) as service:
        app = await service.apps.find("shop")
        if app is None:
            app = await service.apps.create("shop", "com.example.shop")
            await service.apps.create_key(app.app_id, KeyKind.REST, "tests", text=REST)
            await service.apps.create_key(app.app_id, KeyKind.SDK, "tests", text=SDK)
        transport = httpx2.ASGITransport(app=service.api)
        async with httpx2.AsyncClient(transport=transport, base_url="http://skerry.test") as client:
            yield Whole(service, app, client)
