"""An audience as JSON, for the plans and segments that wait in a table.

A group's members are told apart by their keys: a group has `conditions`, a condition an `attribute`. What was written
by an earlier release lacks the members that have come since.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.domain.audience import (
    Audience,
    ProfileCondition,
    ProfileGroup,
    Quantifier,
    Segment,
    SegmentCondition,
    TagCondition,
)
from skerry.domain.location import Circle
from skerry.domain.rollout import Rollout


def encode(audience: Audience) -> bytes:
    """The audience as a JSON object."""
    return msgspec.json.encode(audience)


def decode(raw: bytes) -> Audience:
    """The audience that `encode` was given; numbers keep their kind (1 stays 1, 1.0 stays 1.0)."""
    return _audience(msgspec.json.decode(raw))


def _audience(members: Mapping[str, Any]) -> Audience:
    tags, profile, location = members["tags"], members["profile"], members.get("location")
    segments, exclude, rollout = members.get("segments"), members.get("exclude"), members.get("rollout")
    return Audience(
        everyone=members["everyone"],
        ext_ids=_texts(members["ext_ids"]),
        device_tokens=_texts(members["device_tokens"]),
        tags=None if tags is None else msgspec.convert(tags, TagCondition),
        profile=None if profile is None else _group(profile),
        last_active_device=members["last_active_device"],
        installation_ids=_texts(members.get("installation_ids")),
        segments=None if segments is None else _segments(segments),
        location=None if location is None else msgspec.convert(location, Circle),
        exclude=None if exclude is None else _audience(exclude),
        rollout=None if rollout is None else msgspec.convert(rollout, Rollout),
    )


def _texts(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _segments(members: Mapping[str, Any]) -> SegmentCondition:
    return SegmentCondition(
        Quantifier(members["quantifier"]),
        tuple(
            Segment(one["name"], None if one["audience"] is None else _audience(one["audience"]))
            for one in members["segments"]
        ),
    )


def _group(members: Mapping[str, Any]) -> ProfileGroup:
    return ProfileGroup(
        Quantifier(members["quantifier"]),
        tuple(
            _group(item) if "conditions" in item else msgspec.convert(item, ProfileCondition)
            for item in members["conditions"]
        ),
    )
