"""One provider token per team and key, renewed at 50 minutes and never before 20 (apple.md 2.1 and 2.2)."""

from collections.abc import Callable
from itertools import pairwise

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.apns.provider_token import CredentialError, ProviderTokens
from skerry.domain.push import Credential

MINUTE = 60.0
KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


CREDENTIAL = Credential("TEAM123456", "KEY1234567", pem(KEY))


class Clocks:
    """Two clocks: the wall's may be set, the other one only runs."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_800_000_000.9, 77.0
        self.tokens = ProviderTokens(wall=lambda: self.wall, monotonic=lambda: self.monotonic)

    def run(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_it_is_what_apple_asks_for(clocks: Clocks) -> None:
    token = clocks.tokens.current(CREDENTIAL)
    bearer, _, text = token.authorization.decode().partition(" ")
    assert bearer == "bearer"
    assert jwt.get_unverified_header(text) == {"alg": "ES256", "kid": "KEY1234567"}
    claims = jwt.decode(text, KEY.public_key(), algorithms=["ES256"], options={"verify_iat": False})
    assert claims == {"iss": "TEAM123456", "iat": 1_800_000_000}


def test_it_is_one_for_all_until_it_is_fifty_minutes_old(clocks: Clocks) -> None:
    first = clocks.tokens.current(CREDENTIAL)
    clocks.run(50 * MINUTE)
    assert clocks.tokens.current(CREDENTIAL) is first
    assert clocks.tokens.age(CREDENTIAL) == 50 * MINUTE
    clocks.run(0.1)
    second = clocks.tokens.current(CREDENTIAL)
    assert second.authorization != first.authorization
    assert clocks.tokens.current(CREDENTIAL) is second
    assert clocks.tokens.signatures == 2
    assert clocks.tokens.age(CREDENTIAL) == 0


@pytest.mark.parametrize("step", [-3_600.0, 3_600.0, -86_400.0])
def test_a_wall_clock_that_is_set_changes_nothing_about_its_age(clocks: Clocks, step: float) -> None:
    """F16: the age counts from the signing on a clock that never steps."""
    first = clocks.tokens.current(CREDENTIAL)
    clocks.wall += step
    clocks.run(49 * MINUTE)
    assert clocks.tokens.current(CREDENTIAL) is first
    clocks.run(2 * MINUTE)
    claims = jwt.decode(clocks.tokens.current(CREDENTIAL).authorization[7:], options={"verify_signature": False})
    assert claims["iat"] == int(clocks.wall)


@pytest.mark.parametrize(
    "other",
    [
        Credential("TEAM999999", "KEY1234567", CREDENTIAL.private_key_pem),
        Credential("TEAM123456", "KEY9999999", CREDENTIAL.private_key_pem),
        Credential("TEAM123456", "KEY1234567", pem(ec.generate_private_key(ec.SECP256R1()))),
    ],
    ids=["team", "key-id", "key"],
)
def test_each_team_and_key_has_its_own(clocks: Clocks, other: Credential) -> None:
    assert clocks.tokens.current(CREDENTIAL) is not clocks.tokens.current(other)
    assert clocks.tokens.signatures == 2
    same = Credential(CREDENTIAL.team_id, CREDENTIAL.key_id, bytes(CREDENTIAL.private_key_pem))
    assert clocks.tokens.current(same) is clocks.tokens.current(CREDENTIAL)


def test_apns_may_call_it_expired_once_it_is_twenty_minutes_old(clocks: Clocks) -> None:
    first = clocks.tokens.current(CREDENTIAL)
    clocks.run(20 * MINUTE)
    assert clocks.tokens.expired(CREDENTIAL, first.authorization)
    second = clocks.tokens.current(CREDENTIAL)
    assert second is not first
    # A thousand pushes went out with the first one: each of them is told the same.
    assert clocks.tokens.expired(CREDENTIAL, first.authorization)
    assert clocks.tokens.current(CREDENTIAL) is second
    assert clocks.tokens.signatures == 2


def test_a_young_one_that_is_called_expired_is_kept(clocks: Clocks) -> None:
    """Our clock or the key is wrong: another signature would only bring `TooManyProviderTokenUpdates`."""
    first = clocks.tokens.current(CREDENTIAL)
    clocks.run(20 * MINUTE - 1)
    assert not clocks.tokens.expired(CREDENTIAL, first.authorization)
    assert clocks.tokens.current(CREDENTIAL) is first
    assert clocks.tokens.signatures == 1


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 40 * 60), st.sampled_from(["current", "expired", "expired before"])), max_size=40
    )
)
def test_never_two_within_twenty_minutes_whatever_apns_says(steps: list[tuple[int, str]]) -> None:
    clocks = Clocks()
    seen: dict[bytes, float] = {}
    for seconds, what in steps:
        clocks.run(seconds)
        token = clocks.tokens.current(CREDENTIAL)
        seen.setdefault(token.authorization, clocks.monotonic)
        if what != "current":
            clocks.tokens.expired(CREDENTIAL, token.authorization if what == "expired" else next(iter(seen)))
            seen.setdefault(clocks.tokens.current(CREDENTIAL).authorization, clocks.monotonic)
        assert clocks.monotonic - token.signed_at <= 50 * MINUTE
    times = list(seen.values())
    assert all(after - before >= 20 * MINUTE for before, after in pairwise(times))
    assert clocks.tokens.signatures == len(times)


def test_there_is_no_age_before_the_first(clocks: Clocks) -> None:
    assert clocks.tokens.age(CREDENTIAL) is None


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (lambda: b"", "not a PEM private key"),
        (lambda: b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not a PEM private key"),
        (lambda: pem(ec.generate_private_key(ec.SECP384R1())), "not an EC P-256 key"),
        (lambda: pem(rsa.generate_private_key(65_537, 2_048)), "not an EC P-256 key"),
    ],
)
def test_a_key_that_cannot_sign_says_what_is_wrong_and_signs_nothing(
    clocks: Clocks, key: Callable[[], bytes], text: str
) -> None:
    with pytest.raises(CredentialError, match=text):
        clocks.tokens.current(Credential("TEAM123456", "KEY1234567", key()))
    assert clocks.tokens.signatures == 0
