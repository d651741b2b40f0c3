"""The provider token: one signed JWT per team and key, shared by every connection.

Apple's rules (apple.md 2.1, 2.2): ES256, `kid`, `iss`, `iat` in seconds; renewed at least every 60 and at most every 20
minutes; any new signature counts as a new token. The age counts from the signing, on a clock that never steps.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from skerry.domain.push import Credential

RENEW_AFTER = 50 * 60.0
NEVER_BEFORE = 20 * 60.0


class CredentialError(ValueError):
    """The key cannot sign provider tokens."""


@dataclass(frozen=True, slots=True)
class ProviderToken:
    """A signed token."""

    authorization: bytes
    """The header's value: `bearer …`."""
    signed_at: float
    """By the monotonic clock."""


def load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Apple's `.p8`: an EC P-256 private key as PKCS#8 PEM.

    Raises:
        CredentialError: saying what it is instead.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise CredentialError(f"not a PEM private key as in Apple's .p8 file: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CredentialError("not an EC P-256 key: APNs signs with ES256 only; use the .p8 file of a key from Apple")
    return key


class ProviderTokens:
    """The current token of each credential."""

    def __init__(
        self, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._tokens: dict[tuple[str, str, bytes], ProviderToken] = {}
        self.signatures = 0
        """Tokens signed since the beginning."""

    def current(self, credential: Credential) -> ProviderToken:
        """The token to use now; a new one where there is none or it is older than 50 minutes.

        Raises:
            CredentialError: if the key cannot sign.
        """
        token = self._tokens.get(_identity(credential))
        if token is None or self._monotonic() - token.signed_at > RENEW_AFTER:
            token = self._sign(credential)
        return token

    def expired(self, credential: Credential, authorization: bytes) -> bool:
        """APNs calls this token expired. Renews it where that is allowed; returns whether there is a newer one now."""
        token = self.current(credential)
        if token.authorization != authorization:
            return True
        if self._monotonic() - token.signed_at < NEVER_BEFORE:
            return False  # our clock or the key is wrong: another signature would only bring the next error
        self._sign(credential)
        return True

    def age(self, credential: Credential) -> float | None:
        """Seconds since the signing of the current token."""
        token = self._tokens.get(_identity(credential))
        return None if token is None else self._monotonic() - token.signed_at

    def skew(self, server_time: float) -> float:
        """Seconds that our wall clock is ahead of a server that says it is `server_time` (UNIX seconds)."""
        return self._wall() - server_time

    def _sign(self, credential: Credential) -> ProviderToken:
        key = load_key(credential.private_key_pem)
        text = jwt.encode(
            {"iss": credential.team_id, "iat": int(self._wall())},
            key,
            algorithm="ES256",
            headers={"kid": credential.key_id, "typ": None},
        )
        token = ProviderToken(b"bearer " + text.encode(), self._monotonic())
        self._tokens[_identity(credential)] = token
        self.signatures += 1
        return token


def _identity(credential: Credential) -> tuple[str, str, bytes]:
    return credential.team_id, credential.key_id, credential.private_key_pem
