"""An app: one iOS app, its APNs key, where its pushes go, and the API keys that speak for it."""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from skerry.domain.ids import AppId, Millis
from skerry.domain.push import Endpoint, Environment

LIVE_ACTIVITY_SUFFIX = ".push-type.liveactivity"

MANAGEMENT_PORTS = {Environment.PRODUCTION: 2196, Environment.SANDBOX: 2195}
"""Apple's; they differ (apple.md 1.1)."""

APPLE_ENDPOINTS = {
    Environment.PRODUCTION: Endpoint("api.push.apple.com", 443),
    Environment.SANDBOX: Endpoint("api.sandbox.push.apple.com", 443),
}
APPLE_MANAGEMENT_ENDPOINTS = {
    Environment.PRODUCTION: Endpoint("api-manage-broadcast.push.apple.com", MANAGEMENT_PORTS[Environment.PRODUCTION]),
    Environment.SANDBOX: Endpoint("api-manage-broadcast.sandbox.push.apple.com", MANAGEMENT_PORTS[Environment.SANDBOX]),
}


@dataclass(frozen=True, slots=True)
class App:
    """One iOS app. `private_key` is the `.p8` file's content, in memory only; None until one is given."""

    app_id: AppId
    name: str
    bundle_id: str
    created_at: Millis
    team_id: str | None = None
    key_id: str | None = None
    private_key: bytes | None = field(default=None, repr=False)
    environment: Environment = Environment.PRODUCTION
    """Where to try devices that have not said theirs."""
    endpoints: dict[Environment, Endpoint] = field(default_factory=lambda: dict(APPLE_ENDPOINTS))
    """Of device pushes and broadcasts."""
    management_endpoints: dict[Environment, Endpoint] = field(default_factory=lambda: dict(APPLE_MANAGEMENT_ENDPOINTS))
    """Of channel management."""
    strict_groups: bool = False
    """Answer updates of unknown groups with an error instead of 200 (netmera.md Q2)."""
    user_token_secret: bytes | None = field(default=None, repr=False)
    """With this, devices that claim a user must show a token of it (`domain.user_token`); None: they need none."""

    @property
    def topic(self) -> str:
        """`apns-topic` of Live Activity pushes."""
        return self.bundle_id + LIVE_ACTIVITY_SUFFIX


@dataclass(frozen=True, slots=True)
class SealedSecrets:
    """An app's secrets as they are kept."""

    private_key: bytes | None = None
    user_token_secret: bytes | None = None


class KeyKind(StrEnum):
    """What an API key may do."""

    REST = "rest"
    """Server side: everything of its app."""
    SDK = "sdk"
    """May sit in an app bundle: may report device events, and nothing else."""


Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is kept: its SHA-256, and its first characters to tell it from others."""

    key_id: int
    app_id: AppId
    kind: KeyKind
    prefix: str
    label: str
    created_at: Millis
    networks: tuple[Network, ...] = ()
    """Who may use it; empty: anybody."""
    revoked_at: Millis | None = None

    def allows(self, address: Address | None) -> bool:
        """Whether a caller from this address may use the key; an unknown address only where there is no list."""
        return not self.networks or (address is not None and any(address in network for network in self.networks))


class KeyProblem(StrEnum):
    """Why a key does not open the door."""

    UNKNOWN = "unknown"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: an app through one of its keys."""

    app: App
    key: ApiKey
