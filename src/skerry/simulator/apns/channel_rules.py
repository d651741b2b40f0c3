"""What APNs answers to broadcasts and to channel management, and what then happens. Pure but for `carry_out`.

The order of checks is that of device pushes, with "authentication, then channel id" known to be Apple's (apple.md 5.4).
"""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

from skerry.domain.channel import Channel, StoragePolicy
from skerry.domain.ids import ChannelId
from skerry.simulator.apns.channels import read_policy
from skerry.simulator.apns.paths import Listener, Operation, Resource
from skerry.simulator.apns.provider_auth import bundle_id_of
from skerry.simulator.apns.reasons import STATUS, documented
from skerry.simulator.apns.rules import TOPIC, Answer, Request, Site
from skerry.simulator.carrier import Broadcast

PUSH_TYPE = "LiveActivity"
"""As channel management spells it. Broadcasts take `liveactivity` in any case (apple.md 10)."""

_MAX_CHANNEL_ID_CHARACTERS = 128
_SERVED = {
    Listener.PUSH: {Resource.BROADCASTS},
    Listener.MANAGEMENT: {Resource.CHANNELS, Resource.ALL_CHANNELS},
}
_SUCCESS = {Operation.CREATE_CHANNEL: 201, Operation.DELETE_CHANNEL: 204}


def judge_channels(request: Request, site: Site, now: float, *, documented_spellings: bool = False) -> Answer:
    """Answer one broadcast or one request of channel management; nothing has happened yet (see `carry_out`).

    Args:
        request: the request; `body` may be cut, `size` is what counts.
        site: where it arrived. The connection's provider-token state moves on.
        now: seconds since 1970 UTC.
        documented_spellings: give the reasons of the documentation where the wire has been seen to give others.
    """
    apns_id = request.apns_id or site.new_id()
    reason = (
        _address(request, site)
        or ("DuplicateHeaders" if request.repeated else None)
        or ("BadMessageId" if request.id_is_bad else None)
        or site.auth.refusal(request.headers.get("authorization"), now)
        or _topic(request, site)
        or (None if site.channels.enabled(request.target.name) else "BroadcastFeatureNotEnabled")
    )
    if reason is None:
        assert request.target.operation is not None
        reason = _REFUSALS[request.target.operation](request, site)
        if documented_spellings:
            reason = _documented_for_unknown_channels(reason, request, site)
    if reason is not None:
        reason = documented(reason) if documented_spellings else reason
        return Answer(STATUS[reason], apns_id, reason, id_name=request.id_name)
    return _accepted(request, site, apns_id)


def carry_out(request: Request, answer: Answer, site: Site, now: float) -> None:
    """Do what was asked and accepted.

    Args:
        request: a request that `judge_channels` accepted.
        answer: that answer.
        site: where it arrived.
        now: seconds since 1970 UTC.
    """
    bundle_id, channels = request.target.name, site.channels
    match request.target.operation:
        case Operation.CREATE_CHANNEL:
            policy = read_policy(_json(request.body).get("message-storage-policy"))
            assert policy is not None
            channel = Channel(ChannelId(answer.channel_id or ""), policy)
            channels.create(site.environment, bundle_id, channel, now)
        case Operation.DELETE_CHANNEL:
            channels.delete(site.environment, bundle_id, request.channel_id or "")
        case Operation.BROADCAST:
            channels.published(site.environment, bundle_id, request.channel_id or "")
            site.phones.broadcast(_broadcast(request, answer, site, now))
        case _:
            pass


def _accepted(request: Request, site: Site, apns_id: str) -> Answer:
    operation = request.target.operation
    assert operation is not None
    content, channel_id, unique_id = b"", None, None
    match operation:
        case Operation.CREATE_CHANNEL:
            channel_id = site.channels.draw_id()
        case Operation.READ_CHANNEL:
            channel = _found(request, site)
            assert channel is not None
            content = _text({"message-storage-policy": int(channel.storage), "push-type": PUSH_TYPE})
        case Operation.LIST_CHANNELS:
            content = _text({"channels": site.channels.ids(site.environment, request.target.name)})
        case Operation.BROADCAST:
            unique_id = site.new_id()
        case _:
            pass
    return Answer(
        _SUCCESS.get(operation, 200),
        apns_id,
        unique_id=unique_id,
        id_name=request.id_name,
        channel_id=channel_id,
        content=content,
    )


def _broadcast(request: Request, answer: Answer, site: Site, now: float) -> Broadcast:
    channel = _found(request, site)
    assert channel is not None
    return Broadcast(
        environment=site.environment,
        bundle_id=request.target.name,
        channel_id=channel.channel_id,
        stored=channel.storage is StoragePolicy.MOST_RECENT_MESSAGE_STORED,
        request_id=answer.apns_id,
        priority=request.priority or 10,
        expiration=request.expiration or 0,
        body=request.body,
        accepted_at=now,
    )


def _address(request: Request, site: Site) -> str | None:
    target = request.target
    if target.resource not in _SERVED[site.listener] or not TOPIC.fullmatch(target.name):
        return "BadPath"
    return None if target.operation is not None else "MethodNotAllowed"


def _topic(request: Request, site: Site) -> str | None:
    bundle_id = request.target.name
    if bundle_id_of(bundle_id) != bundle_id:
        return "TopicDisallowed"
    return None if site.auth.covers(bundle_id) else "TopicMismatch"


def _refuse_create(request: Request, site: Site) -> str | None:
    full = site.channels.count(site.environment, request.target.name) >= site.limits.channels_per_app
    return _payload(request, site) or _configuration(request.body) or ("CannotCreateChannelConfig" if full else None)


def _payload(request: Request, site: Site) -> str | None:
    if request.size == 0:
        return "PayloadEmpty"
    return "PayloadTooLarge" if request.size > site.limits.broadcast_payload_bytes else None


def _configuration(body: bytes) -> str | None:
    """What may be wrong with the JSON that asks for a channel."""
    try:
        wanted = json.loads(body)
    except (ValueError, RecursionError):
        return "BadRequestPayload"
    if not isinstance(wanted, dict):
        return "BadRequestPayload"
    if wanted.keys() - {"message-storage-policy", "push-type"}:
        return "BadRequestParams"
    if read_policy(wanted.get("message-storage-policy")) is None:
        return "MissingChannelQueueSize"
    match wanted.get("push-type"):
        case None:
            return "MissingPushType"
        case kind:
            return None if kind == PUSH_TYPE else "InvalidPushType"


def _refuse_channel(request: Request, site: Site) -> str | None:
    """What may be wrong with `apns-channel-id`. For reading an unknown channel no answer has been observed."""
    channel_id = request.channel_id
    if not channel_id:
        return "MissingChannelId"
    if not _is_base64(channel_id) or len(channel_id) > _MAX_CHANNEL_ID_CHARACTERS:
        return "BadChannelId"
    if _found(request, site) is not None:
        return None
    deleted = site.channels.was_deleted(site.environment, request.target.name, channel_id)
    return "ChannelNotRegistered" if deleted else "BadChannelId"


def _refuse_delete(request: Request, site: Site) -> str | None:
    reason = _refuse_channel(request, site)
    unknown = reason is not None and _is_base64(request.channel_id)
    return "BadPath" if unknown else reason


def _refuse_broadcast(request: Request, site: Site) -> str | None:
    return (
        _refuse_channel(request, site)
        or _push_type(request)
        or ("BadPriority" if "apns-priority" not in request.headers or request.priority is None else None)
        or _expiration(request, site)
        or _payload(request, site)
    )


_REFUSALS: dict[Operation, Callable[[Request, Site], str | None]] = {
    Operation.CREATE_CHANNEL: _refuse_create,
    Operation.READ_CHANNEL: _refuse_channel,
    Operation.DELETE_CHANNEL: _refuse_delete,
    Operation.LIST_CHANNELS: lambda _request, _site: None,
    Operation.BROADCAST: _refuse_broadcast,
}


def _push_type(request: Request) -> str | None:
    if request.push_type is None:
        return "MissingPushType"
    return None if request.push_type.lower() == PUSH_TYPE.lower() else "InvalidPushType"


def _expiration(request: Request, site: Site) -> str | None:
    """Absent is as wrong as no number; on a channel that stores nothing only 0 is right (apple.md 5.4)."""
    channel = _found(request, site)
    stores = channel is not None and channel.storage is StoragePolicy.MOST_RECENT_MESSAGE_STORED
    return "BadExpirationDate" if request.expiration is None or (request.expiration and not stores) else None


def _documented_for_unknown_channels(reason: str | None, request: Request, site: Site) -> str | None:
    """Apple's pages know one reason for a channel that does not exist, whatever is asked of it."""
    unknown = reason in ("BadPath", "BadChannelId") and _is_base64(request.channel_id) and not _found(request, site)
    return "ChannelNotRegistered" if unknown else reason


def _found(request: Request, site: Site) -> Channel | None:
    return site.channels.find(site.environment, request.target.name, request.channel_id or "")


def _is_base64(text: str | None) -> bool:
    if not text:
        return False
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


def _json(body: bytes) -> dict[str, Any]:
    value = json.loads(body)
    assert isinstance(value, dict)
    return value


def _text(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
