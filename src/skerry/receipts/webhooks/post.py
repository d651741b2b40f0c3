"""The request to a receiver: over a connection to an address that has been checked, within a time, going nowhere else.

The host is resolved here and the connection is made to the address that was checked, so a name that leads elsewhere a
moment later (DNS rebinding) gains nothing; TLS still proves the name. It stands on httpcore2, the engine of httpx2,
because that takes a network of ours: what resolves and connects is the same object that checks. Redirects are not
followed and no proxy is used: either would connect to something that nobody has checked.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

import httpcore2

from skerry.receipts.webhooks.addresses import AddressRules
from skerry.receipts.webhooks.ports import Posted

READ_AT_MOST = 16 * 1024
"""Bytes of an answer that are read, so that the connection can be used again; a longer answer ends it."""
_RESOLVERS = 16
"""Threads that look names up: a name server that hangs holds few of them."""
_ERROR_LENGTH = 300

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From host and port to addresses."""


class ForbiddenAddressError(Exception):
    """The name leads to an address that a webhook may not lead to."""


class WebhookPoster:
    """Makes requests; an async context that keeps connections for some seconds."""

    def __init__(
        self,
        rules: AddressRules,
        *,
        timeout: float,
        concurrency: int,
        user_agent: str,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        """`timeout` is in seconds, for all of a request from the name to the end of the answer."""
        self._timeout = timeout
        self._user_agent = user_agent
        self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="skerry-resolver")
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context or ssl.create_default_context(),
            max_connections=concurrency,
            max_keepalive_connections=concurrency,
            keepalive_expiry=15.0,
            network_backend=_CheckedNetwork(rules, resolve or self._resolve),
        )

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._pool.__aexit__(kind, error, trace)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        """Make one request, without following where it leads. Never raises but for cancellation."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(url, headers, body)
        except TimeoutError:
            return Posted(error=f"no answer within {self._timeout:g} s")
        except ForbiddenAddressError as error:
            return Posted(error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever a stranger's server does is an answer of a kind
            return Posted(error=f"{type(error).__name__}: {error}"[:_ERROR_LENGTH])

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        sent = {"content-type": "application/json", "user-agent": self._user_agent, **headers}
        async with self._pool.stream("POST", url, headers=list(sent.items()), content=body) as response:
            read = 0
            async for part in response.aiter_stream():
                read += len(part)
                if read > READ_AT_MOST:
                    break
            return Posted(response.status, retry_after=_retry_after(response.headers))

    async def _resolve(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Resolves, checks every address, and connects to the first of them that answers."""

    def __init__(self, rules: AddressRules, resolve: Resolve) -> None:
        self._rules = rules
        self._resolve = resolve
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's shape
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = [ip_address(address.partition("%")[0]) for address in await self._resolve(host.strip("[]"), port)]
        for address in addresses:
            if not self._rules.allows(address):
                raise ForbiddenAddressError(
                    f"{host} leads to {address}, which is not a public address: use a host that has only public ones,"
                    " or set webhooks.allow_private_networks"
                )
        failure: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout=timeout, local_address=local_address, socket_options=socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _look_up(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _retry_after(headers: Sequence[tuple[bytes, bytes]]) -> float | None:
    """Seconds; a date, which the header may be as well, is left to our own schedule."""
    value = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return float(value) if value.isdigit() and len(value) < 10 else None  # noqa: PLR2004 - three hundred years will do
