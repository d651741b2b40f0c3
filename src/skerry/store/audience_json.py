"""An audience as JSON, for the plans that wait in a table.

A group's members are told apart by their keys: a group has `conditions`, a condition an `attribute`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.domain.audience import Audience, ProfileCondition, ProfileGroup, Quantifier, TagCondition


def encode(audience: Audience) -> bytes:
    """The audience as a JSON object."""
    return msgspec.json.encode(audience)


def decode(raw: bytes) -> Audience:
    """The audience that `encode` was given; numbers keep their kind (1 stays 1, 1.0 stays 1.0)."""
    members: dict[str, Any] = msgspec.json.decode(raw)
    tags, profile = members["tags"], members["profile"]
    return Audience(
        everyone=members["everyone"],
        ext_ids=_texts(members["ext_ids"]),
        device_tokens=_texts(members["device_tokens"]),
        tags=None if tags is None else msgspec.convert(tags, TagCondition),
        profile=None if profile is None else _group(profile),
        last_active_device=members["last_active_device"],
    )


def _texts(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _group(members: Mapping[str, Any]) -> ProfileGroup:
    return ProfileGroup(
        Quantifier(members["quantifier"]),
        tuple(
            _group(item) if "conditions" in item else msgspec.convert(item, ProfileCondition)
            for item in members["conditions"]
        ),
    )
