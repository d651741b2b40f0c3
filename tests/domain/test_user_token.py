"""What proves that a device is a user's."""

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.domain.ids import Millis
from skerry.domain.user_token import LONGEST, why_not

SECRET = b"a secret of at least thirty-two bytes" * 2
NOW = Millis(1_800_000_000_000)
SECONDS = 1_800_000_000


def token(secret: bytes = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    return jwt.encode({"sub": "user-1", "exp": SECONDS + 600, **claims}, secret, algorithm=algorithm)


def test_a_token_of_the_user_proves_the_user() -> None:
    assert why_not(token(), SECRET, "user-1", NOW) is None


def test_clocks_may_differ_a_little() -> None:
    assert why_not(token(exp=SECONDS - 30), SECRET, "user-1", NOW) is None
    assert why_not(token(exp=SECONDS + LONGEST + 30, iat=SECONDS + 30), SECRET, "user-1", NOW) is None


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (None, "is missing"),
        ("", "is missing"),
        ("no.jwt.here", "is not valid"),
        (token(b"another secret, just as long as ours" * 2), "is not valid"),
        (token(algorithm="HS512"), "is not valid"),
        (jwt.encode({"sub": "user-1", "exp": SECONDS + 600}, "", algorithm="none"), "is not valid"),
        (jwt.encode({"exp": SECONDS + 600}, SECRET, algorithm="HS256"), "is not valid"),
        (jwt.encode({"sub": "user-1"}, SECRET, algorithm="HS256"), "is not valid"),
        (token(exp="soon"), "is not valid"),
        (token(exp=True), "is not valid"),
        (token(exp=1e999), "too long"),
        (token(sub=7), "is not valid"),
        (token(sub="user-2"), "another user's"),
        (token(exp=SECONDS - 61), "has expired"),
        (token(exp=SECONDS + LONGEST + 61), "too long"),
    ],
)
def test_anything_else_does_not_and_says_why(shown: str | None, said: str) -> None:
    assert said in str(why_not(shown, SECRET, "user-1", NOW))


@given(st.text(max_size=200))
def test_no_text_at_all_raises(text: str) -> None:
    assert why_not(text, SECRET, "user-1", NOW) is not None
