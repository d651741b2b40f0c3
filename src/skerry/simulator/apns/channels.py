"""The broadcast channels that exist, of every app and in both environments (apple.md 5)."""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from skerry.domain.channel import Channel, StoragePolicy
from skerry.domain.ids import ChannelId
from skerry.domain.push import Environment

_ID_BYTES = 16


def _random_id() -> str:
    """16 bytes in standard base64, as Apple's have been seen: 24 characters with `+`, `/` and `=`."""
    return base64.b64encode(secrets.token_bytes(_ID_BYTES)).decode()


@dataclass(slots=True)
class _Kept:
    channel: Channel
    created_at: float
    broadcasts: int = 0


class Channels:
    """Channels by environment, app and id. They never expire; a deleted id is remembered as one that has been.

    Args:
        new_id: makes ids; random by default.
    """

    def __init__(self, new_id: Callable[[], str] = _random_id) -> None:
        self._new_id = new_id
        self._kept: dict[tuple[Environment, str], dict[ChannelId, _Kept]] = {}
        self._deleted: set[tuple[Environment, str, ChannelId]] = set()
        self._switched_off: set[str] = set()

    def enabled(self, bundle_id: str) -> bool:
        """Whether the broadcast capability of the App ID is on; it is until it is switched off."""
        return bundle_id not in self._switched_off

    def switch(self, bundle_id: str, *, enabled: bool) -> None:
        """The switch in Apple's developer portal. Off deletes all channels of the app, in both environments."""
        if enabled:
            self._switched_off.discard(bundle_id)
            return
        self._switched_off.add(bundle_id)
        for environment in Environment:
            for channel_id in self.ids(environment, bundle_id):
                self.delete(environment, bundle_id, channel_id)

    def draw_id(self) -> ChannelId:
        """An id that no channel has had."""
        return ChannelId(self._new_id())

    def create(self, environment: Environment, bundle_id: str, channel: Channel, now: float) -> None:
        """Enter a channel."""
        self._kept.setdefault((environment, bundle_id), {})[channel.channel_id] = _Kept(channel, now)

    def find(self, environment: Environment, bundle_id: str, channel_id: str) -> Channel | None:
        """The channel, if it exists for this app in this environment."""
        kept = self._kept.get((environment, bundle_id), {}).get(ChannelId(channel_id))
        return None if kept is None else kept.channel

    def was_deleted(self, environment: Environment, bundle_id: str, channel_id: str) -> bool:
        """Whether there was such a channel once."""
        return (environment, bundle_id, ChannelId(channel_id)) in self._deleted

    def delete(self, environment: Environment, bundle_id: str, channel_id: str) -> None:
        """Remove a channel that exists. What is stored for phones goes on to them (apple.md 5.2)."""
        del self._kept[environment, bundle_id][ChannelId(channel_id)]
        self._deleted.add((environment, bundle_id, ChannelId(channel_id)))

    def ids(self, environment: Environment, bundle_id: str) -> list[ChannelId]:
        """All ids of an app, oldest first."""
        return list(self._kept.get((environment, bundle_id), ()))

    def count(self, environment: Environment, bundle_id: str) -> int:
        """How many an app has."""
        return len(self._kept.get((environment, bundle_id), ()))

    def published(self, environment: Environment, bundle_id: str, channel_id: str) -> None:
        """A broadcast went out on the channel."""
        self._kept[environment, bundle_id][ChannelId(channel_id)].broadcasts += 1

    def to_json(self) -> list[dict[str, Any]]:
        """`{"environment", "bundle_id", "id", "message_storage_policy", "created_at", "broadcasts"}` of each."""
        return [
            {
                "environment": environment.value,
                "bundle_id": bundle_id,
                "id": kept.channel.channel_id,
                "message_storage_policy": int(kept.channel.storage),
                "created_at": kept.created_at,
                "broadcasts": kept.broadcasts,
            }
            for (environment, bundle_id), channels in self._kept.items()
            for kept in channels.values()
        ]


def read_policy(value: object) -> StoragePolicy | None:
    """`message-storage-policy` of a request; None: absent or no policy."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in (0, 1):
        return None
    return StoragePolicy(value)
