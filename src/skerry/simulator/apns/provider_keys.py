"""The APNs keys that the simulator knows, and the check of one signed provider token against them."""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from skerry.domain.push import Environment

_TEN_CHARACTERS = re.compile(r"[A-Z0-9]{10}")
_BASE64URL = re.compile(rb"[A-Za-z0-9_-]+")
_RAW_SIGNATURE_BYTES = 64
_MAX_TOKEN_BYTES = 4096
_REMEMBERED_CLAIMS = 1024

BOTH_ENVIRONMENTS = frozenset(Environment)


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """One registered APNs key: whose it is, and what it may push to (apple.md 2.3)."""

    team_id: str
    key_id: str
    public_key: ec.EllipticCurvePublicKey
    environments: frozenset[Environment] = BOTH_ENVIRONMENTS
    """Keys made before 2025 work in both; newer ones in one."""
    bundle_ids: frozenset[str] | None = None
    """The team's apps; None: any bundle id belongs to the team."""
    topics: frozenset[str] | None = None
    """Of a topic-specific key: the topics (or bundle ids) that it is limited to. None: a team-scoped key."""
    related_key_id: str | None = None
    """The one other topic-specific key that may be used on the same connection."""

    def may_share_a_connection_with(self, first: "ProviderKey") -> bool:
        """Whether this key may follow `first`, the key of a connection's first push."""
        if self.key_id == first.key_id:
            return True
        if self.topics is None and first.topics is None:
            return True
        return first.key_id == self.related_key_id or self.key_id == first.related_key_id


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider token says, read and verified against the key that it names."""

    key: ProviderKey
    issued_at: int
    """Whole seconds since 1970 UTC."""


class ProviderKeys:
    """The keys of all teams, by team and key id.

    A change applies to tokens that a connection shows for the first time. As with Apple, connections that have taken a
    key's token before go on until they are closed (apple.md 1.4, "after revoking a key").
    """

    def __init__(self) -> None:
        self._keys: dict[str, ProviderKey] = {}
        self._remembered = lru_cache(maxsize=_REMEMBERED_CLAIMS)(self._read)

    def register(self, key: ProviderKey) -> None:
        """Make a key known; an earlier key with the same id is replaced.

        Raises:
            ValueError: if the team id or key id is not 10 upper-case letters or digits, or the key is not on P-256.
        """
        for name, value in (("team_id", key.team_id), ("key_id", key.key_id)):
            if not _TEN_CHARACTERS.fullmatch(value):
                raise ValueError(f"{name} must be 10 upper-case letters or digits as Apple issues them, not {value!r}")
        if not isinstance(key.public_key.curve, ec.SECP256R1):
            raise ValueError("public_key must be on P-256: APNs takes no token but ES256")  # noqa: TRY004 - its curve is
            # a value of the key, not the argument's type.
        self._keys[key.key_id] = key
        self._remembered.cache_clear()

    def register_pem(
        self,
        team_id: str,
        key_id: str,
        pem: bytes,
        *,
        environments: frozenset[Environment] = BOTH_ENVIRONMENTS,
        bundle_ids: frozenset[str] | None = None,
        topics: frozenset[str] | None = None,
        related_key_id: str | None = None,
    ) -> ProviderKey:
        """Register the key of a `.p8` file (the private key, of which only the public half is kept) or a public PEM.

        Raises:
            ValueError: if the PEM holds no EC P-256 key, or an id is malformed.
        """
        public_key = (
            serialization.load_pem_private_key(pem, password=None).public_key()
            if b"PRIVATE KEY" in pem
            else serialization.load_pem_public_key(pem)
        )
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise ValueError("pem must hold an EC P-256 key: APNs takes no token but ES256")  # noqa: TRY004 - the PEM's
            # value is wrong; its type is bytes as asked.
        key = ProviderKey(team_id, key_id, public_key, environments, bundle_ids, topics, related_key_id)
        self.register(key)
        return key

    def generate_dev(
        self, team_id: str = "SKERRYTEAM", key_id: str = "SKERRYDEV1", *, bundle_ids: frozenset[str] | None = None
    ) -> bytes:
        """Make a P-256 key, register it for both environments, and return it as Apple's `.p8` (PKCS#8 PEM)."""
        private_key = ec.generate_private_key(ec.SECP256R1())
        self.register(ProviderKey(team_id, key_id, private_key.public_key(), bundle_ids=bundle_ids))
        return private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def revoke(self, key_id: str) -> None:
        """Forget a key: tokens that no connection has taken yet are `InvalidProviderToken`."""
        self._keys.pop(key_id, None)
        self._remembered.cache_clear()

    def verify(self, token: str) -> Claims | None:
        """Read a JWT and check its signature; None for whatever APNs calls `InvalidProviderToken`.

        The age is not judged here. Results are remembered, because a signature costs as much as a hundred pushes.
        """
        return self._remembered(token)

    def _read(self, token: str) -> Claims | None:
        if len(token) > _MAX_TOKEN_BYTES:
            return None
        parts = token.encode("ascii", "replace").split(b".")
        if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
            return None
        header, claims, signature = (_base64url(part) for part in parts)
        if header is None or claims is None or signature is None:
            return None
        key, issued_at = self._named_key(_json_object(header), _json_object(claims))
        if key is None or not _signed_by(key.public_key, signature, b".".join(parts[:2])):
            return None
        return Claims(key, issued_at)

    def _named_key(self, header: dict[str, Any], claims: dict[str, Any]) -> tuple[ProviderKey | None, int]:
        """The registered key that a token names, and the token's `iat`."""
        key_id, team_id, issued_at = header.get("kid"), claims.get("iss"), claims.get("iat")
        if header.get("alg") != "ES256" or not isinstance(key_id, str):
            return None, 0
        # A bool is an int to Python and not to JSON.
        if not isinstance(issued_at, int) or isinstance(issued_at, bool):
            return None, 0
        key = self._keys.get(key_id)
        return (key if key is not None and key.team_id == team_id else None), issued_at


def _base64url(part: bytes) -> bytes | None:
    if not _BASE64URL.fullmatch(part):
        return None
    try:
        return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except binascii.Error:
        return None


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _signed_by(public_key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    """Accepts JOSE's raw R‖S and the DER that Apple's own command-line recipe produces (apple.md 2.1)."""
    if len(signature) == _RAW_SIGNATURE_BYTES:
        half = _RAW_SIGNATURE_BYTES // 2
        signature = encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
    try:
        public_key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
