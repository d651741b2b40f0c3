"""Broadcast channels over the wire: create, read, delete, list, and publish.

Management has hosts and ports of its own, which makes it a route of its own with connections and rules of its own;
broadcasts go to the host of device pushes, over the same connections. Source: apple.md 5.
"""

import json
from urllib.parse import quote

from skerry.apns.answer import Answer
from skerry.apns.client import ApnsClient
from skerry.apns.headers import Field
from skerry.apns.job import Request
from skerry.domain.channel import Broadcast, Channel, Published, StoragePolicy
from skerry.domain.ids import ChannelId
from skerry.domain.push import Accepted, Result, Route, Unknown

PATIENCE = 30.0
"""Seconds that management may take to answer."""

_PUSH_TYPE = "LiveActivity"
_MALFORMED = Unknown("malformed_answer")
"""Apple did it, and what it says of it cannot be read."""


class Channels:
    """Channels of apps. A route's endpoint is the management host, but for `publish`, where it is the device host.

    As with pushes every call has one of four results, and nothing raises but cancellation. A `create` that is `Unknown`
    may have left a channel that nobody knows: whoever calls records before use, and finds orphans with `list`.
    """

    def __init__(self, client: ApnsClient) -> None:
        self._client = client

    async def create(self, route: Route, bundle_id: str, storage: StoragePolicy) -> Result[Channel]:
        """Make a channel."""
        body = json.dumps({"message-storage-policy": int(storage), "push-type": _PUSH_TYPE}).encode()
        result = await self._ask(route, "POST", _path(bundle_id, "channels"), body=body)
        if not isinstance(result, Accepted):
            return result
        channel_id = result.value.headers.get("apns-channel-id")
        return Accepted(Channel(ChannelId(channel_id), storage)) if channel_id else _MALFORMED

    async def read(self, route: Route, bundle_id: str, channel_id: ChannelId) -> Result[Channel]:
        """Look a channel up."""
        result = await self._ask(route, "GET", _path(bundle_id, "channels"), _named(channel_id))
        if not isinstance(result, Accepted):
            return result
        policy = result.value.content.get("message-storage-policy")
        if not isinstance(policy, int) or isinstance(policy, bool) or policy not in {*StoragePolicy}:
            return _MALFORMED
        return Accepted(Channel(channel_id, StoragePolicy(policy)))

    async def delete(self, route: Route, bundle_id: str, channel_id: ChannelId) -> Result[None]:
        """Remove a channel. One that is gone already is refused (see `domain.channel.Refusal`)."""
        result = await self._ask(route, "DELETE", _path(bundle_id, "channels"), _named(channel_id))
        return Accepted(None) if isinstance(result, Accepted) else result

    async def list(self, route: Route, bundle_id: str) -> Result[tuple[ChannelId, ...]]:
        """Every channel of the app in this environment. Apple gives their ids and nothing else."""
        result = await self._ask(route, "GET", _path(bundle_id, "all-channels"))
        if not isinstance(result, Accepted):
            return result
        channels = _ids(result.value)
        return _MALFORMED if channels is None else Accepted(channels)

    async def publish(self, route: Route, broadcast: Broadcast) -> Result[Published]:
        """Send a broadcast. `Unknown` may be sent again: the phones take the newest timestamp."""
        fields = (
            *_named(broadcast.channel.channel_id),
            (b"apns-push-type", b"liveactivity"),
            (b"apns-priority", b"%d" % broadcast.priority),
            (b"apns-expiration", b"%d" % broadcast.expiration),
        )
        path = f"/4/broadcasts/apps/{quote(broadcast.bundle_id, safe='')}"
        request = Request("POST", path, fields, broadcast.body, broadcast.deadline)
        result = await self._client.ask(route, request)
        if not isinstance(result, Accepted):
            return result
        headers = result.value.headers
        return Accepted(Published(headers.get("apns-request-id"), headers.get("apns-unique-id")))

    async def _ask(
        self, route: Route, method: str, path: str, fields: tuple[Field, ...] = (), body: bytes = b""
    ) -> Result[Answer]:
        return await self._client.ask(route, Request(method, path, fields, body, PATIENCE))


def _path(bundle_id: str, what: str) -> str:
    return f"/1/apps/{quote(bundle_id, safe='')}/{what}"


def _named(channel_id: ChannelId) -> tuple[Field, ...]:
    return ((b"apns-channel-id", channel_id.encode()),)


def _ids(answer: Answer) -> tuple[ChannelId, ...] | None:
    channels = answer.content.get("channels")
    if not isinstance(channels, list) or not all(isinstance(one, str) for one in channels):
        return None
    return tuple(ChannelId(one) for one in channels)
