"""An audience as one SQL condition: the same meaning as `domain.audience.matches`, against which tests hold it.

Values are always bound, never written into the text. A condition on users is put in one of two ways:

- probing: asked of each device's user in turn. For a slice, which stops after some thousand devices.
- with `members`: all its users are found first, and each device's user is looked up among them. For a question about
  all devices of an app (`membership` says how, and what it gains).

A condition may be NULL where a device has no user, which counts as false; whatever is negated is made 0 first.
"""

import json
from collections.abc import Sequence
from typing import Protocol

from skerry.domain.audience import (
    Audience,
    Candidate,
    ProfileCondition,
    ProfileGroup,
    Quantifier,
    SegmentCondition,
    TagCondition,
    matches,
)
from skerry.domain.ids import AppId
from skerry.domain.location import Circle
from skerry.domain.rollout import PARTS, PRIME, Rollout

_JOINERS = {Quantifier.ANY: " OR ", Quantifier.ALL: " AND ", Quantifier.NONE: " OR "}

_EXT_IDS = "SELECT user_id FROM users WHERE app_id = ? AND ext_id IN (SELECT value FROM json_each(?))"
_INSTALLATION_IDS = (
    "SELECT device_id FROM devices WHERE app_id = ? AND installation_id IN (SELECT value FROM json_each(?))"
)
_DEVICE_TOKENS = (
    "SELECT device_id FROM devices WHERE app_id = ? AND push_token IN (SELECT value FROM json_each(?))"
    " UNION SELECT device_id FROM start_tokens WHERE app_id = ? AND token IN (SELECT value FROM json_each(?))"
    " UNION SELECT device_id FROM cards WHERE token IN (SELECT value FROM json_each(?))"
)
_LAST_ACTIVE = (
    "(d.user_id IS NULL OR NOT EXISTS (SELECT 1 FROM devices o WHERE o.user_id = d.user_id"
    " AND upper(o.platform) = 'IOS' AND (o.last_active_at, -o.device_id) > (d.last_active_at, -d.device_id)))"
)
# The index gives the band of latitude; x and y come out of it too, so that no row is read that is not in the cube.
_LOCATION = (
    "SELECT device_id FROM device_locations INDEXED BY ix_device_locations_circle"
    " WHERE app_id = ? AND z BETWEEN ? AND ? AND x BETWEEN ? AND ? AND y BETWEEN ? AND ?"
    " AND (x - ?) * (x - ?) + (y - ?) * (y - ?) + (z - ?) * (z - ?) <= ?"
)
_ROLLOUT = f"(? * (d.device_id % {PRIME}) + ?) % {PRIME} % {PARTS} < ?"
_TAG = "EXISTS (SELECT 1 FROM user_tags t WHERE t.app_id = ? AND t.tag = ? AND t.user_id = {user})"
_ANY_TAG = (
    "EXISTS (SELECT 1 FROM user_tags t WHERE t.app_id = ? AND t.tag IN (SELECT value FROM json_each(?))"
    " AND t.user_id = {user})"
)
_USERS_WITH_ANY_TAG = (
    "SELECT user_id FROM user_tags WHERE app_id = ? AND tag IN (SELECT value FROM json_each(?))"
)  # fmt: skip
_USERS_WITH_TAG = "SELECT m.user_id FROM user_tags m WHERE m.app_id = ? AND m.tag = ?{and_others}"
_USERS = "SELECT u.user_id FROM users u WHERE u.app_id = ? AND {conditions}"
_PRESENT = "EXISTS (SELECT 1 FROM json_each(coalesce(u.profile, json_object())) p WHERE p.key = ? AND p.type <> 'null'"
_MOST_GLANCES = 10
"""Each of them reads the whole text; with more it is read as JSON at once."""
_LARGE = 2**53
"""From here on whole numbers and floats are not the same ones."""

_KINDS = (
    (bool, "'true', 'false'"),
    (str, "'text'"),
    ((int, float), "'integer', 'real'"),
)
"""Of Python, and what JSON's own kinds are called in SQLite: `true` is not 1, "1" is not 1, and 1 is 1.0."""


class Members(Protocol):
    """Finds the members of a set, and says how to look a column up among them."""

    def __call__(self, column: str, select: str, values: Sequence[object]) -> tuple[str, object]:
        """The condition that `column` is one of the ids that `select` gives, and the one value that it binds."""


class Conditions:
    """Conditions over `d` (devices) and, where it probes, `u` (the device's user or none); and the values they bind.

    `values` are in the order of the text, so a caller binds its own before and after. With `members` sets are found
    while the text is made, and what it says holds for the snapshot that they were found in.
    """

    def __init__(self, app_id: AppId, members: Members | None = None) -> None:
        self._app_id = app_id
        self._members = members
        self.values: list[object] = []

    def audience(self, audience: Audience) -> str:
        """The whole audience; its segments must have been looked up."""
        found = []
        if audience.rollout is not None:
            found.append(self._rollout(audience.rollout))
        if audience.ext_ids is not None:
            found.append(self._among("d.user_id", _EXT_IDS, self._app_id, _json(audience.ext_ids)))
        if audience.installation_ids is not None:
            found.append(self._among("d.device_id", _INSTALLATION_IDS, self._app_id, _json(audience.installation_ids)))
        if audience.device_tokens is not None:
            tokens = _json(audience.device_tokens)
            found.append(self._among("d.device_id", _DEVICE_TOKENS, self._app_id, tokens, self._app_id, tokens, tokens))
        if audience.location is not None:
            found.append(self._location(audience.location))
        if audience.tags is not None or audience.profile is not None:
            found.append(self._user(audience.tags, audience.profile))
        if audience.segments is not None:
            found.append(self._segments(audience.segments))
        if audience.last_active_device:
            found.append(_LAST_ACTIVE)
        if audience.exclude is not None:
            found.append(_not(self.audience(audience.exclude)))
        return f"({' AND '.join(found)})" if found else "1"

    def _among(self, column: str, select: str, *values: object) -> str:
        if self._members is None:
            return self._bound(f"{column} IN ({select})", *values)
        text, value = self._members(column, select, values)
        return self._bound(text, value)

    def _bound(self, text: str, *values: object) -> str:
        self.values += values
        return text

    def _rollout(self, rollout: Rollout) -> str:
        a, b = rollout.multipliers
        return self._bound(_ROLLOUT, a, b, rollout.share)

    def _location(self, circle: Circle) -> str:
        centre, chord = circle.centre, circle.chord
        bounds = [bound for middle in (centre.z, centre.x, centre.y) for bound in (middle - chord, middle + chord)]
        squares = [middle for middle in (centre.x, centre.y, centre.z) for _ in range(2)]
        return self._among("d.device_id", _LOCATION, self._app_id, *bounds, *squares, chord**2)

    def _segments(self, condition: SegmentCondition) -> str:
        parts = [
            "0" if one.audience is None else f"coalesce({self.audience(one.audience)}, 0)"
            for one in condition.segments
        ]  # fmt: skip
        return _combine(condition.quantifier, parts)

    def _user(self, tags: TagCondition | None, profile: ProfileGroup | None) -> str:
        """What the device's user must be like."""
        if self._members is None:
            return self._like(tags, profile, "d.user_id")
        if profile is None and tags is not None:
            return self._tagged(tags)
        each = Conditions(self._app_id)
        select = _USERS.format(conditions=each._like(tags, profile, "u.user_id"))
        holds = self._among("d.user_id", select, self._app_id, *each.values)
        nobody = Candidate(None, frozenset(), frozenset(), {})
        return f"(d.user_id IS NULL OR {holds})" if matches(Audience(tags=tags, profile=profile), nobody) else holds

    def _tagged(self, condition: TagCondition) -> str:
        """The users with tags, straight from the index of tags."""
        tags = tuple(dict.fromkeys(condition.tags))
        if condition.quantifier is not Quantifier.ALL:
            holds = self._among("d.user_id", _USERS_WITH_ANY_TAG, self._app_id, _json(tags))
            return _not(holds) if condition.quantifier is Quantifier.NONE else holds
        if not tags:
            return "1"
        each = Conditions(self._app_id)
        others = "".join(" AND " + each._tag(tag, "m.user_id") for tag in tags[1:])
        select = _USERS_WITH_TAG.format(and_others=others)
        return self._among("d.user_id", select, self._app_id, tags[0], *each.values)

    def _like(self, tags: TagCondition | None, profile: ProfileGroup | None, user: str) -> str:
        """The same, asked of one user."""
        parts = [] if tags is None else [self._tags(tags, user)]
        if profile is not None:
            parts.append(self._group(profile))
        return " AND ".join(parts)

    def _tags(self, condition: TagCondition, user: str) -> str:
        tags = tuple(dict.fromkeys(condition.tags))
        if condition.quantifier is Quantifier.ALL or len(tags) == 1:
            return _combine(condition.quantifier, [self._tag(tag, user) for tag in tags])
        holds = self._bound(_ANY_TAG.format(user=user), self._app_id, _json(tags))
        return f"NOT {holds}" if condition.quantifier is Quantifier.NONE else holds

    def _tag(self, tag: str, user: str) -> str:
        return self._bound(_TAG.format(user=user), self._app_id, tag)

    def _group(self, group: ProfileGroup) -> str:
        parts = [
            self._group(item) if isinstance(item, ProfileGroup) else self._condition(item) for item in group.conditions
        ]
        return _combine(group.quantifier, parts)

    def _condition(self, condition: ProfileCondition) -> str:
        if condition.exists is not None:
            self.values.append(condition.attribute)
            return f"{_PRESENT})" if condition.exists is not condition.negated else f"NOT {_PRESENT})"
        glance = self._glance(condition)
        stands = self._stands(condition)
        self.values.append(condition.attribute)
        scalar = self._same("p", condition.values)
        element = self._same("i", condition.values)
        holds = (
            f"{glance}({stands}{_PRESENT} AND (p.type <> 'array' AND ({scalar}) OR p.type = 'array' AND EXISTS"
            f" (SELECT 1 FROM json_each(p.value) i WHERE {element}))))"
        )
        return f"NOT ({holds})" if condition.negated else f"({holds})"

    def _glance(self, condition: ProfileCondition) -> str:
        """Whether the profile's text has one of the wanted texts in it at all, as `users.save_profile` writes it.

        Most profiles are passed over by this, a fifth of the time that it takes to read them as JSON.
        """
        texts = [_written(one) for one in condition.values]
        if not texts or None in texts or len(texts) > _MOST_GLANCES:
            return ""
        return f"({self._has(*texts)}) AND "

    def _stands(self, condition: ProfileCondition) -> str:
        """Whether the attribute and a wanted value stand in the text side by side: then nothing has to be read as JSON.

        Exact for texts and booleans. A profile is flat, and what is inside a text has its quotes escaped: after `{` or
        `,` an attribute's name in its quotes is that attribute. Where only such values are wanted, and none stands
        there, just a list may still have one.
        """
        texts = [json.dumps(one) for one in condition.values if isinstance(one, str | bool)]
        if not texts or len(texts) > _MOST_GLANCES:
            return ""
        name = json.dumps(condition.attribute)
        held = self._has(*(f"{before}{name}:{text}" for text in texts for before in "{,"))
        if len(texts) < len(condition.values):
            return f"{held} OR "
        return f"{held} OR ({self._has(*(f'{before}{name}:[' for before in '{,'))}) AND "

    def _has(self, *texts: object) -> str:
        """Whether the profile's text has one of these."""
        self.values += texts
        return " OR ".join(["instr(coalesce(u.profile, ''), ?)"] * len(texts))

    def _same(self, alias: str, values: Sequence[str | int | float | bool]) -> str:
        """Whether a JSON value is one of these, of the same kind."""
        parts = []
        for kind, types in _KINDS:
            wanted = [one for one in values if isinstance(one, kind) and (kind is bool or not isinstance(one, bool))]
            if len(wanted) == 1:
                self.values.append(int(wanted[0]) if isinstance(wanted[0], bool) else wanted[0])
                parts.append(f"({alias}.type IN ({types}) AND {alias}.atom = ?)")
            elif wanted:
                self.values.append(json.dumps([int(one) if isinstance(one, bool) else one for one in wanted]))
                parts.append(f"({alias}.type IN ({types}) AND {alias}.atom IN (SELECT value FROM json_each(?)))")
        return " OR ".join(parts) or "0"


def _written(value: str | float | bool) -> str | None:  # noqa: FBT001 - a value of a profile
    """What is in the text of every profile with this value; None: 0 and large numbers are written in too many ways."""
    if isinstance(value, str | bool):
        return json.dumps(value)
    if not value or abs(value) >= _LARGE:
        return None
    return str(int(value)) if value == int(value) else json.dumps(value)


def _json(values: Sequence[str]) -> str:
    return json.dumps(list(values))


def _not(condition: str) -> str:
    return f"NOT coalesce({condition}, 0)"


def _combine(quantifier: Quantifier, parts: Sequence[str]) -> str:
    if not parts:
        return "0" if quantifier is Quantifier.ANY else "1"
    joined = f"({_JOINERS[quantifier].join(parts)})"
    return f"NOT {joined}" if quantifier is Quantifier.NONE else joined
