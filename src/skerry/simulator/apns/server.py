"""The simulated APNs as a server: two listeners per environment, all connections, one book."""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence

from h2.errors import ErrorCodes

from skerry.domain.push import Environment
from skerry.simulator.apns.channels import Channels
from skerry.simulator.apns.chaos import Chaos
from skerry.simulator.apns.connection import ApnsConnection, Services
from skerry.simulator.apns.ledger import Ledger
from skerry.simulator.apns.limits import Limits
from skerry.simulator.apns.paths import Listener
from skerry.simulator.apns.provider_keys import ProviderKeys
from skerry.simulator.carrier import Phones
from skerry.simulator.clock import Clock

_TLS_TIMEOUT_S = 10.0
_TLS_SHUTDOWN_TIMEOUT_S = 1.0
_CLOSE_TIMEOUT_S = 5.0
_IDLE_CHECK_INTERVAL_S = 0.25
_BACKLOG = 512


class ApnsServer:
    """Answers as Apple would, in the sandbox, in production, or both: separate worlds and listeners.

    Device pushes and broadcasts come to one listener, channel management to another (apple.md 1.1).

    Args:
        phones: what device tokens exist, and who takes accepted pushes.
        keys: the provider keys that are registered.
        clock: the simulated world's; ages of provider tokens and idle times follow it, latencies are real.
        chaos: what goes wrong.
        ledger: where every request is written down.
        limits: Apple's numbers.
        channels: the broadcast channels that exist; None: none yet.
    """

    def __init__(
        self,
        phones: Phones,
        keys: ProviderKeys,
        *,
        clock: Clock,
        chaos: Chaos,
        ledger: Ledger,
        limits: Limits | None = None,
        channels: Channels | None = None,
    ) -> None:
        self.channels = channels or Channels()
        self._services = Services(phones, keys, clock, chaos, ledger, limits or Limits(), self.channels)
        self._listeners: dict[tuple[Environment, Listener], asyncio.Server] = {}
        self._connections: set[ApnsConnection] = set()
        self._connections_made = 0
        self._idle_watch: asyncio.Task[None] | None = None
        chaos.subscribe(self._chaos_changed)

    @property
    def open_connections(self) -> int:
        """How many connections there are now, over both environments."""
        return len(self._connections)

    async def start(
        self,
        environment: Environment,
        host: str | Sequence[str] = "127.0.0.1",
        port: int = 0,
        *,
        ssl_context: ssl.SSLContext,
        listener: Listener = Listener.PUSH,
    ) -> tuple[str, int]:
        """Listen for one environment.

        Args:
            environment: which world answers there.
            listener: which of Apple's two services.
            host: an address of this machine, or several.
            port: 0 for any free one; with several addresses, one that is free on all of them.
            ssl_context: as `tls.Certificates.server_context` makes it; ALPN must offer `h2`.

        Returns:
            The address that is listened on; with several, the first.

        Raises:
            OSError: if the address is taken or not ours.
            RuntimeError: if this service of this environment is listening already.
        """
        if (environment, listener) in self._listeners:
            what = f"{environment.value} ({listener.value})"
            raise RuntimeError(f"{what} is listening already: close the server before starting it again")
        server = await asyncio.get_running_loop().create_server(
            lambda: self._connection(environment, listener),
            host,
            port,
            ssl=ssl_context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=_TLS_TIMEOUT_S,
            ssl_shutdown_timeout=_TLS_SHUTDOWN_TIMEOUT_S,
        )
        self._listeners[environment, listener] = server
        if self._idle_watch is None and self._services.limits.idle_timeout_s is not None:
            self._idle_watch = asyncio.create_task(self._watch_idle(), name="simulated APNs: idle connections")
        address = server.sockets[0].getsockname()
        return address[0], address[1]

    def goaway(
        self,
        reason: str | None = "Shutdown",
        *,
        environment: Environment | None = None,
        code: int = ErrorCodes.NO_ERROR,
        last_stream: int | None = None,
        debug: bytes | None = None,
    ) -> int:
        """Send GOAWAY on every open connection (of one environment); new connections are welcome.

        Args:
            reason: in the JSON debug data; None for none.
            environment: None for both.
            code: HTTP/2 error code.
            last_stream: None for each connection's highest stream served so far.
            debug: debug data that is not JSON, instead of the reason.

        Returns:
            On how many connections.
        """
        chosen = self._of(environment)
        for connection in chosen:
            connection.goaway(reason, code=code, last_stream=last_stream, debug=debug)
        return len(chosen)

    def drop_connections(self, mode: str = "rst", *, environment: Environment | None = None) -> int:
        """Close every open connection without a word: `rst` resets TCP, `eof` ends it in good order.

        Returns:
            How many.
        """
        chosen = self._of(environment)
        for connection in chosen:
            connection.drop(mode)
        return len(chosen)

    def check_idle(self) -> None:
        """Close connections that have been idle for too long; done by itself a few times a second."""
        now = self._services.clock.now()
        for connection in self._of(None):
            connection.check_idle(now)

    async def close(self) -> None:
        """Stop listening and reset what is connected. A closed server can be started again."""
        listeners, self._listeners = list(self._listeners.values()), {}
        for listener in listeners:
            listener.close()
        if self._idle_watch is not None:
            self._idle_watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._idle_watch
            self._idle_watch = None
        self.drop_connections("rst")
        for listener in listeners:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(listener.wait_closed(), _CLOSE_TIMEOUT_S)

    def _connection(self, environment: Environment, listener: Listener) -> ApnsConnection:
        self._connections_made += 1
        return ApnsConnection(self._connections_made, environment, self._services, self._connections, listener)

    def _of(self, environment: Environment | None) -> list[ApnsConnection]:
        return [
            connection
            for connection in self._connections
            if environment is None or connection.environment is environment
        ]

    def _chaos_changed(self) -> None:
        for connection in self._of(None):
            connection.chaos_changed()

    async def _watch_idle(self) -> None:
        while True:
            await asyncio.sleep(_IDLE_CHECK_INTERVAL_S)
            self.check_idle()
