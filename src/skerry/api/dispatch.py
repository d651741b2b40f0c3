"""The way from a request's path to its operation."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


class Dispatch:
    """Finds operations whose path has no parameters with one look: those that come thousands of times a second.

    Every other request, unknown paths and wrong methods included, is Starlette's, whose router tries one pattern after
    the other.
    """

    def __init__(self, direct: Mapping[tuple[str, str], Endpoint], otherwise: ASGIApp) -> None:
        """`direct`: endpoints by method and path."""
        self._direct = direct
        self.otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        endpoint = self._direct.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self.otherwise(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
