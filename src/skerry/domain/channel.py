"""Broadcast channels (iOS 18 and later): one push reaches every card that was started on the channel.

Source: Apple, "Sending channel management requests to APNs" and "Sending broadcast push notification requests to APNs"
(apple.md 5).
"""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from skerry.domain.activity import Activity
from skerry.domain.ids import ActivityId, AppId, CardNumber, ChannelId, Millis
from skerry.domain.push import Environment, Rejected
from skerry.domain.revision import Revision, RevisionKind

MAX_BROADCAST_BODY: Final = 5120
"""Bytes of a broadcast. The phone still takes no more than 4096 of attributes and content state (apple.md 3.2)."""

MOST_CHANNELS: Final = 10_000
"""Per app and environment. Channels never expire: whoever makes them has to delete them (apple.md 5.1)."""

STORED_FOR: Final = 8 * 3600
"""Seconds that APNs keeps a broadcast for a phone that is offline, at most."""


LINGERS_FOR: Final = (4 * 3600 + 300) * 1000
"""Milliseconds after the end of its run for which a channel is kept: so long an ended card may stay (apple.md 4.5)."""


class StoragePolicy(IntEnum):
    """What APNs keeps for phones that are offline when a broadcast comes; fixed when the channel is made."""

    NO_MESSAGE_STORED = 0
    """Nothing: only phones connected at that moment get it. In return more broadcasts are allowed."""
    MOST_RECENT_MESSAGE_STORED = 1
    """The latest one for each phone."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel that APNs has made. It exists in one environment of one app."""

    channel_id: ChannelId
    storage: StoragePolicy


@dataclass(frozen=True, slots=True)
class ActivityChannel:
    """A channel that was made for one run of an activity."""

    app_id: AppId
    activity_id: ActivityId
    first_card: CardNumber
    """Of the run."""
    environment: Environment
    channel: Channel
    created_at: Millis
    delete_at: Millis | None = None
    """`LINGERS_FOR` after the end of the run; None: it is in use."""

    closed_at: Millis | None = None
    """When a renewal began: newer cards listen on a newer channel."""

    def carries(self, revision: Revision, activity: Activity) -> bool:
        """Whether its listeners must get this revision: one of its own run that came after it was made.

        Whoever was started on it before that was started with the newest state; so an older revision is not for them,
        and the newest one, whatever clocks say that have been set back since, is. A farewell is for channels that a
        renewal has closed.
        """
        if revision.kind is RevisionKind.FAREWELL:
            return self.closed_at is not None and self.closed_at <= revision.created_at
        if revision.number <= activity.end_revision:
            newest, own = revision.kind is RevisionKind.END, self.first_card < activity.first_card
        else:
            newest, own = revision.number == activity.newest_state, self.first_card == activity.first_card
        return own and (newest or self.created_at <= revision.created_at)


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One update or end for every card on a channel. A broadcast cannot start a card.

    Raises:
        ValueError: naming the field that APNs would refuse, and what it has to be.
    """

    bundle_id: str
    """Without a push-type suffix: it goes into the path, and there is no topic."""
    channel: Channel
    body: bytes
    expiration: int
    """UNIX seconds; 0: do not store, which is the only value for a channel that stores nothing."""
    priority: int = 10
    deadline: float = 30.0
    """Seconds from submission after which it is `Unknown` (written) or `NotProcessed` (not written)."""

    def __post_init__(self) -> None:
        if not 0 < len(self.body) <= MAX_BROADCAST_BODY:
            raise ValueError(f"body: has {len(self.body)} bytes; a broadcast has 1 to {MAX_BROADCAST_BODY}")
        if self.priority not in {1, 5, 10}:
            raise ValueError(f"priority: is {self.priority}; APNs knows 10, 5 and 1")
        if self.expiration < 0:
            raise ValueError("expiration: must be UNIX seconds, or 0 for 'do not store'")
        if self.expiration and self.channel.storage is StoragePolicy.NO_MESSAGE_STORED:
            raise ValueError("expiration: must be 0 on a channel that stores no message")


@dataclass(frozen=True, slots=True)
class Published:
    """What APNs says of a broadcast that it took."""

    request_id: str | None
    """`apns-request-id`."""
    unique_id: str | None
    """`apns-unique-id`: finds the broadcast in Apple's Push Notifications Console."""


class Refusal(Enum):
    """What a refusal of a channel request or a broadcast says of the channel, beyond the rules for every push."""

    GONE = "gone"
    """There is no such channel (any more): make another one. For a deletion that is as good as success."""
    NOT_ENABLED = "not_enabled"
    """The broadcast capability of the App ID is off, and with it all channels are gone: send to tokens instead."""
    FULL = "full"
    """The app has as many channels as it may have: delete unused ones."""
    OTHER = "other"


_REFUSALS: Final = {
    "ChannelNotRegistered": Refusal.GONE,
    "BadChannelId": Refusal.GONE,
    "BadPath": Refusal.GONE,
    "FeatureNotEnabled": Refusal.NOT_ENABLED,
    "BroadcastFeatureNotEnabled": Refusal.NOT_ENABLED,
    "CannotCreateChannelConfig": Refusal.FULL,
}
"""As documented and as seen on the wire: an unknown channel is 404 `BadPath` to a deletion, and to a broadcast
`BadChannelId` if it never existed (apple.md 10)."""


def refusal_of(rejected: Rejected) -> Refusal:
    """What a refusal says of the channel."""
    return _REFUSALS.get(rejected.reason, Refusal.OTHER)
