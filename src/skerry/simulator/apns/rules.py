"""What APNs answers to one device push. Pure: a request, the connection's provider tokens, the phones and a time in.

The order of checks is apple.md 9.1's: method and path, duplicate headers, `apns-id`, authentication, topic, push type,
priority, expiration, collapse id, payload, token. Only "authentication before token" is known to be Apple's.
"""

import json
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hpack import NeverIndexedHeaderTuple

from skerry.domain.push import Environment
from skerry.simulator.apns.channels import Channels
from skerry.simulator.apns.limits import Limits
from skerry.simulator.apns.paths import Listener, Resource, Target, read_target
from skerry.simulator.apns.provider_auth import ConnectionAuth, bundle_id_of
from skerry.simulator.apns.reasons import STATUS, documented
from skerry.simulator.carrier import Delivery, Phones, Standing, TokenKind

LIVE_ACTIVITY_SUFFIX = ".push-type.liveactivity"
PUSH_TYPES = frozenset(
    (
        "alert",
        "background",
        "complication",
        "controls",
        "fileprovider",
        "liveactivity",
        "location",
        "mdm",
        "pushtotalk",
        "voip",
        "widgets",
    )
)

_MAX_TOKEN_DIGITS = 400
_MAX_COLLAPSE_ID_BYTES = 64
_MAX_TOPIC_CHARACTERS = 255
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TOPIC = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_UNIX_SECONDS = re.compile(r"[0-9]{1,18}")
_TOKEN = re.compile(r"(?:[0-9a-f]{2})+")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived."""

    target: Target
    """Method and path."""
    token: str | None
    """The device token of the path in lower case; "" where it is missing, None where this is no device path."""
    headers: dict[str, str]
    """Pseudo-headers included; of a repeated header, the last."""
    repeated: bool
    """Whether any header came more than once."""
    body: bytes
    """The body, or its beginning where it is longer than any push may be."""
    size: int
    """Bytes of the whole body."""

    @classmethod
    def read(cls, fields: Sequence[tuple[bytes, bytes]], body: bytes, size: int | None = None) -> "Request":
        """Take the header list of an HTTP/2 request. Bytes that are not UTF-8 become replacement characters."""
        headers = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields}
        target = read_target(headers.get(":method", ""), headers.get(":path", ""))
        return cls(
            target=target,
            token=target.name.lower() if target.resource is Resource.DEVICE else None,
            headers=headers,
            repeated=len(headers) != len(fields),
            body=body,
            size=len(body) if size is None else size,
        )

    @property
    def topic(self) -> str | None:
        """`apns-topic`."""
        return self.headers.get("apns-topic")

    @property
    def push_type(self) -> str | None:
        """`apns-push-type`."""
        return self.headers.get("apns-push-type")

    @property
    def priority(self) -> int | None:
        """`apns-priority` where it is a number; APNs takes an absent one for 10."""
        text = self.headers.get("apns-priority", "10")
        return int(text) if text in ("1", "5", "10") else None

    @property
    def expiration(self) -> int | None:
        """`apns-expiration` in UNIX seconds where it is a number."""
        text = self.headers.get("apns-expiration", "")
        return int(text) if _UNIX_SECONDS.fullmatch(text) else None

    @property
    def id_name(self) -> str:
        """The header that names the request and its answer: `apns-request-id` where channels are concerned."""
        return "apns-id" if self.target.resource in (Resource.DEVICE, None) else "apns-request-id"

    @property
    def apns_id(self) -> str | None:
        """The value of that header where it is well-formed."""
        text = self.headers.get(self.id_name, "")
        return text if _CANONICAL_UUID.fullmatch(text) else None

    @property
    def id_is_bad(self) -> bool:
        """Whether that header is there and not well-formed."""
        return self.id_name in self.headers and self.apns_id is None

    @property
    def channel_id(self) -> str | None:
        """`apns-channel-id`."""
        return self.headers.get("apns-channel-id")

    @property
    def for_live_activity(self) -> bool:
        """Whether the topic is a Live Activity's."""
        return (self.topic or "").endswith(LIVE_ACTIVITY_SUFFIX)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told."""

    status: int
    apns_id: str
    reason: str | None = None
    timestamp: int | str | None = None
    """Only with 410: milliseconds since 1970 UTC. A scripted rejection may put anything here."""
    unique_id: str | None = None
    """`apns-unique-id`, in the sandbox."""
    retry_after_s: int | None = None
    """Scripted rejections only: Apple documents no such header."""
    raw_body: str | None = None
    """Scripted rejections only: sent instead of Apple's JSON."""
    id_name: str = "apns-id"
    """The header that carries `apns_id`."""
    channel_id: str | None = None
    """`apns-channel-id`, of a channel just made."""
    content: bytes = b""
    """The JSON body of an answer that is no refusal."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The response headers, `:status` first."""
        # An id is never seen again: in the compression table it would only push out what is.
        fields: list[tuple[bytes, bytes]] = [
            (b":status", b"%d" % self.status),
            NeverIndexedHeaderTuple(self.id_name.encode(), self.apns_id.encode()),
        ]
        if self.channel_id is not None:
            fields.append(NeverIndexedHeaderTuple(b"apns-channel-id", self.channel_id.encode()))
        if self.unique_id is not None:
            fields.append(NeverIndexedHeaderTuple(b"apns-unique-id", self.unique_id.encode()))
        if self.reason is not None or self.content:
            fields.append((b"content-type", b"application/json"))
        if self.retry_after_s is not None:
            fields.append((b"retry-after", b"%d" % self.retry_after_s))
        return fields

    def body(self) -> bytes:
        """Exactly `{"reason":"…"}`, with `timestamp` for 410; empty for a push that was accepted."""
        if self.raw_body is not None:
            return self.raw_body.encode()
        if self.reason is None:
            return self.content
        fields: dict[str, object] = {"reason": self.reason}
        if self.timestamp is not None:
            fields["timestamp"] = self.timestamp
        return json.dumps(fields, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Site:
    """What a request is judged against; one per connection."""

    environment: Environment
    auth: ConnectionAuth
    phones: Phones
    limits: Limits
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    channels: Channels = field(default_factory=Channels)
    listener: Listener = Listener.PUSH


def judge(request: Request, site: Site, now: float, *, documented_spellings: bool = False) -> Answer:
    """Answer one device push.

    Args:
        request: the request; `body` may be cut, `size` is what counts.
        site: where it arrived. The connection's provider-token state moves on.
        now: seconds since 1970 UTC.
        documented_spellings: say `BadEnvironmentKeyIdInToken` as the documentation does, not as the wire does.

    Returns:
        The answer. A 200 says nothing about what the phone makes of the push.
    """
    apns_id = request.apns_id or site.new_id()
    reason = (
        _address(request)
        or ("DuplicateHeaders" if request.repeated else None)
        or ("BadMessageId" if request.id_is_bad else None)
        or site.auth.refusal(request.headers.get("authorization"), now)
        or _topic(request, site.auth)
        or _push_type(request)
        or _priority(request, site.limits)
        or ("BadExpirationDate" if "apns-expiration" in request.headers and request.expiration is None else None)
        or _collapse_id(request)
        or _payload(request, site.limits)
    )
    standing = None
    if reason is None:
        standing = _standing(request, site)
        reason = _token(request, standing)
    if reason is None:
        unique_id = site.new_id() if site.environment is Environment.SANDBOX else None
        return Answer(200, apns_id, unique_id=unique_id)
    if documented_spellings:
        reason = documented(reason)
    timestamp = None
    if standing is not None and reason == standing.gone:
        timestamp = round((now if standing.gone_since is None else standing.gone_since) * 1000)
    return Answer(STATUS[reason], apns_id, reason, timestamp)


def delivery(request: Request, answer: Answer, environment: Environment, now: float) -> Delivery:
    """An accepted request as it leaves for the phone.

    Args:
        request: a request that `judge` answered with 200.
        answer: that answer.
        environment: where it was accepted.
        now: seconds since 1970 UTC.
    """
    return Delivery(
        environment=environment,
        token=request.token or "",
        apns_id=answer.apns_id,
        topic=request.topic or "",
        push_type=request.push_type or "",
        priority=request.priority or 10,
        expiration=request.expiration,
        body=request.body,
        accepted_at=now,
    )


def _address(request: Request) -> str | None:
    if request.headers.get(":method") != "POST":
        return "MethodNotAllowed"
    token = request.token
    if token is None or "/" in token:
        return "BadPath"
    return None if token else "MissingDeviceToken"


def _topic(request: Request, auth: ConnectionAuth) -> str | None:
    topic = request.topic
    if not topic:
        return "MissingTopic"
    if len(topic) > _MAX_TOPIC_CHARACTERS or not TOPIC.fullmatch(topic):
        return "BadTopic"
    return None if auth.covers(topic) else "TopicDisallowed"


def _push_type(request: Request) -> str | None:
    """A Live Activity's topic asks for its push type: Apple says "error, delay or drop" if not; here, error."""
    if request.for_live_activity:
        return None if request.push_type == "liveactivity" else "InvalidPushType"
    return None if request.push_type is None or request.push_type in PUSH_TYPES else "InvalidPushType"


def _priority(request: Request, limits: Limits) -> str | None:
    low = request.priority == 1 and request.for_live_activity and not limits.low_priority_live_activities
    return "BadPriority" if request.priority is None or low else None


def _collapse_id(request: Request) -> str | None:
    collapse_id = request.headers.get("apns-collapse-id")
    too_long = collapse_id is not None and len(collapse_id.encode()) > _MAX_COLLAPSE_ID_BYTES
    return "BadCollapseId" if too_long else None


def _payload(request: Request, limits: Limits) -> str | None:
    if request.size == 0:
        return "PayloadEmpty"
    most = limits.voip_payload_bytes if request.push_type == "voip" else limits.payload_bytes
    return "PayloadTooLarge" if request.size > most else None


def _standing(request: Request, site: Site) -> Standing | None:
    """Any even number of hexadecimal digits is a plausible token (apple.md 3.9); whether it exists the phones know."""
    token = request.token or ""
    if len(token) > _MAX_TOKEN_DIGITS or not _TOKEN.fullmatch(token):
        return None
    return site.phones.standing(site.environment, token)


def _token(request: Request, standing: Standing | None) -> str | None:
    if standing is None:
        return "BadDeviceToken"
    if standing.gone is not None:
        return standing.gone
    if bundle_id_of(request.topic or "") != standing.bundle_id:
        return "DeviceTokenNotForTopic"
    # A push of type `liveactivity` to a plain bundle id is for no token at all: such topics are a device token's.
    fits = (standing.kind is TokenKind.DEVICE) != request.for_live_activity
    return (
        None
        if fits and request.for_live_activity == (request.push_type == "liveactivity")
        else ("DeviceTokenNotForTopic")
    )
