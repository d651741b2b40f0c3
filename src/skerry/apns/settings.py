"""How the client treats a route: all that an operator may turn."""

from dataclasses import dataclass, fields

from skerry.apns.proxy import Proxy


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Times in seconds.

    Raises:
        ValueError: naming the setting that cannot work.
    """

    max_connections: int = 32
    """Per team, key and host."""
    growth_interval: float = 0.05
    """At least this long between the opening of one connection and the next: Apple asks for no bursts of them."""
    connect_timeout: float = 10.0
    """From the TCP handshake to the peer's first SETTINGS."""
    stall: float = 0.5
    """With no connection at work, an attempt that takes longer is joined by one to another address."""
    resolve_timeout: float = 5.0
    """For the look-up of the name; the addresses that are known serve where it fails."""
    back_off: float = 1.0
    """After a failed attempt, per address; doubles with each further one."""
    max_back_off: float = 60.0
    ping_interval: float = 60.0
    """Of silence from the peer, before it is asked for a sign of life."""
    silence_limit: float = 5.0
    """The same, once a push has waited that long for its answer."""
    ping_timeout: float = 10.0
    """For that sign; then the connection counts as lost."""
    idle_after: float = 600.0
    """Without a push, after which one connection of a route is enough."""
    max_age: float = 24 * 3600.0
    """Of a connection, give or take a fifth, so that not all are renewed together."""
    forget_after: float = 24 * 3600.0
    """Without a push, after which a route and its connections are given up: its key was replaced, its app removed."""
    max_queued: int = 50_000
    """Pushes waiting on a route, per lane; beyond it `send` waits before it takes more."""
    streams_per_connection: int = 1_000
    pause: float = 60.0
    """For a route whose connection said `TooManyProviderTokenUpdates`."""
    credential_probe: float = 300.0
    """Between two attempts with a key that APNs has refused."""
    proxy: Proxy | None = None
    """Through which all connections go."""

    def __post_init__(self) -> None:
        for one in fields(self):
            if one.name != "proxy" and getattr(self, one.name) <= 0:
                raise ValueError(f"{one.name} must be greater than 0")
        if self.max_back_off < self.back_off:
            raise ValueError("max_back_off must not be below back_off")
