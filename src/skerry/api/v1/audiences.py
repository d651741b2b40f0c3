"""Audiences in requests of ours."""

from typing import Any

from skerry.api.v1.reading import refused
from skerry.domain.audience import Audience, Quantifier, TagCondition


def read_audience(value: Any, path: str) -> Audience:
    """The audience that a JSON value describes."""
    if not isinstance(value, dict) or not value:
        raise refused(path, "is not an audience", 'send an object such as {"all": true}')
    for name in value:
        if name not in ("all", "users", "tags"):
            raise refused(f"{path}.{name}", "is not a field of an audience", "leave it out, or look for a typo")
    tags = value.get("tags")
    return Audience(
        everyone=bool(value.get("all")),
        ext_ids=tuple(value["users"]) if "users" in value else None,
        tags=TagCondition(Quantifier.ANY, tuple(tags)) if tags else None,
    )
