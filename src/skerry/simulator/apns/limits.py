"""The numbers of the simulated APNs: what Apple documents, what was observed, and what nobody knows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Fixed for the life of a server; what a test wants to change while it runs is `chaos.Plan`.

    The defaults are Apple's documented or observed values (apple.md 1.3, 2.2, 3.2, 5.1). Where Apple publishes nothing,
    the default is the reading that is hardest on the sender without punishing what Apple recommends.
    """

    header_table_size: int = 4096
    initial_streams: int = 1
    """MAX_CONCURRENT_STREAMS until a request with a valid provider token has been posted."""
    raised_streams: int = 1000
    """MAX_CONCURRENT_STREAMS afterwards."""
    initial_window: int = 65_535
    """Bytes of body per stream before a WINDOW_UPDATE."""
    max_frame_size: int = 16_384
    max_header_list: int = 8000

    payload_bytes: int = 4096
    voip_payload_bytes: int = 5120
    broadcast_payload_bytes: int = 5120
    channels_per_app: int = 10_000
    """Per environment, too."""

    token_age_s: int = 3600
    """A provider token older than this is `ExpiredProviderToken`; further in the future, `InvalidProviderToken`."""
    token_update_interval_s: int = 1200
    """The 20-minute rule, per connection and in simulated time."""
    token_updates_per_interval: int = 1
    """Changes of the provider token that one connection may show per interval. Apple allows one refresh in 20 minutes;
    0 punishes the first change already, when the connection has seen its previous token for less than the interval."""
    expired_token_wedges: bool = True
    """A connection that has once said `ExpiredProviderToken` says nothing else (observed by Pushy's users)."""
    foreign_team_reason: str = "InvalidProviderToken"
    """For a second team on one connection; Apple documents the rule and not the reason (apple.md 2.2)."""
    low_priority_live_activities: bool = False
    """Whether priority 1 is accepted for Live Activities: Apple's page allows 5 and 10, the rest is unknown."""

    idle_timeout_s: float | None = None
    """Simulated seconds without a frame before GOAWAY `IdleTimeout`; Apple publishes no number. None: never."""
    goaway_grace_s: float = 5.0
    """Real seconds between a GOAWAY and the close of the connection."""
