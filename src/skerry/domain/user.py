"""Users as the drop-in API speaks of them, and what it tells about their devices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class UserRegistration:
    """One entry of `registerUsers`. `device_token` is the ordinary notification token of a device."""

    ext_id: str
    platform: str | None = None
    device_token: str | None = None
    email: str | None = None
    msisdn: str | None = None
    tags: tuple[str, ...] = ()
    profile: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One entry of `getDevices`."""

    platform: str
    token: str | None
    model: str | None
    push_permitted: bool


@dataclass(frozen=True, slots=True)
class UserContact:
    """One entry of `getSegmentUsers`."""

    ext_id: str
    msisdn: str | None
    email: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a longer list of texts."""

    total: int
    items: tuple[str, ...]
