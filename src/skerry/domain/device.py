"""A device: one installation of an app, its user, its tokens, and what it reports.

A device speaks only for itself (architecture, invariant 10): the SDK key sits in every copy of the app and proves
nothing.
"""

import re
from dataclasses import dataclass
from enum import Enum, StrEnum

from skerry.domain.ids import AppId, DeviceId, GroupId, Millis, UserId
from skerry.domain.location import Location
from skerry.domain.push import Environment

_TOKEN = re.compile(r"(?:[0-9a-f]{2}){8,256}")
"""Apple promises no size; 16 to 512 hexadecimal digits cover all that was seen (apple.md 3.9) with room to grow."""

SILENCE = 24 * 3600 * 1000
"""Milliseconds after which an installation counts as silent, so that another may take over a token it reported."""


def normal_token(text: str) -> str | None:
    """The token in lower-case hexadecimal, or None if it cannot be one."""
    token = text.strip().lower()
    return token if _TOKEN.fullmatch(token) else None


def is_modern(os_version: str | None) -> bool:
    """Whether the device understands `input-push-token`: iOS 18 and later."""
    major = (os_version or "").split(".", 1)[0]
    return major.isascii() and major.isdecimal() and int(major) >= 18  # noqa: PLR2004 - iOS 18


ACTIVE_STEP = 3_600_000
"""Milliseconds by which `last_active_at` has to be wrong before it alone is worth a write."""


@dataclass(frozen=True, slots=True)
class Device:
    """One installation of an app."""

    device_id: DeviceId
    app_id: AppId
    installation_id: str
    user_id: UserId | None = None
    secret_hash: bytes | None = None
    """SHA-256 of the secret that the installation bound itself to; None: none said yet."""
    platform: str = "IOS"
    environment: Environment | None = None
    """As reported, or as APNs' answers taught us; None: the app's default is tried first."""
    environment_proved: bool = False
    """APNs has accepted a push in `environment`."""
    push_token: str | None = None
    """The ordinary notification token, as `registerUsers` knows devices."""
    push_enabled: bool = True
    os_version: str | None = None
    app_version: str | None = None
    model: str | None = None
    last_active_at: Millis = Millis(0)
    """Up to `ACTIVE_STEP` before its last report."""
    language: str | None = None
    """What its user reads, as BCP 47 has it: `zh-Hant-TW`."""


class DeviceEventKind(StrEnum):
    """The three Live Activity events, by Netmera's names."""

    START_TOKEN = "LiveActivityStartToken"  # noqa: S105 - an event's name
    UPDATE_TOKEN = "LiveActivityUpdateToken"  # noqa: S105 - an event's name
    CLOSE = "LiveActivityClose"


EVENT_NAMES = {
    "LiveActivityStartToken": DeviceEventKind.START_TOKEN,
    "n:lst": DeviceEventKind.START_TOKEN,
    "LiveActivityUpdateToken": DeviceEventKind.UPDATE_TOKEN,
    "n:lut": DeviceEventKind.UPDATE_TOKEN,
    "LiveActivityClose": DeviceEventKind.CLOSE,
    "n:lac": DeviceEventKind.CLOSE,
}
"""Names and codes (netmera.md 7.2)."""


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """One event. `time` is the device's; it is never later than our own clock when it gets here."""

    kind: DeviceEventKind
    time: Millis
    token: str | None = None
    group_id: GroupId | None = None
    attributes_type: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What one installation says of itself, and its events in the order in which it sent them.

    `ext_id` None leaves the user as it is; the empty string signs the user out. `user_proved` False: the app wants
    proof of a user that a device claims, and this report has none.
    """

    installation_id: str
    events: tuple[DeviceEvent, ...]
    secret: str | None = None
    ext_id: str | None = None
    environment: Environment | None = None
    platform: str | None = None
    os_version: str | None = None
    app_version: str | None = None
    model: str | None = None
    push_token: str | None = None
    user_proved: bool = True
    location: Location | None = None
    forget_location: bool = False
    """What is known of the device's location is to be deleted."""
    language: str | None = None


@dataclass(frozen=True, slots=True)
class StartToken:
    """Apple's push-to-start token of a device; `attributes_type` is empty where the app does not say one."""

    device_id: DeviceId
    attributes_type: str
    token: str
    token_time: Millis
    registered_at: Millis
    dead_reason: str | None = None


class TokenClaim(Enum):
    """Whether a device may report a token that another device holds."""

    GRANTED = "granted"
    REFUSED = "refused"


def claim(holder_active_at: Millis, *, holder_token_dead: bool, now: Millis) -> TokenClaim:
    """A token belongs to one installation; another's report moves it only from a silent holder or a dead token."""
    if holder_token_dead or now - holder_active_at > SILENCE:
        return TokenClaim.GRANTED
    return TokenClaim.REFUSED
