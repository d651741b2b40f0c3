"""Taking a request in: who calls, how often it may, and what it has sent."""

import time
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request

from skerry.api.auth import authenticate
from skerry.api.deadline import Deadline
from skerry.api.limits import RateLimit
from skerry.api.ports import ApiSettings, Keys
from skerry.api.problems import ProblemError
from skerry.api.rest3.errors import OVERLOADED, TOO_LARGE, TOO_SLOW, Rest3Error
from skerry.domain.app import Principal


class Intake:
    """What every handler begins with."""

    def __init__(self, keys: Keys, settings: ApiSettings) -> None:
        self._keys = keys
        self._settings = settings
        limit = settings.requests_per_minute
        self._by_key = None if limit is None else RateLimit(*limit, clock=time.monotonic)

    async def principal(self, request: Request) -> Principal:
        """Who calls, with a REST key.

        Raises:
            Rest3Error: 403 where it may not call, 429 where it calls too often.
        """
        principal = await self.again(request)
        request.state.app_id = principal.app.app_id
        if self._by_key is not None and (wait := self._by_key.take(str(principal.key.key_id), 1)):
            raise Rest3Error(OVERLOADED, retry_after=wait)
        return principal

    async def again(self, request: Request) -> Principal:
        """Who calls, asked once more during a long request: counts as nothing.

        Raises:
            Rest3Error: 403 where it may not call (any more).
        """
        return await authenticate(request, self._keys, self._settings.trusted_proxies)

    async def body(
        self, request: Request, *, most: int | None = None, grown: Callable[[int], None] = lambda _: None
    ) -> bytes:
        """The request's body.

        Args:
            request: whose.
            most: bytes of the largest, where that is not the setting.
            grown: is told of the bytes that have come; what it raises ends the reading.

        Raises:
            Rest3Error, ProblemError: where it is too large or too slow, in the language of the route.
        """
        try:
            with Deadline(self._settings.body_timeout):
                return await self._gather(request, most or self._settings.max_body_bytes, grown)
        except TimeoutError as error:
            if request.url.path.startswith("/rest/"):
                raise Rest3Error(TOO_SLOW) from error
            raise ProblemError(408, "Request timeout", "the body did not arrive in time: send it again") from error

    async def _gather(self, request: Request, most: int, grown: Callable[[int], None]) -> bytes:
        announced = request.headers.get("content-length", "")
        _check_length(request, int(announced[:20]) if announced.isdigit() else 0, most)
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part = message.get("body", b"")
            more = message.get("more_body", False)
            parts.append(part)
            size += len(part)
            _check_length(request, size, most)
            grown(len(part))
        return b"".join(parts)


def _check_length(request: Request, length: int, most: int) -> None:
    if length <= most:
        return
    if request.url.path.startswith("/rest/"):
        raise Rest3Error(TOO_LARGE)
    raise ProblemError(413, "Body too large", f"send at most {most} bytes, in several requests")
