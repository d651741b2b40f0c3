"""Secrets at rest: AES-256-GCM, bound to the row they stand in, under a ring of keys.

A sealed value is `id of the key (8 bytes) | nonce (12) | ciphertext and tag`. The ring is a JSON file that only its
owner may read; the newest key seals, every key of the ring opens.
"""

import base64
import json
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_ID, _NONCE, _KEY = 8, 12, 32


class SealError(Exception):
    """A secret cannot be opened, or the ring cannot be read."""


class KeyRing:
    """Seals and opens secrets."""

    def __init__(self, keys: dict[bytes, bytes], current: bytes) -> None:
        self.keys = keys
        self._current = current

    @classmethod
    def at(cls, path: Path) -> "KeyRing":
        """The ring in this file, made there with one key where there is none.

        Raises:
            SealError: if the file is not a key ring.
        """
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, {secrets.token_bytes(_ID): secrets.token_bytes(_KEY)})
        try:
            content = json.loads(path.read_text())
            keys = {base64.b64decode(one["id"]): base64.b64decode(one["key"]) for one in content["keys"]}
            current = base64.b64decode(content["current"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SealError(f"{path} is not a key ring: restore it from the backup ({error})") from error
        if current not in keys or any(len(key) != _KEY for key in keys.values()):
            raise SealError(f"{path} is not a key ring: restore it from the backup")
        return cls(keys, current)

    @classmethod
    def rotate(cls, path: Path) -> "KeyRing":
        """Add a new key, which seals from now on; the old ones go on opening."""
        ring = cls.at(path)
        fresh = secrets.token_bytes(_ID)
        _write(path, {**ring.keys, fresh: secrets.token_bytes(_KEY)})
        return cls.at(path)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Seal a secret for one row: `context` names it and must be given again to open."""
        nonce = os.urandom(_NONCE)
        return self._current + nonce + AESGCM(self.keys[self._current]).encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """The secret.

        Raises:
            SealError: if its key is not in the ring, or the value belongs to another row or was changed.
        """
        key = self.keys.get(sealed[:_ID])
        if key is None:
            raise SealError("the secret was sealed under a key that is not in the key ring: restore the ring")
        nonce, rest = sealed[_ID : _ID + _NONCE], sealed[_ID + _NONCE :]
        try:
            return AESGCM(key).decrypt(nonce, rest, context)
        except InvalidTag as error:
            raise SealError("the secret was changed, or moved from another row") from error


def _write(path: Path, keys: dict[bytes, bytes]) -> None:
    """The last key of `keys` is the current one. Written beside and renamed, so that no crash leaves half a ring."""
    encoded = [
        {"id": base64.b64encode(one).decode(), "key": base64.b64encode(key).decode()} for one, key in keys.items()
    ]
    beside = path.with_suffix(".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"keys": encoded, "current": encoded[-1]["id"]}, file)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
