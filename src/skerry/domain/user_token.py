"""User tokens: an app's backend vouches that a device is a user's, so that no copy of the app can claim anybody.

A JWT signed with HS256 and the app's secret: `sub` is the user's `extId`, `exp` at most `LONGEST` ahead. A device shows
one with the report that claims the user; later reports of the same user need none (architecture, invariant 10).
"""

import jwt

from skerry.domain.ids import Millis

LONGEST = 24 * 3600
"""Seconds that such a token may be valid for."""
LEEWAY = 60
"""Seconds by which the backend's clock and ours may differ."""


def why_not(token: str | None, secret: bytes, ext_id: str, now: Millis) -> str | None:
    """Why a token does not prove this user; None: it does."""
    if not token:
        return "is missing"
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            options={"require": ["sub", "exp"], "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.InvalidTokenError as error:
        return f"is not valid: {error}"
    if claims["sub"] != ext_id:
        return "is another user's"
    return _why_not_now(claims["exp"], now)


def _why_not_now(expires: object, now: Millis) -> str | None:
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        return "is not valid: exp is not a number"
    left = expires - now / 1000
    if left < -LEEWAY:
        return "has expired"
    if left > LONGEST + LEEWAY:
        return f"is valid for too long: exp may be at most {LONGEST // 3600} hours ahead"
    return None
