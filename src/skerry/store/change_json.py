"""A scheduled change as JSON. Its audience is kept beside it, where erasure finds the users that it names.

States, attributes and alerts are bytes, in base64: they reach the phone as they were sent. What was written by an
earlier release lacks the members that have come since.
"""

from dataclasses import replace
from typing import get_type_hints

import msgspec

from skerry.domain import audience_json
from skerry.domain.desired import Desired
from skerry.domain.schedule import Action, Ending, Said

_MEMBERS = {name: hint for name, hint in get_type_hints(Desired).items() if name not in ("audience", "digest")}


def encode(change: Said) -> tuple[bytes, bytes | None]:
    """The change without its audience, and the audience."""
    if isinstance(change, Ending):
        return msgspec.json.encode(change), None
    audience = None if change.audience is None else audience_json.encode(change.audience)
    return msgspec.json.encode(replace(change, audience=None)), audience


def decode(action: Action, change: bytes, audience: bytes | None) -> Said:
    """The change that `encode` was given."""
    if action is Action.END:
        return msgspec.json.decode(change, type=Ending)
    members = msgspec.json.decode(change)
    # One by one: msgspec cannot tell the members of an audience's profile condition apart.
    known = {name: msgspec.convert(members[name], hint) for name, hint in _MEMBERS.items() if name in members}
    return Desired(**known, audience=None if audience is None else audience_json.decode(audience))
