"""The APNs key of a session: the services and all clients sign with the same one."""

import time
from functools import lru_cache

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

BUNDLE_ID = "com.example.bench"
TOPIC = f"{BUNDLE_ID}.push-type.liveactivity"
TEAM_ID = "TEAM123456"
KEY_ID = "KEY1234567"


@lru_cache(maxsize=1)
def private_key() -> bytes:
    """PKCS#8 PEM, as Apple's `.p8`."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def authorization() -> str:
    """A signed provider token, as the header's value."""
    claims = {"iss": TEAM_ID, "iat": int(time.time())}
    return "bearer " + jwt.encode(claims, private_key(), algorithm="ES256", headers={"kid": KEY_ID, "typ": None})
