"""Audiences as SQL: the same meaning as `domain.audience.matches`, against which tests hold it.

Values are always bound, never written into the text. Pages are keyed by device id, so that the millionth device
costs no more than the first.
"""

import json
import sqlite3
from collections.abc import Sequence

from skerry.domain.audience import Audience, ProfileCondition, ProfileGroup, Quantifier, TagCondition
from skerry.domain.ids import AppId, DeviceId
from skerry.domain.plan import Reachable

_REACHABLE = (
    "EXISTS (SELECT 1 FROM start_tokens s WHERE s.app_id = d.app_id AND s.device_id = d.device_id"
    " AND s.attributes_type IN ('', ?) AND s.dead_reason IS NULL)"
)
_JOINERS = {Quantifier.ANY: " OR ", Quantifier.ALL: " AND ", Quantifier.NONE: " OR "}


class AudienceRecords:
    """Who is in an audience."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def select(
        self, app_id: AppId, audience: Audience, attributes_type: str, after: DeviceId, limit: int
    ) -> list[Reachable]:
        """The iOS devices of an audience with ids above `after`, by id; see the port for the meaning."""
        query = _Query()
        columns = f"SELECT d.device_id, {_REACHABLE} AS reachable"
        query.values.append(attributes_type)
        where = ["d.app_id = ?", "d.device_id > ?", "upper(d.platform) = 'IOS'"]
        query.values += [app_id, after]
        where += query.conditions(audience, app_id)
        if not audience.is_small:
            where.append(_REACHABLE)
            query.values.append(attributes_type)
        query.values.append(limit)
        rows = self._connection.execute(
            f"{columns} FROM devices d LEFT JOIN users u ON u.user_id = d.user_id"
            f" WHERE {' AND '.join(where)} ORDER BY d.device_id LIMIT ?",
            query.values,
        )
        return [Reachable(DeviceId(row[0]), bool(row[1])) for row in rows]

    def includes(self, app_id: AppId, audience: Audience, device_id: DeviceId, attributes_type: str) -> bool:
        """Whether this iOS device belongs to the audience and has a live start token for the type."""
        query = _Query()
        query.values += [app_id, device_id]
        conditions = query.conditions(audience, app_id)
        query.values.append(attributes_type)
        where = " AND ".join(["d.app_id = ?", "d.device_id = ?", "upper(d.platform) = 'IOS'", *conditions, _REACHABLE])
        statement = f"SELECT 1 FROM devices d LEFT JOIN users u ON u.user_id = d.user_id WHERE {where}"
        return self._connection.execute(statement, query.values).fetchone() is not None

    def startable(self, app_id: AppId, devices: Sequence[DeviceId], attributes_type: str) -> set[DeviceId]:
        """Which of these devices have a live start token for the type."""
        rows = self._connection.execute(
            "SELECT d.device_id FROM json_each(?) wanted JOIN devices d ON d.device_id = wanted.value"
            f" WHERE d.app_id = ? AND {_REACHABLE}",
            (json.dumps(list(devices)), app_id, attributes_type),
        )
        return {DeviceId(row[0]) for row in rows.fetchall()}

    def missing_ext_ids(self, app_id: AppId, ext_ids: Sequence[str]) -> list[str]:
        """Which of these users have no iOS device at all."""
        rows = self._connection.execute(
            "SELECT wanted.value FROM json_each(?) wanted WHERE NOT EXISTS (SELECT 1 FROM users u"
            " JOIN devices d ON d.user_id = u.user_id WHERE u.app_id = ? AND u.ext_id = wanted.value"
            " AND upper(d.platform) = 'IOS')",
            (json.dumps(list(ext_ids)), app_id),
        )
        return [row[0] for row in rows]


class _Query:
    """Conditions and the values bound to them, in order."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def conditions(self, audience: Audience, app_id: AppId) -> list[str]:
        """One condition a member, over `d` (devices) and `u` (users)."""
        found = []
        if audience.ext_ids is not None:
            # By user first: a few named users among a million devices.
            self.values += [app_id, json.dumps(list(audience.ext_ids))]
            found.append(
                "d.user_id IN (SELECT user_id FROM users WHERE app_id = ?"
                " AND ext_id IN (SELECT value FROM json_each(?)))"
            )
        if audience.device_tokens is not None:
            tokens = json.dumps(list(audience.device_tokens))
            self.values += [app_id, tokens, app_id, tokens, tokens]
            found.append(
                "d.device_id IN (SELECT device_id FROM devices WHERE app_id = ?"
                " AND push_token IN (SELECT value FROM json_each(?))"
                " UNION SELECT device_id FROM start_tokens WHERE app_id = ?"
                " AND token IN (SELECT value FROM json_each(?))"
                " UNION SELECT device_id FROM cards WHERE token IN (SELECT value FROM json_each(?)))"
            )
        if audience.tags is not None:
            found.append(self._tags(audience.tags, app_id))
        if audience.profile is not None:
            found.append(self._group(audience.profile))
        if audience.last_active_device:
            found.append(
                "(d.user_id IS NULL OR NOT EXISTS (SELECT 1 FROM devices o WHERE o.user_id = d.user_id"
                " AND upper(o.platform) = 'IOS' AND (o.last_active_at, -o.device_id)"
                " > (d.last_active_at, -d.device_id)))"
            )
        return found

    def _tags(self, condition: TagCondition, app_id: AppId) -> str:
        one = "EXISTS (SELECT 1 FROM user_tags t WHERE t.app_id = ? AND t.tag = ? AND t.user_id = d.user_id)"
        for tag in condition.tags:
            self.values += [app_id, tag]
        return _combine(condition.quantifier, [one] * len(condition.tags))

    def _group(self, group: ProfileGroup) -> str:
        parts = [
            self._group(item) if isinstance(item, ProfileGroup) else self._condition(item) for item in group.conditions
        ]
        return _combine(group.quantifier, parts)

    def _condition(self, condition: ProfileCondition) -> str:
        self.values.append(condition.attribute)
        present = (
            "EXISTS (SELECT 1 FROM json_each(coalesce(u.profile, json_object())) p WHERE p.key = ? AND p.type <> 'null'"
        )
        if condition.exists is not None:
            holds, wanted = f"{present})", condition.exists is not condition.negated
            return holds if wanted else f"NOT {holds}"
        scalars = " OR ".join(self._same("p", value) for value in condition.values)
        self_values = self.values[-len(condition.values) :] if condition.values else []
        inner = " OR ".join(_same_text("i", value) for value in condition.values)
        self.values += self_values
        holds = (
            f"{present} AND (p.type <> 'array' AND ({scalars}) OR p.type = 'array' AND EXISTS"
            f" (SELECT 1 FROM json_each(p.value) i WHERE {inner})))"
        )
        return f"NOT {holds}" if condition.negated else holds

    def _same(self, alias: str, value: object) -> str:
        self.values.append(int(value) if isinstance(value, bool) else value)
        return _same_text(alias, value)


def _same_text(alias: str, value: object) -> str:
    """A comparison with a bound value, of JSON's own kind: `true` is not 1, "1" is not 1, and 1 is 1.0."""
    if isinstance(value, bool):
        return f"({alias}.type IN ('true', 'false') AND {alias}.atom = ?)"
    if isinstance(value, int | float):
        return f"({alias}.type IN ('integer', 'real') AND {alias}.atom = ?)"
    return f"({alias}.type = 'text' AND {alias}.atom = ?)"


def _combine(quantifier: Quantifier, parts: Sequence[str]) -> str:
    if not parts:
        return "0" if quantifier is Quantifier.ANY else "1"
    joined = f"({_JOINERS[quantifier].join(parts)})"
    return f"NOT {joined}" if quantifier is Quantifier.NONE else joined
