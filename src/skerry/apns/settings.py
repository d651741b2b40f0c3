"""How the client treats a route: all that an operator may turn."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Times in seconds.

    Raises:
        ValueError: naming the setting that cannot work.
    """

    max_connections: int = 4
    """Per team, key and host."""
    growth_interval: float = 0.5
    """At least this long between the opening of one connection and the next: Apple asks for no bursts of them."""
    connect_timeout: float = 10.0
    """From the look-up of the name to the peer's first SETTINGS."""
    back_off: float = 1.0
    """After a failed attempt; doubles with each further one."""
    max_back_off: float = 60.0
    ping_interval: float = 60.0
    """Of silence from the peer, before it is asked for a sign of life."""
    ping_timeout: float = 10.0
    """For that sign; then the connection counts as lost."""
    max_queued: int = 50_000
    """Pushes waiting on a route; beyond it `send` waits before it takes more."""
    streams_per_connection: int = 1_000
    pause: float = 60.0
    """For a route whose connection said `TooManyProviderTokenUpdates`."""

    def __post_init__(self) -> None:
        for one in fields(self):
            if getattr(self, one.name) <= 0:
                raise ValueError(f"{one.name} must be greater than 0")
        if self.max_back_off < self.back_off:
            raise ValueError("max_back_off must not be below back_off")
