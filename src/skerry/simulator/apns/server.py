"""The simulated APNs as a server: two listeners per environment, all connections, one book."""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import Callable, Iterator, Sequence

from h2.errors import ErrorCodes

from skerry.domain.push import Environment
from skerry.simulator.apns.channels import Channels
from skerry.simulator.apns.chaos import Chaos
from skerry.simulator.apns.connection import ApnsConnection
from skerry.simulator.apns.desk import Services
from skerry.simulator.apns.director import Director
from skerry.simulator.apns.door import Arrival, Door, Turnstile
from skerry.simulator.apns.fault import Subject
from skerry.simulator.apns.ledger import Ledger
from skerry.simulator.apns.limits import Limits
from skerry.simulator.apns.paths import Listener
from skerry.simulator.apns.provider_auth import Teams
from skerry.simulator.apns.provider_keys import ProviderKeys
from skerry.simulator.carrier import Phones
from skerry.simulator.clock import Clock

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
        self._director = Director(chaos, lambda: self._of(None))
        self._services = Services(
            phones, keys, clock, chaos, ledger, limits or Limits(), self.channels, self._director, Teams()
        )
        self._listeners: dict[tuple[Environment, Listener], asyncio.Server] = {}
        self._connections: dict[ApnsConnection, None] = {}  # a set would have no order, and a run would not repeat
        self._doors: dict[Door, None] = {}
        self._numbers = itertools.count(1)
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
        flawed_context: Callable[[str], ssl.SSLContext] | None = None,
    ) -> tuple[str, int]:
        """Listen for one environment.

        Args:
            environment: which world answers there.
            listener: which of Apple's two services.
            host: an address of this machine, or several.
            port: 0 for any free one; with several addresses, one that is free on all of them.
            ssl_context: as `tls.Certificates.server_context` makes it; ALPN must offer `h2`.
            flawed_context: as `tls.Certificates.flawed_context`, for plans that show a certificate that is not good;
                None: such plans reset the connection instead.

        Returns:
            The address that is listened on; with several, the first.

        Raises:
            OSError: if the address is taken or not ours.
            RuntimeError: if this service of this environment is listening already.
        """
        if (environment, listener) in self._listeners:
            what = f"{environment.value} ({listener.value})"
            raise RuntimeError(f"{what} is listening already: close the server before starting it again")
        entrance = _Entrance(
            environment, listener, self._services, self._connections, self._numbers, ssl_context, flawed_context
        )
        server = await asyncio.get_running_loop().create_server(
            lambda: Door(entrance, self._doors), host, port, backlog=_BACKLOG
        )
        self._listeners[environment, listener] = server
        self._director.look()
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
        """End every open connection without a word, in one of `fault.ENDS`.

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
        self._director.close()
        for door in list(self._doors):
            await door.close()
        self.drop_connections("rst")
        for listener in listeners:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(listener.wait_closed(), _CLOSE_TIMEOUT_S)

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


class _Entrance:
    """Decides for one listener who is let in; see `door.Host`."""

    def __init__(
        self,
        environment: Environment,
        listener: Listener,
        services: Services,
        registry: dict[ApnsConnection, None],
        numbers: Iterator[int],
        context: ssl.SSLContext,
        flawed_context: Callable[[str], ssl.SSLContext] | None,
    ) -> None:
        self._environment = environment
        self._listener = listener
        self._services = services
        self._registry = registry
        self._numbers = numbers
        self._context = context
        self._flawed_context = flawed_context
        self._turnstile = Turnstile()

    def arrive(self, address: str | None) -> tuple[int, Arrival | None]:
        chaos, now, number = self._services.chaos, self._services.clock.now(), next(self._numbers)
        rate = chaos.plan.connection_rate
        if rate is not None and not self._turnstile.lets_in(rate, now):
            return number, Arrival(how="rst")
        arrival = chaos.arrival(Subject(number, address))
        if arrival is not None and arrival.how == "flawed" and self._flawed_context is None:
            return number, Arrival(how="rst")
        return number, arrival

    def context(self, flaw: str | None) -> ssl.SSLContext:
        return self._context if flaw is None or self._flawed_context is None else self._flawed_context(flaw)

    def serve(self, number: int, address: str | None) -> asyncio.Protocol:
        return ApnsConnection(number, self._environment, self._services, self._registry, self._listener, address)

    def turned_away(self, number: int, how: str) -> None:
        self._services.ledger.note(self._services.clock.now(), self._environment, number, f"not let in: {how}")
