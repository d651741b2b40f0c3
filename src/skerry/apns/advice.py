"""What each of Apple's reasons means to whoever sends, and what to do about it; the same of pushes without an answer.

The one place: `skerry send-test` says it, and the page about trouble has the same table. Sources: Apple, "Handling
notification responses from APNs", and what was seen on the wire (apple.md 3.5, 5).
"""

from dataclasses import dataclass

from skerry.apns.reasons import Reason


@dataclass(frozen=True, slots=True)
class Advice:
    """About one reason, or one cause."""

    means: str
    mend: str


_APP = "compare bundle id and team with `skerry app show`"
_KEY = "compare key id and team id with Apple's page of the key; `skerry app set` changes them"
_ENVIRONMENT = "use a key for both environments, or an app entry for each of them"
_CERTIFICATE = "nothing: Skerry uses no certificates, so something between Skerry and APNs does"
_OURS = "report it: Skerry should never send this"
_CAPABILITY = "switch Broadcast Capability on for the App ID at Apple, and sign the app anew"
_WAIT = "nothing: Skerry waits and sends again by itself; a test is repeated later"

REASONS: dict[Reason, Advice] = {
    Reason.BAD_DEVICE_TOKEN: Advice(
        "the token belongs to Apple's other environment, or is none",
        "send it through the other environment; where both refuse it, let the app report a new one",
    ),
    Reason.UNREGISTERED: Advice(
        "the app was deleted, or the activity is over on the device", "nothing: the service drops the token by itself"
    ),
    Reason.EXPIRED_TOKEN: Advice("the activity is over for Apple: eight hours have passed", "start it again"),
    Reason.DEVICE_TOKEN_NOT_FOR_TOPIC: Advice(
        "the token is another app's, or of another kind", f"{_APP}; use a token of a Live Activity"
    ),
    Reason.TOPIC_DISALLOWED: Advice("the bundle id is wrong, or not the team's", _APP),
    Reason.BAD_TOPIC: Advice("the bundle id is none", _APP),
    Reason.MISSING_TOPIC: Advice("no topic was sent", _OURS),
    Reason.TOPIC_MISMATCH: Advice("the key does not cover the bundle id", _APP),
    Reason.INVALID_PROVIDER_TOKEN: Advice("APNs does not know the key id, the team id or the signature", _KEY),
    Reason.EXPIRED_PROVIDER_TOKEN: Advice(
        "the provider token is too old: this machine's clock is wrong", "set the clock; `skerry doctor` shows it"
    ),
    Reason.MISSING_PROVIDER_TOKEN: Advice(
        "no provider token arrived", "look for a proxy on the way that takes headers out; Skerry needs a direct way"
    ),
    Reason.TOO_MANY_PROVIDER_TOKEN_UPDATES: Advice(
        "provider tokens of this key are signed too often, here or elsewhere",
        "let one service own the key; Skerry is quiet for a minute by itself",
    ),
    Reason.UNRELATED_KEY_ID_IN_TOKEN: Advice(
        "the connection belongs to another key", "nothing: Skerry opens a new connection"
    ),
    Reason.BAD_ENVIRONMENT_KEY_ID_IN_TOKEN: Advice("the key is for the other environment only", _ENVIRONMENT),
    Reason.BAD_ENVIRONMENT_KEY_IN_TOKEN: Advice("the key is for the other environment only", _ENVIRONMENT),
    Reason.BAD_CERTIFICATE: Advice("a client certificate was refused", _CERTIFICATE),
    Reason.BAD_CERTIFICATE_ENVIRONMENT: Advice("a client certificate is for the other environment", _CERTIFICATE),
    Reason.FORBIDDEN: Advice("the key may not do this", _KEY),
    Reason.TOO_MANY_REQUESTS: Advice("too many pushes to one token in a row", f"send less often; {_WAIT}"),
    Reason.PAYLOAD_TOO_LARGE: Advice(
        "the body has more than 4,096 bytes", "shorten state, attributes or alert; texts and names count in UTF-8"
    ),
    Reason.PAYLOAD_EMPTY: Advice("there was no body", _OURS),
    Reason.INTERNAL_SERVER_ERROR: Advice("APNs has trouble", _WAIT),
    Reason.SERVICE_UNAVAILABLE: Advice("APNs has trouble", _WAIT),
    Reason.SHUTDOWN: Advice("this server of APNs goes away", _WAIT),
    Reason.IDLE_TIMEOUT: Advice("the connection was closed for want of pushes", _WAIT),
    Reason.BAD_EXPIRATION_DATE: Advice(
        "`apns-expiration` is no moment, or not 0 where the channel stores nothing", "use UNIX seconds"
    ),
    Reason.BAD_PRIORITY: Advice("the priority is none", "use 5 or 10"),
    Reason.BAD_CHANNEL_ID: Advice("no such channel was ever made", "let Skerry make channels; it names its own"),
    Reason.CHANNEL_NOT_REGISTERED: Advice("the channel was deleted", "nothing: Skerry makes another for the next card"),
    Reason.FEATURE_NOT_ENABLED: Advice("the app may not broadcast", _CAPABILITY),
    Reason.BROADCAST_FEATURE_NOT_ENABLED: Advice("the app may not broadcast", _CAPABILITY),
    Reason.CANNOT_CREATE_CHANNEL_CONFIG: Advice(
        "the app has as many channels as Apple allows", "end activities that nobody needs; their channels are deleted"
    ),
    Reason.BAD_COLLAPSE_ID: Advice("`apns-collapse-id` is too long", _OURS),
    Reason.BAD_MESSAGE_ID: Advice("`apns-id` is no UUID", _OURS),
    Reason.BAD_PATH: Advice("the path is unknown, or its channel was deleted before", _OURS),
    Reason.BAD_REQUEST_PARAMS: Advice("a member of a channel's body is unknown", _OURS),
    Reason.BAD_REQUEST_PAYLOAD: Advice("a channel's body is no JSON", _OURS),
    Reason.DUPLICATE_HEADERS: Advice("a header came twice", _OURS),
    Reason.INVALID_PUSH_TYPE: Advice("`apns-push-type` is none", _OURS),
    Reason.METHOD_NOT_ALLOWED: Advice("the method is not for this path", _OURS),
    Reason.MISSING_CHANNEL_ID: Advice("no channel was named", _OURS),
    Reason.MISSING_CHANNEL_QUEUE_SIZE: Advice("no storage policy was named", _OURS),
    Reason.MISSING_DEVICE_TOKEN: Advice("the path names no token", _OURS),
    Reason.MISSING_PUSH_TYPE: Advice("no `apns-push-type` was sent", _OURS),
}
"""Those that are met first."""

_UNKNOWN = "it may have been delivered: look at the phone before you send a start again"

CAUSES: dict[str, Advice] = {
    "connect_failed": Advice(
        "no connection to APNs could be made", "run `skerry doctor`: it says what stands in the way"
    ),
    "credential": Advice("the key cannot be used at the moment", _KEY),
    "deadline": Advice(
        "the push found no room before its time was over", "send fewer at once, or allow more time with `--deadline`"
    ),
    "shutdown": Advice("the sender was stopped", "send again"),
    "timeout": Advice("APNs did not answer in time", _UNKNOWN),
    "connection_lost": Advice("the connection broke before the answer", _UNKNOWN),
    "refused_stream": Advice("APNs did not take the stream", "send again"),
    "goaway": Advice("the connection was closed before the push was taken", "send again"),
}
"""Of pushes that were not processed, or whose fate is unknown, by `Outcomes.causes`."""

UNDOCUMENTED = Advice(
    "Apple does not document this", "look for it in Apple's developer forums; the status says who erred"
)


def advice(word: str) -> Advice:
    """About a reason of Apple's or a cause of ours."""
    if word in CAUSES:
        return CAUSES[word]
    return REASONS[Reason(word)] if word in Reason.__members__.values() else UNDOCUMENTED
