"""Apple's reason strings, and which of them speak about the connection or its token rather than about one push.

Source: Apple, "Handling notification responses from APNs". What to do about a push is decided by the domain.
"""

import json
from enum import Enum, StrEnum
from typing import Final

_TEXT_LIMIT: Final = 200


class Reason(StrEnum):
    """Every reason documented for pushes, broadcasts, channels and GOAWAY, with the spellings seen on the wire."""

    BAD_CHANNEL_ID = "BadChannelId"
    BAD_REQUEST_PARAMS = "BadRequestParams"
    BAD_REQUEST_PAYLOAD = "BadRequestPayload"
    BROADCAST_FEATURE_NOT_ENABLED = "BroadcastFeatureNotEnabled"
    CANNOT_CREATE_CHANNEL_CONFIG = "CannotCreateChannelConfig"
    CHANNEL_NOT_REGISTERED = "ChannelNotRegistered"
    FEATURE_NOT_ENABLED = "FeatureNotEnabled"
    MISSING_CHANNEL_ID = "MissingChannelId"
    MISSING_CHANNEL_QUEUE_SIZE = "MissingChannelQueueSize"
    MISSING_PUSH_TYPE = "MissingPushType"
    TOPIC_MISMATCH = "TopicMismatch"
    BAD_COLLAPSE_ID = "BadCollapseId"
    BAD_DEVICE_TOKEN = "BadDeviceToken"  # noqa: S105 -- Apple's word, no secret
    BAD_EXPIRATION_DATE = "BadExpirationDate"
    BAD_MESSAGE_ID = "BadMessageId"
    BAD_PRIORITY = "BadPriority"
    BAD_TOPIC = "BadTopic"
    DEVICE_TOKEN_NOT_FOR_TOPIC = "DeviceTokenNotForTopic"  # noqa: S105 -- Apple's word, no secret
    DUPLICATE_HEADERS = "DuplicateHeaders"
    IDLE_TIMEOUT = "IdleTimeout"
    INVALID_PUSH_TYPE = "InvalidPushType"
    MISSING_DEVICE_TOKEN = "MissingDeviceToken"  # noqa: S105 -- Apple's word, no secret
    MISSING_TOPIC = "MissingTopic"
    PAYLOAD_EMPTY = "PayloadEmpty"
    TOPIC_DISALLOWED = "TopicDisallowed"
    BAD_CERTIFICATE = "BadCertificate"
    BAD_CERTIFICATE_ENVIRONMENT = "BadCertificateEnvironment"
    EXPIRED_PROVIDER_TOKEN = "ExpiredProviderToken"  # noqa: S105 -- Apple's word, no secret
    FORBIDDEN = "Forbidden"
    INVALID_PROVIDER_TOKEN = "InvalidProviderToken"  # noqa: S105 -- Apple's word, no secret
    MISSING_PROVIDER_TOKEN = "MissingProviderToken"  # noqa: S105 -- Apple's word, no secret
    UNRELATED_KEY_ID_IN_TOKEN = "UnrelatedKeyIdInToken"  # noqa: S105 -- Apple's word, no secret
    BAD_ENVIRONMENT_KEY_ID_IN_TOKEN = "BadEnvironmentKeyIdInToken"  # noqa: S105 -- Apple's word, no secret
    BAD_ENVIRONMENT_KEY_IN_TOKEN = "BadEnvironmentKeyInToken"  # noqa: S105 -- the wire's spelling of the same
    BAD_PATH = "BadPath"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    EXPIRED_TOKEN = "ExpiredToken"  # noqa: S105 -- Apple's word, no secret
    UNREGISTERED = "Unregistered"
    PAYLOAD_TOO_LARGE = "PayloadTooLarge"
    TOO_MANY_PROVIDER_TOKEN_UPDATES = "TooManyProviderTokenUpdates"  # noqa: S105 -- Apple's word, no secret
    TOO_MANY_REQUESTS = "TooManyRequests"
    INTERNAL_SERVER_ERROR = "InternalServerError"
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    SHUTDOWN = "Shutdown"


class Remedy(Enum):
    """What a reason asks of the route that carried the push."""

    NONE = "none"
    """It concerns this push only."""
    RENEW_TOKEN = "renew_token"  # noqa: S105 -- a remedy's name, no secret
    """Sign a new provider token, open new connections (one that said so stays wedged), send again."""
    PAUSE = "pause"
    """Keep the token and send nothing on this route for a moment."""
    REPLACE_CONNECTION = "replace_connection"
    """The connection is bound to another key: only a new one helps."""
    FIX_CREDENTIAL = "fix_credential"
    """Nothing on the wire helps: the operator has to correct the key, its id, the team or the environment."""


_REMEDIES: dict[str, Remedy] = {
    Reason.EXPIRED_PROVIDER_TOKEN: Remedy.RENEW_TOKEN,
    Reason.TOO_MANY_PROVIDER_TOKEN_UPDATES: Remedy.PAUSE,
    Reason.UNRELATED_KEY_ID_IN_TOKEN: Remedy.REPLACE_CONNECTION,
    Reason.INVALID_PROVIDER_TOKEN: Remedy.FIX_CREDENTIAL,
    Reason.MISSING_PROVIDER_TOKEN: Remedy.FIX_CREDENTIAL,
    Reason.BAD_ENVIRONMENT_KEY_ID_IN_TOKEN: Remedy.FIX_CREDENTIAL,
    Reason.BAD_ENVIRONMENT_KEY_IN_TOKEN: Remedy.FIX_CREDENTIAL,
    Reason.BAD_CERTIFICATE: Remedy.FIX_CREDENTIAL,
    Reason.BAD_CERTIFICATE_ENVIRONMENT: Remedy.FIX_CREDENTIAL,
}


def remedy(reason: str) -> Remedy:
    """What `reason`, Apple's string from an answer or a GOAWAY, asks of the route. Unknown strings: nothing."""
    return _REMEDIES.get(reason, Remedy.NONE)


def reason_in(debug_data: bytes) -> str:
    """The reason in a GOAWAY's debug data: JSON by Apple's page, plain text or nothing in practice.

    Returns:
        Apple's reason; else the text; else an empty string. As `plain` makes it.
    """
    text = debug_data[:4096].decode("utf-8", "replace").strip()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return plain(text)
    if isinstance(content, dict) and isinstance(content.get("reason"), str):
        return plain(content["reason"])
    return plain(text)


def plain(text: str) -> str:
    """A peer's text as every store and log can hold it: at most 200 characters, no U+0000, no lone surrogates.

    JSON's escapes can say a lone surrogate, and UTF-8 cannot: it would fail where it is written down.
    """
    return text[:_TEXT_LIMIT].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
