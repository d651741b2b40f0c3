"""Apps, their APNs keys and the API keys that speak for them."""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from skerry.domain.app import (
    APPLE_ENDPOINTS,
    APPLE_MANAGEMENT_ENDPOINTS,
    LIVE_ACTIVITY_SUFFIX,
    Address,
    ApiKey,
    App,
    KeyKind,
    KeyProblem,
    Network,
    Principal,
    SealedSecrets,
)
from skerry.domain.errors import RefusedError
from skerry.domain.ids import AppId, Millis
from skerry.domain.push import Endpoint, Environment
from skerry.domain.unit_of_work import UnitOfWork

REMEMBERED_FOR = 5.0
"""Seconds that apps and keys are remembered: how long a revoked key may go on working."""
_MOST_REMEMBERED = 10_000
_NAME = re.compile(r"[\w.-][\w. -]{0,63}")
_BUNDLE_ID = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_APPLE_ID = re.compile(r"[A-Za-z0-9]{10}")
PRIVATE_KEY, USER_TOKEN_SECRET = b"private_key", b"user_token_secret"
"""What a seal is bound to beside the app's number."""
PREFIX = 12
"""Characters of a key that are kept to tell it from others: its kind, and four of the secret. Of a short one that was
chosen by hand at most a third: what is kept must not give it away."""


class AppRecords(Protocol):
    """What this needs from the store."""

    def add(self, app: App, now: Millis) -> AppId: ...
    def save(self, app: App, sealed: SealedSecrets) -> None: ...
    def get(self, app_id: AppId) -> tuple[App, SealedSecrets] | None: ...
    def by_name(self, name: str) -> tuple[App, SealedSecrets] | None: ...
    def all(self) -> list[App]: ...
    def add_key(self, key: ApiKey, digest: bytes) -> int: ...
    def key_by_hash(self, digest: bytes) -> ApiKey | None: ...
    def keys(self, app_id: AppId | None) -> list[ApiKey]: ...
    def revoke_key(self, key_id: int, now: Millis) -> bool: ...


class Transaction(Protocol):
    """The part of the store's transaction that this uses."""

    @property
    def apps(self) -> AppRecords: ...


class Seal(Protocol):
    """Secrets at rest."""

    def seal(self, plain: bytes, context: bytes) -> bytes: ...
    def open(self, sealed: bytes, context: bytes) -> bytes: ...


class Apps:
    """Apps and keys. Changes made by another process are seen within `REMEMBERED_FOR` seconds."""

    def __init__(self, store: UnitOfWork[Transaction], seal: Seal, *, clock: Callable[[], Millis]) -> None:
        self._store = store
        self._seal = seal
        self._clock = clock
        self._apps: dict[AppId, tuple[float, App | None]] = {}
        self._keys: dict[bytes, tuple[float, ApiKey | None]] = {}

    async def create(
        self,
        name: str,
        bundle_id: str,
        *,
        team_id: str | None = None,
        key_id: str | None = None,
        private_key: bytes | None = None,
        environment: Environment = Environment.PRODUCTION,
        endpoints: Mapping[Environment, Endpoint] | None = None,
        management_endpoints: Mapping[Environment, Endpoint] | None = None,
    ) -> App:
        """A new app.

        Raises:
            RefusedError: if the name is taken, the private key cannot sign, or something is not what Apple would take.
        """
        app = App(
            app_id=AppId(0),
            name=name,
            bundle_id=bundle_id,
            created_at=self._clock(),
            team_id=team_id,
            key_id=key_id,
            private_key=private_key,
            environment=environment,
            endpoints={**APPLE_ENDPOINTS, **(endpoints or {})},
            management_endpoints={**APPLE_MANAGEMENT_ENDPOINTS, **(management_endpoints or {})},
        )
        _check(app)

        def work(tx: Transaction) -> App:
            if tx.apps.by_name(name) is not None:
                raise RefusedError(f"an app is called {name!r} already: choose another name, or change that one")
            stored = replace(app, app_id=tx.apps.add(app, app.created_at))
            tx.apps.save(stored, self._sealed(stored))
            return stored

        return await self._store.write(work)

    async def save(self, app: App) -> None:
        """Store a changed app.

        Raises:
            RefusedError: if its private key cannot sign, or something is not what Apple would take.
        """
        _check(app)
        await self._store.write(lambda tx: tx.apps.save(app, self._sealed(app)))
        self._apps.pop(app.app_id, None)

    async def find(self, name_or_id: str) -> App | None:
        """An app by name, or by number."""
        found = await self._store.read(lambda tx: tx.apps.by_name(name_or_id))
        if found is None and name_or_id.isascii() and name_or_id.isdigit():
            number = AppId(int(name_or_id[:18]))
            found = await self._store.read(lambda tx: tx.apps.get(number))
        return None if found is None else self._opened(*found)

    async def named(self, name_or_id: str) -> App:
        """An app that must be there.

        Raises:
            RefusedError: if it is not.
        """
        found = await self.find(name_or_id)
        if found is None:
            raise RefusedError(f"there is no app {name_or_id!r}: skerry app list shows those that are")
        return found

    async def app(self, app_id: AppId) -> App | None:
        """An app by number, remembered for a moment."""
        until, app = self._apps.get(app_id, (0.0, None))
        if until < time.monotonic():
            found = await self._store.read(lambda tx: tx.apps.get(app_id))
            app = None if found is None else self._opened(*found)
            self._apps[app_id] = (time.monotonic() + REMEMBERED_FOR, app)
        return app

    async def list(self) -> Sequence[App]:
        """Every app, without private keys."""
        return await self._store.read(lambda tx: tx.apps.all())

    async def create_key(
        self, app_id: AppId, kind: KeyKind, label: str, networks: Sequence[Network] = (), text: str | None = None
    ) -> tuple[ApiKey, str]:
        """A new API key and its text, which is nowhere kept.

        Raises:
            RefusedError: if a given text is in use already.
        """
        text = text or f"sk_{kind.value}_{secrets.token_urlsafe(24)}"
        digest = _digest(text)
        key = ApiKey(0, app_id, kind, text[: min(PREFIX, len(text) // 3)], label, self._clock(), tuple(networks))

        def work(tx: Transaction) -> ApiKey:
            if tx.apps.key_by_hash(digest) is not None:
                raise RefusedError("this key's text is in use already: choose another, or leave it out")
            return replace(key, key_id=tx.apps.add_key(key, digest))

        return await self._store.write(work), text

    async def require_user_tokens(self, app: App, *, required: bool) -> str | None:
        """From now on devices must prove the user they claim, or need not; returns the new secret's text."""
        secret = secrets.token_urlsafe(32) if required else None
        await self.save(replace(app, user_token_secret=secret.encode() if secret else None))
        return secret

    async def keys(self, app_id: AppId | None = None) -> Sequence[ApiKey]:
        """The keys of an app, or all."""
        return await self._store.read(lambda tx: tx.apps.keys(app_id))

    async def revoke_key(self, key_id: int) -> bool:
        """Close a key; False: there is none, or it is closed already."""
        revoked = await self._store.write(lambda tx: tx.apps.revoke_key(key_id, self._clock()))
        self._keys.clear()
        return revoked

    async def authenticate(self, text: str | None, address: Address | None) -> Principal | KeyProblem:
        """Who a key speaks for."""
        if not text:
            return KeyProblem.UNKNOWN
        digest = _digest(text)
        until, key = self._keys.get(digest, (0.0, None))
        if until < time.monotonic():
            key = await self._store.read(lambda tx: tx.apps.key_by_hash(digest))
            if len(self._keys) > _MOST_REMEMBERED:  # guesses must not fill the memory
                self._keys.clear()
            self._keys[digest] = (time.monotonic() + REMEMBERED_FOR, key)
        if key is None or key.revoked_at is not None:
            return KeyProblem.UNKNOWN
        if not key.allows(address):
            return KeyProblem.ADDRESS
        app = await self.app(key.app_id)
        return KeyProblem.UNKNOWN if app is None else Principal(app, key)

    def _sealed(self, app: App) -> SealedSecrets:
        def seal(plain: bytes | None, name: bytes) -> bytes | None:
            return None if plain is None else self._seal.seal(plain, _context(app.app_id, name))

        return SealedSecrets(seal(app.private_key, PRIVATE_KEY), seal(app.user_token_secret, USER_TOKEN_SECRET))

    def _opened(self, app: App, sealed: SealedSecrets) -> App:
        def opened(secret: bytes | None, name: bytes) -> bytes | None:
            return None if secret is None else self._seal.open(secret, _context(app.app_id, name))

        return replace(
            app,
            private_key=opened(sealed.private_key, PRIVATE_KEY),
            user_token_secret=opened(sealed.user_token_secret, USER_TOKEN_SECRET),
        )


def _context(app_id: AppId, name: bytes) -> bytes:
    return b"apps/%d/%s" % (app_id, name)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _check(app: App) -> None:
    """What is mistyped is best said where it is typed: APNs' word for it would be `TopicDisallowed`, or nothing."""
    if not _NAME.fullmatch(app.name) or app.name.isdigit():
        raise RefusedError(f"{app.name!r} is no name for an app: take letters, digits and dashes, not digits alone")
    if not _BUNDLE_ID.fullmatch(app.bundle_id) or app.bundle_id.endswith(LIVE_ACTIVITY_SUFFIX):
        raise RefusedError(f"{app.bundle_id!r} is not a bundle id: write it as in Xcode, such as com.example.app")
    _check_private_key(app.private_key)
    for what, value in (("team id", app.team_id), ("key id", app.key_id)):
        if value is not None and not _APPLE_ID.fullmatch(value):
            raise RefusedError(f"{value!r} is not a {what}: it has ten letters and digits, and stands on Apple's pages")


def _check_private_key(pem: bytes | None) -> None:
    if pem is None:
        return
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise RefusedError("the .p8 file is not a PEM private key: take the file as Apple gave it") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RefusedError("the .p8 file is not an EC P-256 key: APNs needs the key that Apple made")
