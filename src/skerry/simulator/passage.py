"""Passes `/simulator/` on to a simulator in another process, so that `skerry dev` answers under one address.

The simulator does not live in the service's process: one may be killed and restarted while the other goes on.
"""

from typing import TYPE_CHECKING

import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX = "/simulator/"
MAX_BODY = 1 << 20


class SimulatorPassage:
    """ASGI: what begins with `/simulator/` goes to the simulator, the rest to the service."""

    def __init__(self, app: "ASGIApp", simulator_url: str, timeout: float = 30.0) -> None:
        self._app = app
        self._client = httpx2.AsyncClient(base_url=simulator_url, timeout=timeout)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one request."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        await (await self._pass_on(Request(scope, receive)))(scope, receive, send)

    async def _pass_on(self, request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return _problem(413, "the simulator takes bodies up to 1 MiB")
        url = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        kind = request.headers.get("content-type")
        headers = {"content-type": kind} if kind else {}
        try:
            answer = await self._client.request(request.method, url, content=bytes(body), headers=headers)
        except httpx2.HTTPError as error:
            return _problem(502, f"the simulator does not answer: {error}")
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))


def _problem(status: int, detail: str) -> Response:
    body = {"type": "about:blank", "title": "Simulator", "status": status, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")
