"""One log line for each request, and an id that leads from the answer to it.

Pure ASGI: the path is logged without its query, which may hold tokens; headers, which hold keys, and bodies never are.
"""

import re
import time
from functools import partial
from random import getrandbits

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skerry.log import Lines

HEADER = b"x-request-id"
_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""What machines ask every few seconds is worth a line only where somebody debugs."""

log = structlog.get_logger()
requests = Lines("request")


class RequestLog:
    """Wraps an application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; a caller's own id is kept where it is short and plain."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        request_id = given if _ACCEPTABLE.fullmatch(given) else b"%016x" % getrandbits(64)
        text = request_id.decode("ascii")
        began = time.perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (HEADER, request_id)]
            await send(message)

        # Whatever else is logged in this task from here on is about this request.
        structlog.contextvars.bind_contextvars(request_id=text)
        try:
            await self.app(scope, receive, answer)
        finally:
            path = scope["path"][:200]
            write = partial(log.debug, "request") if path in _QUIET else requests.write
            write(
                method=scope["method"],
                path=path,
                status=status,
                ms=round((time.perf_counter() - began) * 1000, 2),
                app_id=scope.get("state", {}).get("app_id"),
                request_id=text,
            )
