"""Reading what is not simply a 200: Apple's error format, and everything that is not quite that."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skerry.apns.answer import BODY_LIMIT, Answer, milliseconds, retry_after
from skerry.apns.reasons import Reason, Remedy, reason_in, remedy
from skerry.domain.push import Rejected

A_TIME = 1_790_000_000_000


def answer(status: int, body: bytes = b"", **headers: str) -> Answer:
    found = Answer(status, {name.replace("_", "-"): value for name, value in headers.items()})
    found.collect(body)
    return found


def test_apples_reason() -> None:
    assert answer(400, b'{"reason":"BadDeviceToken"}').rejected() == Rejected(400, "BadDeviceToken")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", ""),
        (b"<html>502 Bad Gateway</html>", "<html>502 Bad Gateway</html>"),
        (b'{"reason":7}', '{"reason":7}'),
        (b'{"reason":', '{"reason":'),
        (b'["reason"]', '["reason"]'),
        (b'{"reason":"NeverHeardOfIt"}', "NeverHeardOfIt"),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2),
        (b'{"reason":"a\\u0000b"}', "a\N{REPLACEMENT CHARACTER}b"),
        (b'{"reason":"a\\ud800b"}', "a?b"),
        ("ü".encode() * 500, "ü" * 200),
        (b"[" * 16_000, "[" * 200),
        (b'{"reason":"' + b"9" * 9_000 + b'"}', "9" * 200),
        (b'{"timestamp":' + b"9" * 9_000 + b"}", ('{"timestamp":' + "9" * 9_000)[:200]),
    ],
)
def test_what_is_not_quite_apples_format_is_kept_as_text(body: bytes, reason: str) -> None:
    assert answer(400, body).rejected() == Rejected(400, reason)


def test_a_gone_token_has_its_time_and_no_other_answer_has() -> None:
    body = b'{"reason":"Unregistered","timestamp":%d}' % A_TIME
    assert answer(410, body).rejected().invalid_since == A_TIME
    assert answer(400, body).rejected().invalid_since is None
    assert answer(410, b'{"reason":"Unregistered"}').rejected().invalid_since is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (A_TIME, A_TIME),
        (str(A_TIME), A_TIME),
        (A_TIME / 1000, A_TIME),
        (A_TIME // 1000, A_TIME),
        (f"{A_TIME // 1000}.5", A_TIME + 500),
        (None, None),
        (True, None),
        ([A_TIME], None),
        ("soon", None),
        ("", None),
        (0, None),
        (-A_TIME, None),
        (float("nan"), None),
        ("Infinity", None),
        (10**400, None),
        ("1e400", None),
        (10**15, None),
    ],
)
def test_times_in_milliseconds_seconds_or_text(value: object, expected: int | None) -> None:
    assert milliseconds(value) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 120 "}, 120.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "\u0667"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 5_000}, 9_999_999_999.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:27:30 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 08:00:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "now"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after(headers) == expected


def test_only_so_much_of_a_body_is_kept() -> None:
    found = Answer(500, {})
    for _ in range(10):
        found.collect(b"x" * (BODY_LIMIT // 4))
    assert len(found.body) == BODY_LIMIT
    assert found.oversized


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    body=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["reason", "timestamp"]), inner),
        max_leaves=5,
    ).map(lambda value: json.dumps(value).encode()),
    retry=st.text(max_size=40),
    date=st.text(max_size=40),
)
@example(body=b'{"reason":"\\udfff"}', retry="Mon, 01 Jan 0001 00:00:00 +2359", date="Fri, 31 Dec 9999 23:59:59 -2359")
def test_any_answer_is_a_value_that_any_store_can_hold(body: bytes, retry: str, date: str) -> None:
    rejected = answer(410, body, retry_after=retry, date=date).rejected()
    assert rejected.reason.encode().decode() == rejected.reason
    assert len(rejected.reason) <= 200
    assert "\0" not in rejected.reason
    assert rejected.invalid_since is None or 0 <= rejected.invalid_since < 2**53
    assert rejected.retry_after is None or rejected.retry_after >= 0
    said = reason_in(body)
    assert said.encode().decode() == said
    assert len(said) <= 200


@pytest.mark.parametrize(
    ("debug", "reason"),
    [
        (b"", ""),
        (b'{"reason":"Shutdown"}', "Shutdown"),
        (b" IdleTimeout \n", "IdleTimeout"),
        (b'{"reason":1}', '{"reason":1}'),
        (b'"text"', '"text"'),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
        (b"x" * 10_000, "x" * 200),
    ],
)
def test_the_reason_of_a_goaway(debug: bytes, reason: str) -> None:
    assert reason_in(debug) == reason


def test_what_a_reason_asks_of_the_route() -> None:
    assert remedy("ExpiredProviderToken") is Remedy.RENEW_TOKEN
    assert remedy("TooManyProviderTokenUpdates") is Remedy.PAUSE
    assert remedy("InvalidProviderToken") is Remedy.FIX_CREDENTIAL
    assert remedy("BadDeviceToken") is Remedy.NONE
    assert remedy("NeverHeardOfIt") is Remedy.NONE
    asking = {reason for reason in Reason if remedy(reason) is not Remedy.NONE}
    assert all("Token" in reason or "Certificate" in reason for reason in asking), "nothing about one push"
