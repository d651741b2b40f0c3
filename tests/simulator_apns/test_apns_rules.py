"""What APNs answers to one request, rule by rule, without a socket."""

import json

import pytest

from skerry.domain.push import Environment
from skerry.simulator.apns.limits import Limits
from skerry.simulator.apns.provider_auth import ConnectionAuth
from skerry.simulator.apns.provider_keys import ProviderKeys
from skerry.simulator.apns.rules import Answer, Request, Site, delivery, judge
from skerry.simulator.carrier import Standing, TokenKind

NOW = 1_790_000_000.0
BUNDLE = "com.example.app"
TOPIC = f"{BUNDLE}.push-type.liveactivity"
LIVE, START, PLAIN = "80" * 80, "81" * 80, "12" * 32
EXPIRED, DELETED, FOREIGN = "82" * 80, "83" * 80, "84" * 80
ID = "0b9f4c6a-6f6e-4f57-9d6f-1f7d7f0c1a2b"

STANDINGS = {
    LIVE: Standing(BUNDLE, TokenKind.UPDATE),
    START: Standing(BUNDLE, TokenKind.START),
    PLAIN: Standing(BUNDLE, TokenKind.DEVICE),
    EXPIRED: Standing(BUNDLE, TokenKind.UPDATE, "ExpiredToken", 1_789_999_999.5),
    DELETED: Standing(BUNDLE, TokenKind.START, "Unregistered", 1_789_000_000.0),
    FOREIGN: Standing("com.example.other", TokenKind.UPDATE),
}


class Directory:
    def standing(self, environment: Environment, token: str) -> Standing | None:
        return STANDINGS.get(token) if environment is Environment.SANDBOX else None

    def deliver(self, delivery: object) -> None:
        raise AssertionError("the rules deliver nothing")

    def broadcast(self, broadcast: object) -> None:
        raise AssertionError("the rules deliver nothing")


class Admitting(ConnectionAuth):
    """Authentication has its own tests: here every bearer token is good."""

    def __init__(self, bundle_ids: frozenset[str] | None = None) -> None:
        super().__init__(ProviderKeys(), Environment.SANDBOX, Limits())
        self._bundle_ids = bundle_ids

    def refusal(self, authorization: str | None, now: float) -> str | None:
        return None if authorization == "bearer good" else "InvalidProviderToken"


def site(environment: Environment = Environment.SANDBOX, limits: Limits | None = None, **options: object) -> Site:
    return Site(environment, Admitting(**options), Directory(), limits or Limits(), new_id=lambda: "generated")  # type: ignore[arg-type]


def ask(
    token: str = LIVE, body: bytes = b"{}", *, at: Site | None = None, twice: str | None = None, **changes: str | None
) -> Answer:
    fields: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "https",
        ":path": f"/3/device/{token}",
        "authorization": "bearer good",
        "apns-topic": TOPIC,
        "apns-push-type": "liveactivity",
    }
    for name, value in changes.items():
        plain = name.replace("_", "-")
        fields[f":{plain}" if plain in ("method", "path") else plain] = value
    headers = [(name.encode(), value.encode()) for name, value in fields.items() if value is not None]
    if twice is not None:
        headers.append((twice.encode(), b"again"))
    return judge(Request.read(headers, body), at or site(), NOW)


def test_a_good_push_is_answered_with_an_empty_200():
    answer = ask(apns_id=ID)
    assert (answer.status, answer.reason, answer.body()) == (200, None, b"")
    assert answer.headers() == [(b":status", b"200"), (b"apns-id", ID.encode()), (b"apns-unique-id", b"generated")]


def test_the_answer_carries_a_generated_id_where_the_request_has_none():
    assert ask().apns_id == "generated"


def test_production_gives_no_unique_id_and_knows_no_token_of_the_sandbox():
    answer = ask(at=site(Environment.PRODUCTION))
    assert (answer.status, answer.reason, answer.unique_id) == (400, "BadDeviceToken", None)


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"method": "GET"}, 405, "MethodNotAllowed"),
        ({"method": None}, 405, "MethodNotAllowed"),
        ({"path": "/4/broadcasts/apps/x"}, 404, "BadPath"),
        ({"path": f"/3/device/{LIVE}/more"}, 404, "BadPath"),
        ({"path": "/"}, 404, "BadPath"),
        ({"path": "/3/device/"}, 400, "MissingDeviceToken"),
        ({"path": "/3/device"}, 400, "MissingDeviceToken"),
        ({"twice": "apns-topic"}, 400, "DuplicateHeaders"),
        ({"twice": "x-anything"}, 200, None),
        ({"apns_id": ID.upper()}, 400, "BadMessageId"),
        ({"apns_id": "42"}, 400, "BadMessageId"),
        ({"authorization": "bearer bad"}, 403, "InvalidProviderToken"),
        ({"apns_topic": None}, 400, "MissingTopic"),
        ({"apns_topic": ""}, 400, "MissingTopic"),
        ({"apns_topic": "com..example"}, 400, "BadTopic"),
        ({"apns_topic": "com example"}, 400, "BadTopic"),
        ({"apns_topic": "a" * 256}, 400, "BadTopic"),
        ({"apns_topic": TOPIC + ".push-type.liveactivity"}, 400, "TopicDisallowed"),
        ({"apns_push_type": "liveActivity"}, 400, "InvalidPushType"),
        ({"apns_push_type": None}, 400, "InvalidPushType"),
        ({"apns_push_type": "alert"}, 400, "InvalidPushType"),
        ({"apns_priority": "10"}, 200, None),
        ({"apns_priority": "5"}, 200, None),
        ({"apns_priority": "1"}, 400, "BadPriority"),
        ({"apns_priority": "7"}, 400, "BadPriority"),
        ({"apns_priority": "high"}, 400, "BadPriority"),
        ({"apns_expiration": "0"}, 200, None),
        ({"apns_expiration": "1790003600"}, 200, None),
        ({"apns_expiration": "-1"}, 400, "BadExpirationDate"),
        ({"apns_expiration": "soon"}, 400, "BadExpirationDate"),
        ({"apns_expiration": ""}, 400, "BadExpirationDate"),
        ({"apns_collapse_id": "x" * 64}, 200, None),
        ({"apns_collapse_id": "x" * 65}, 400, "BadCollapseId"),
        ({"apns_collapse_id": "ü" * 33}, 400, "BadCollapseId"),
        ({"body": b""}, 400, "PayloadEmpty"),
        ({"body": b"x" * 4096}, 200, None),
        ({"body": b"x" * 4097}, 413, "PayloadTooLarge"),
        ({"body": b"not json"}, 200, None),
        ({"token": "zz"}, 400, "BadDeviceToken"),
        ({"token": "123"}, 400, "BadDeviceToken"),
        ({"token": "ab" * 201}, 400, "BadDeviceToken"),
        ({"token": "ab" * 32}, 400, "BadDeviceToken"),
        ({"token": LIVE.upper()}, 200, None),
        ({"token": START}, 200, None),
        ({"token": PLAIN}, 400, "DeviceTokenNotForTopic"),
        ({"token": FOREIGN}, 400, "DeviceTokenNotForTopic"),
        ({"apns_topic": BUNDLE}, 400, "DeviceTokenNotForTopic"),
        ({"apns_topic": BUNDLE, "apns_push_type": "alert"}, 400, "DeviceTokenNotForTopic"),
        ({"token": PLAIN, "apns_topic": BUNDLE, "apns_push_type": "alert"}, 200, None),
        ({"token": PLAIN, "apns_topic": BUNDLE, "apns_push_type": None}, 200, None),
        ({"token": PLAIN, "apns_topic": BUNDLE, "apns_push_type": "alert", "apns_priority": "1"}, 200, None),
        ({"token": PLAIN, "apns_topic": BUNDLE}, 400, "DeviceTokenNotForTopic"),
        ({"token": PLAIN, "apns_topic": BUNDLE, "apns_push_type": "postcard"}, 400, "InvalidPushType"),
        (
            {"token": PLAIN, "apns_topic": f"{BUNDLE}.voip", "apns_push_type": "voip", "body": b"x" * 5120},
            200,
            None,
        ),
        (
            {"token": PLAIN, "apns_topic": f"{BUNDLE}.voip", "apns_push_type": "voip", "body": b"x" * 5121},
            413,
            "PayloadTooLarge",
        ),
        ({"token": EXPIRED}, 410, "ExpiredToken"),
        ({"token": DELETED}, 410, "Unregistered"),
    ],
)
def test_each_rule_has_its_status_and_reason(changes, status, reason):
    answer = ask(**changes)
    assert (answer.status, answer.reason) == (status, reason)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ({"method": "PUT"}, {"twice": "apns-topic"}, "MethodNotAllowed"),
        ({"twice": "apns-topic"}, {"apns_id": "bad"}, "DuplicateHeaders"),
        ({"apns_id": "bad"}, {"authorization": None}, "BadMessageId"),
        ({"authorization": None}, {"apns_topic": None}, "InvalidProviderToken"),
        ({"apns_topic": None}, {"apns_push_type": "postcard"}, "MissingTopic"),
        ({"apns_push_type": "postcard"}, {"apns_priority": "7"}, "InvalidPushType"),
        ({"apns_priority": "7"}, {"apns_expiration": "x"}, "BadPriority"),
        ({"apns_expiration": "x"}, {"apns_collapse_id": "x" * 65}, "BadExpirationDate"),
        ({"apns_collapse_id": "x" * 65}, {"body": b""}, "BadCollapseId"),
        ({"body": b""}, {"token": "zz"}, "PayloadEmpty"),
        ({"authorization": None}, {"token": "zz"}, "InvalidProviderToken"),
    ],
)
def test_of_two_faults_the_earlier_check_speaks(first, second, reason):
    assert ask(**first, **second).reason == reason


def test_410_says_since_when_in_milliseconds():
    answer = ask(EXPIRED)
    assert json.loads(answer.body()) == {"reason": "ExpiredToken", "timestamp": 1_789_999_999_500}
    assert answer.body().startswith(b'{"reason":"ExpiredToken","timestamp":')


def test_an_error_is_exactly_apples_json():
    answer = ask("ab" * 32, apns_id=ID)
    assert answer.body() == b'{"reason":"BadDeviceToken"}'
    assert (b"content-type", b"application/json") in answer.headers()
    assert (b"apns-id", ID.encode()) in answer.headers()


def test_a_topic_of_somebody_elses_app_is_disallowed():
    assert ask(at=site(bundle_ids=frozenset({"com.example.other"}))).reason == "TopicDisallowed"


def test_priority_1_for_live_activities_can_be_allowed():
    assert ask(apns_priority="1", at=site(limits=Limits(low_priority_live_activities=True))).status == 200


def test_a_delivery_says_what_the_headers_said():
    headers = {":path": f"/3/device/{LIVE}", "apns-topic": TOPIC, "apns-push-type": "liveactivity"}
    request = Request.read([(k.encode(), v.encode()) for k, v in headers.items()], b"{}")
    sent = delivery(request, Answer(200, ID), Environment.SANDBOX, NOW)
    assert (sent.token, sent.topic, sent.priority, sent.expiration, sent.apns_id) == (LIVE, TOPIC, 10, None, ID)


def test_bytes_that_are_no_text_are_no_crash():
    request = Request.read([(b":method", b"POST"), (b":path", b"/3/device/\xff\xfe")], b"{}")
    assert judge(request, site(), NOW).reason == "InvalidProviderToken"
