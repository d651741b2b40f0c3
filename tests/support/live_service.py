"""The whole service behind its real HTTP server in this process, and readers of its live stream."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from whole_service import REST, SDK

from skerry.app import Service, open_service
from skerry.domain.app import KeyKind
from skerry.http_server import Server
from skerry.settings import Settings

PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event. `id` is the reader's place after it."""

    id: str
    event: str
    data: Any


@dataclass
class Stream:
    """A reader: parses as browsers do, and remembers its place."""

    response: httpx2.Response
    place: str = ""
    seen: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines = self.response.aiter_lines()

    async def next(self) -> Message | None:
        """The next message; None: the stream is over."""
        event, data = "message", ""
        async with asyncio.timeout(PATIENCE):
            async for line in self._lines:
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if name == "id":
                    self.place = value
                elif name == "event":
                    event = value
                elif name == "data":
                    data += value
                elif not line and data:
                    self.seen.append(Message(self.place, event, json.loads(data)))
                    return self.seen[-1]
                elif not line:
                    event = "message"
        return None

    async def take(self, count: int) -> list[Message]:
        """So many messages."""
        found = [await self.next() for _ in range(count)]
        assert None not in found, found
        return [one for one in found if one is not None]

    async def rest(self) -> list[Message]:
        """All until it is over."""
        found = []
        with contextlib.suppress(httpx2.RemoteProtocolError):  # cut off in the middle
            while (message := await self.next()) is not None:
                found.append(message)
        return found


@dataclass
class Live:
    """The service, where it answers, and a client."""

    service: Service
    port: int
    client: httpx2.AsyncClient
    server: Server

    async def rest(self, operation: str, body: Any) -> None:
        answer = await self.client.post(f"/rest/3.0/{operation}", json=body, headers={"X-netmera-api-key": REST})
        assert answer.status_code == 200, answer.text

    async def report(self, installation: str, *events: dict[str, Any]) -> None:
        body = {"installationId": installation, "events": list(events)}
        answer = await self.client.post("/v1/events", json=body, headers={"X-netmera-api-key": SDK})
        assert answer.status_code == 200, answer.text

    @contextlib.asynccontextmanager
    async def stream(self, place: str = "", **query: str) -> AsyncIterator[Stream]:
        """Read the stream; from `place` on where it is given. It has begun when the block is entered."""
        headers = {"X-netmera-api-key": REST} | ({"last-event-id": place} if place else {})
        async with self.client.stream("GET", "/v1/stream", params=query, headers=headers) as response:
            assert response.status_code == 200, (await response.aread()).decode()
            yield Stream(response, place)


@contextlib.asynccontextmanager
async def live_service(data: Path, **settings: Any) -> AsyncIterator[Live]:
    """Serve until the block is left, on a database that may be there already; then stop as on SIGTERM."""
    async with open_service(Settings(data_dir=data, **settings)) as service:
        if await service.apps.find("shop") is None:
            app = await service.apps.create("shop", "com.example.shop")
            await service.apps.create_key(app.app_id, KeyKind.REST, "tests", text=REST)
            await service.apps.create_key(app.app_id, KeyKind.SDK, "tests", text=SDK)
        config = uvicorn.Config(
            service.api, host="127.0.0.1", port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=10
        )
        server = Server(config, service.feed.close)
        serving = asyncio.create_task(server.serve())
        async with asyncio.timeout(PATIENCE):
            while not server.started:
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
                yield Live(service, port, client, server)
        finally:
            server.should_exit = True
            await serving
