"""Users, tags and profiles (netmera.md section 8)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.api.rest3.errors import Rest3Error, invalid, missing
from skerry.api.rest3.fields import MOST_TEXT, Fields, is_scalar, storable
from skerry.api.rest3.targets import MOST_IDS
from skerry.domain.device import normal_token
from skerry.domain.user import UserRegistration


def entries(body: bytes) -> list[Fields]:
    """The objects of an array body."""
    return [_entry(one) for one in _items(body)]


def _items(body: bytes) -> list[bytes]:
    if not body.lstrip().startswith(b"["):
        raise invalid("Request should be a list of objects")
    items = [bytes(one) for one in msgspec.json.decode(body, type=list[msgspec.Raw])]
    if len(items) > MOST_IDS:
        raise invalid(f"Request should have at most {MOST_IDS} entries")
    return items


def _entry(item: bytes) -> Fields:
    if not item.startswith(b"{"):
        raise invalid("Request should be a list of objects")
    return Fields(item)


def ext_ids(request: Fields) -> list[str]:
    """`extIds`, at most 1000 unique ones."""
    request.require("extIds")
    found = list(dict.fromkeys(request.texts("extIds") or []))
    if not found or not all(found):
        raise missing("extIds")
    if len(found) > MOST_IDS:
        raise invalid(f"Field 'extIds' should have at most {MOST_IDS} unique external ids")
    return found


def registrations(body: bytes) -> list[UserRegistration]:
    """`registerUsers`: invalid entries are skipped; if all are invalid the first one's error is the answer."""
    found, errors = [], []
    for item in _items(body):
        try:
            found.append(_registration(_entry(item)))
        except Rest3Error as error:
            errors.append(error)
    if errors and not found:
        raise errors[0]
    return found


def _registration(entry: Fields) -> UserRegistration:
    ext_id = entry.required_text("extId", most=MOST_TEXT)
    platform, msisdn = entry.text("platform", most=32), entry.text("msisdn", most=32)
    if platform is None and msisdn is None:
        raise missing("platform")
    token = entry.text("deviceToken", most=1024)
    profile = entry.value("profile")
    if profile is not None and not isinstance(profile, dict):
        raise invalid("Field 'profile' should be an object")
    return UserRegistration(
        ext_id=ext_id,
        platform=platform.upper() if platform else None,
        device_token=(normal_token(token) or token) if token else None,
        email=entry.text("email", most=MOST_TEXT),
        msisdn=msisdn,
        tags=tuple(entry.texts("tags") or ()),
        profile=_checked(profile or {}, "profile"),
    )


def profiles(body: bytes) -> list[tuple[str, Mapping[str, Any]]]:
    """Entries of `extId` and a `profile` object."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for entry in entries(body):
        entry.require("extId", "profile")
        profile = entry.value("profile")
        if not isinstance(profile, dict):
            raise invalid("Field 'profile' should be an object")
        found.append((entry.required_text("extId", most=MOST_TEXT), _checked(profile, "profile")))
    return found


def attribute_lists(body: bytes) -> list[tuple[str, list[str]]]:
    """Entries of `extId` and a `profile` list of attribute names."""
    found = []
    for entry in entries(body):
        entry.require("extId", "profile")
        found.append((entry.required_text("extId", most=MOST_TEXT), entry.texts("profile") or []))
    return found


def deletions(body: bytes) -> list[list[str]]:
    """`deleteProfileAttributes`: the attribute names of each entry."""
    found = []
    for entry in entries(body):
        entry.require("profile")
        found.append(entry.texts("profile") or [])
    return found


def value_deletions(body: bytes) -> list[tuple[str, str | int | float | bool]]:
    """`deleteProfileAttributeValue`: attribute name and value of each entry."""
    found = []
    for entry in entries(body):
        entry.require("key", "value")
        value = entry.value("value")
        if not is_scalar(value):
            raise invalid("Field 'value' should be a text, a number of at most 64 bits or a boolean")
        found.append((entry.required_text("key", most=MOST_TEXT), value))
    return found


def _checked(profile: dict[str, Any], path: str) -> dict[str, Any]:
    """A profile's values: texts, numbers, booleans, lists of them, or null."""
    for name, value in profile.items():
        values = value if isinstance(value, list) else [value]
        storable(name, path)
        if not all(one is None or is_scalar(one) for one in values):
            raise invalid(
                f"Field '{path}.{name}' should be a text, a number of at most 64 bits, a boolean or a list of them"
            )
    return profile
