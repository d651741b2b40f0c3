"""What the client knows about itself, as plain values for metrics and people."""

from collections.abc import Mapping
from dataclasses import dataclass

from skerry.domain.push import Outcome


@dataclass(frozen=True, slots=True)
class RouteStats:
    """One team's key at one host."""

    endpoint: str
    team_id: str
    key_id: str
    connections: Mapping[str, int]
    """By state: `open`, `draining`, `opening`."""
    open_streams: int
    stream_limit: int
    """Summed over open connections."""
    window: int
    """Octets of bodies that the peers would take now, summed over connections that take pushes."""
    queued: int
    token_age: float | None
    """Seconds since the provider token was signed."""
    gate: str | None
    """Why pushes may not go out at the moment, by `Closed`; None: they may."""
    outcomes: Mapping[Outcome, int]
    reasons: Mapping[str, int]
    last_error: str | None
    clock_skew: float | None
    """Seconds that our clock is ahead of APNs', by the `date` of its last refusal that had one."""


@dataclass(frozen=True, slots=True)
class ClientStats:
    """All routes."""

    routes: tuple[RouteStats, ...]
