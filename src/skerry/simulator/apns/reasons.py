"""Apple's reasons for a request that was not accepted, and their status (apple.md 3.5 and 5.4)."""

from collections.abc import Mapping
from types import MappingProxyType

STATUS: Mapping[str, int] = MappingProxyType(
    {
        "BadCollapseId": 400,
        "BadDeviceToken": 400,
        "BadExpirationDate": 400,
        "BadMessageId": 400,
        "BadPriority": 400,
        "BadTopic": 400,
        "DeviceTokenNotForTopic": 400,
        "DuplicateHeaders": 400,
        "IdleTimeout": 400,
        "InvalidPushType": 400,
        "MissingDeviceToken": 400,
        "MissingTopic": 400,
        "PayloadEmpty": 400,
        "TopicDisallowed": 400,
        "BadChannelId": 400,
        "BadRequestParams": 400,
        "BadRequestPayload": 400,
        "BroadcastFeatureNotEnabled": 400,
        "CannotCreateChannelConfig": 400,
        "ChannelNotRegistered": 400,
        "FeatureNotEnabled": 400,
        "MissingChannelId": 400,
        "MissingChannelQueueSize": 400,
        "MissingPushType": 400,
        "BadCertificate": 403,
        "BadCertificateEnvironment": 403,
        "BadEnvironmentKeyIdInToken": 403,
        "BadEnvironmentKeyInToken": 403,
        "ExpiredProviderToken": 403,
        "Forbidden": 403,
        "InvalidProviderToken": 403,
        "MissingProviderToken": 403,
        "TopicMismatch": 403,
        "UnrelatedKeyIdInToken": 403,
        "BadPath": 404,
        "MethodNotAllowed": 405,
        "ExpiredToken": 410,
        "Unregistered": 410,
        "PayloadTooLarge": 413,
        "TooManyProviderTokenUpdates": 429,
        "TooManyRequests": 429,
        "InternalServerError": 500,
        "ServiceUnavailable": 503,
        "Shutdown": 503,
    }
)
"""Reason to status, in the spellings of the wire and of the documentation where they differ (apple.md 10)."""

_DOCUMENTED = {
    "BadEnvironmentKeyInToken": "BadEnvironmentKeyIdInToken",
    "BroadcastFeatureNotEnabled": "FeatureNotEnabled",
}


def documented(reason: str) -> str:
    """How Apple's pages spell a reason that is seen on the wire."""
    return _DOCUMENTED.get(reason, reason)


def counts_as_error(status: int) -> bool:
    """Whether Apple holds an answer against the connection: any 4xx but 410 (apple.md 1.3)."""
    return 400 <= status < 500 and status != 410  # noqa: PLR2004 - HTTP's own numbers
