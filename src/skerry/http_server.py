"""The HTTP server: uvicorn, with a bound on what callers may do before their request is whole.

A request's head is limited in size and in time, as bodies are by the API: uvicorn itself would gather a head for as
long, and as large, as somebody cares to send it, and keep connections open on which nothing is ever said.
"""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
from collections.abc import Callable, Generator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from skerry.domain.errors import RefusedError

BACKLOG = 2048
GRACE = 10
"""Seconds that open requests get when the service is asked to stop."""
MOST_HEAD_BYTES = 64 * 1024
YOUNG = 10_000
"""Objects between two collections of the youngest; Python's 700 are made in a few milliseconds here."""
HEAD_WITHIN = 30.0
"""Seconds from a connection's opening, or from a request's first byte, to the end of the request's head."""


@contextlib.contextmanager
def listening(host: str, port: int) -> Generator[socket.socket]:
    """A socket that listens there: taken before anything else is begun.

    Raises:
        RefusedError: if it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise RefusedError(f"cannot listen on {host}:{port}: {why}; choose another --host or --port") from error
    with listener:
        yield listener


def settle_in() -> None:
    """Tell the garbage collector that what there is now stays: it need not look at it again and again.

    To be called once, when the process has all that it runs with. Modules, types and settings are some 90,000 objects,
    and each full collection went through all of them, on the event loop: 60 to 80 ms during which nothing else happens.
    What is made from now on is looked through less often, too: nearly all of it goes by itself, without a cycle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)


def runner() -> asyncio.Runner:
    """A runner on the loop that serves fastest here, with as many open files allowed as the system permits.

    Each connection is one; the usual 1024 are soon used up.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return asyncio.Runner(loop_factory=uvicorn.Config("skerry:app", loop="auto", log_config=None).get_loop_factory())


async def serve_http(api: ASGIApp, listener: socket.socket, *, before_shutdown: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; open requests are answered before this returns.

    `before_shutdown` ends what has no end of its own, such as live streams, before open answers are waited for.
    """
    config = uvicorn.Config(
        api,
        http=_Connection,
        log_config=None,  # ours writes uvicorn's lines too
        access_log=False,
        proxy_headers=False,  # it would believe everybody on this host; `http.trusted_proxies` decides
        lifespan="off",
        timeout_graceful_shutdown=GRACE,
        server_header=False,
    )
    await Server(config, before_shutdown).serve(sockets=[listener])


class Server(uvicorn.Server):
    """Stops in order: first what has no end of its own, then open answers.

    Uvicorn raises the signal that stopped it once more when it is done: what has to be put away would not be.
    """

    def __init__(self, config: uvicorn.Config, before_shutdown: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_shutdown = before_shutdown

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        self._before_shutdown()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take SIGINT and SIGTERM for the word to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield  # the handlers stay: a second signal does not cut short what the first one set off


class _Connection(HttpToolsProtocol):
    """One caller's connection."""

    _head = 0
    """Bytes of a head that is not whole yet."""
    _waits: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        waits = self._waits
        super().data_received(data)
        if waits is not None and self._waits is waits:  # all of it belonged to one head
            self._head += len(data)
            if self._head > MOST_HEAD_BYTES:
                self.send_400_response("Request head too large.")
                self._end_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin_head()

    def on_headers_complete(self) -> Any:
        self._end_head()
        return super().on_headers_complete()

    def _begin_head(self) -> None:
        if self._waits is None:
            self._head = 0
            self._waits = self.loop.call_later(HEAD_WITHIN, self.transport.close)

    def _end_head(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None
