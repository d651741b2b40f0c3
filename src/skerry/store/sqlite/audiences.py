"""Who is in an audience: slices of it for a start, and all of it at once for a preview.

Pages are keyed by device id, so that the millionth device costs no more than the first.

A preview leaves SQLite as one text, for the reason that `cards` gives: a letter for each device, and its id behind
the letter where it may serve as a sample. Counting letters takes milliseconds; grouping a million rows by a computed
word was measured at 0.6 s more than writing them into one text.
"""

import json
import re
import sqlite3
from collections.abc import Sequence

from skerry.domain.audience import Audience
from skerry.domain.card import CardStatus
from skerry.domain.ids import AppId, DeviceId, Millis
from skerry.domain.personal import Blank, Kind
from skerry.domain.plan import AudienceSlice, Reachable
from skerry.domain.preview import MOST_SAMPLES, Count, Doubt, NotStartable, Preview, Run, Sample
from skerry.domain.user import UserContact
from skerry.store.sqlite.audience_conditions import Conditions, Members
from skerry.store.sqlite.cards import AWAITS_TOKEN
from skerry.store.sqlite.membership import Membership

_REACHABLE = (
    "EXISTS (SELECT 1 FROM start_tokens s INDEXED BY ix_start_tokens_audience WHERE s.app_id = d.app_id"
    " AND s.device_id = d.device_id AND s.attributes_type IN ('', ?) AND s.dead_reason IS NULL)"
)
_ANY_START = (
    "EXISTS (SELECT 1 FROM start_tokens s INDEXED BY ix_start_tokens_audience WHERE s.app_id = d.app_id"
    " AND s.device_id = d.device_id{which})"
)
STARTABLE = (
    "SELECT device_id FROM start_tokens INDEXED BY ix_start_tokens_audience"
    " WHERE app_id = ? AND attributes_type IN ('', ?) AND dead_reason IS NULL"
)
RUNNING = (
    "SELECT device_id FROM cards WHERE activity_id = ? AND number >= ?"
    f" AND (status = {int(CardStatus.LIVE)} OR {AWAITS_TOKEN}) AND closed_at IS NULL"
    " AND coalesce(registered_at, created_at) >= ?"
)
SWIPED = (
    "SELECT device_id FROM cards WHERE activity_id = ? AND number >= ?"
    f" AND status = {int(CardStatus.DISMISSED)} AND closed_at >= ?"
)
_USERS = "SELECT u.user_id FROM users u WHERE u.app_id = ?"
_HAS_VALUE = "EXISTS (SELECT 1 FROM json_each(coalesce(u.profile, '{}')) p WHERE p.key = ?"
# `domain.personal.Blank.written`, held against it by a test. A text is a number where JSON takes it for one.
_VALUES = {
    Kind.TEXT: "(p.type IN ('integer', 'real', 'true', 'false') OR p.type = 'text' AND p.value <> '')",
    Kind.NUMBER: """
        CASE p.type
            WHEN 'integer' THEN 1
            WHEN 'real' THEN 1
            WHEN 'text' THEN CASE
                WHEN p.value = '' OR p.value GLOB '*[^-+.0-9eE]*' OR NOT json_valid(p.value) THEN 0
                ELSE json_type(p.value) IN ('integer', 'real')
            END
            ELSE 0
        END
    """,
    Kind.BOOLEAN: "(p.type IN ('true', 'false') OR p.type = 'text' AND p.value IN ('true', 'false'))",
}
# `domain.preview.is_too_old`, held against it by a test: major and minor of digits only, below 17.2.
_TOO_OLD = """
    CASE
        WHEN d.os_version IS NULL OR d.os_version = '' OR d.os_version GLOB '[^0-9]*' THEN 0
        WHEN {major} GLOB '*[^0-9]*' OR length({major}) > 9 THEN 0
        WHEN {minor} GLOB '*[^0-9]*' OR length({minor}) > 9 THEN 0
        ELSE CAST({major} AS INTEGER) * 1000000000 + CAST({minor} AS INTEGER) < 17000000002
    END
""".format(
    major="substr(d.os_version, 1, instr(d.os_version || '.', '.') - 1)",
    minor=(
        "substr(d.os_version, instr(d.os_version || '.', '.') + 1,"
        " instr(substr(d.os_version, instr(d.os_version || '.', '.') + 1) || '.', '.') - 1)"
    ),
)

_LETTERS = {
    NotStartable.NOT_IOS: "n",
    NotStartable.TOKEN_DEAD: "d",
    NotStartable.WRONG_TYPE: "w",
    NotStartable.IOS_TOO_OLD: "o",
    NotStartable.NO_START_TOKEN: "t",
    NotStartable.ALREADY_RUNNING: "r",
    NotStartable.SWIPED_AWAY: "x",
    NotStartable.MISSING_VALUE: "m",
}
_SURE = "s"
_DOUBTFUL = {
    "e": (Doubt.ENVIRONMENT_UNKNOWN,),
    "p": (Doubt.PUSH_OFF,),
    "b": (Doubt.ENVIRONMENT_UNKNOWN, Doubt.PUSH_OFF),
}

# Bound: who has a start token, the attributes type, on whom it runs, who swiped it away, and who has all values.
_LETTER = f"""
    CASE
        WHEN upper(d.platform) <> 'IOS' THEN 'n' || d.device_id
        WHEN NOT {{startable}} THEN CASE
            WHEN {_ANY_START.format(which=" AND s.attributes_type IN ('', ?)")} THEN 'd'
            WHEN {_ANY_START.format(which=" AND s.dead_reason IS NULL")} THEN 'w'
            WHEN {_ANY_START.format(which="")} THEN 'd'
            WHEN {_TOO_OLD} THEN 'o'
            ELSE 't'
        END || d.device_id
        WHEN {{running}} THEN 'r' || d.device_id
        WHEN {{swiped}} THEN 'x' || d.device_id
        WHEN NOT {{filled}} THEN 'm' || d.device_id
        WHEN d.environment IS NOT NULL AND d.push_enabled THEN '{_SURE}'
        WHEN d.push_enabled THEN 'e' || d.device_id
        WHEN d.environment IS NOT NULL THEN 'p' || d.device_id
        ELSE 'b' || d.device_id
    END
"""

_PIECE = 256 * 1024
"""Characters."""

_LAST = DeviceId(2**63 - 1)

WINDOW_END = """
    SELECT device_id FROM devices INDEXED BY ix_devices_audience
    WHERE app_id = ? AND device_id > ? ORDER BY device_id LIMIT 1 OFFSET ?
"""

SAMPLES = """
    SELECT devices.installation_id, users.ext_id
    FROM json_each(?) wanted
    CROSS JOIN devices ON devices.device_id = wanted.value
    LEFT JOIN users ON users.user_id = devices.user_id
    ORDER BY devices.device_id
"""

WITHOUT_DEVICE = """
    SELECT wanted.value FROM json_each(?) wanted WHERE NOT EXISTS (
        SELECT 1 FROM users u JOIN devices d ON d.user_id = u.user_id
        WHERE u.app_id = ? AND u.ext_id = wanted.value AND upper(d.platform) = 'IOS')
"""

UNKNOWN_INSTALLATIONS = """
    SELECT wanted.value FROM json_each(?) wanted WHERE NOT EXISTS (
        SELECT 1 FROM devices d WHERE d.app_id = ? AND d.installation_id = wanted.value)
"""


class AudienceRecords:
    """Who is in an audience."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def select(
        self, app_id: AppId, audience: Audience, attributes_type: str, after: DeviceId, limit: int
    ) -> list[Reachable]:
        """The iOS devices of an audience with ids above `after`, by id; see the port for the meaning."""
        return self._select(app_id, audience, attributes_type, (after, _LAST), limit)

    def slice(
        self, app_id: AppId, audience: Audience, attributes_type: str, after: DeviceId, window: int, limit: int
    ) -> AudienceSlice:
        """The same among the next `window` devices of the app only, so a rare tag costs no more than a common one."""
        last = _LAST
        if not audience.is_small:
            row = self._connection.execute(WINDOW_END, (app_id, after, window - 1)).fetchone()
            last = _LAST if row is None else DeviceId(row[0])
        found = self._select(app_id, audience, attributes_type, (after, last), limit)
        if len(found) == limit:
            return AudienceSlice(found, found[-1].device_id)
        return AudienceSlice(found, None if last == _LAST else last)

    def includes(self, app_id: AppId, audience: Audience, device_id: DeviceId, attributes_type: str) -> bool:
        """Whether this iOS device belongs to the audience and has a live start token for the type."""
        window = DeviceId(device_id - 1), device_id
        return any(one.has_start_token for one in self._select(app_id, audience, attributes_type, window, 1))

    def startable(self, app_id: AppId, devices: Sequence[DeviceId], attributes_type: str) -> set[DeviceId]:
        """Which of these devices have a live start token for the type."""
        rows = self._connection.execute(
            "SELECT d.device_id FROM json_each(?) wanted JOIN devices d ON d.device_id = wanted.value"
            f" WHERE d.app_id = ? AND {_REACHABLE}",
            (json.dumps(list(devices)), app_id, attributes_type),
        )
        return {DeviceId(row[0]) for row in rows.fetchall()}

    def _select(
        self,
        app_id: AppId,
        audience: Audience,
        attributes_type: str,
        window: tuple[DeviceId, DeviceId],
        limit: int,
    ) -> list[Reachable]:
        statement, values = slice_statement(app_id, audience, attributes_type, window, limit)
        return [Reachable(DeviceId(row[0]), bool(row[1])) for row in self._connection.execute(statement, values)]

    def preview(
        self,
        app_id: AppId,
        audience: Audience,
        attributes_type: str,
        run: Run | None,
        gaps: Sequence[Blank] = (),
    ) -> Preview:
        """What a start for the audience would find; reads every device of the app unless the audience names some."""
        members = None if audience.is_small else Membership(self._connection)
        statement, values = preview_statement(members, app_id, audience, attributes_type, run, gaps)
        text: str = self._connection.execute(statement, values).fetchone()[0] or ""
        counts = _counted(text)
        not_startable = {
            reason: Count(counts[letter], self._samples(_ids(text, letter)))
            for reason, letter in _LETTERS.items()
            if counts[letter]
        }
        startable = counts[_SURE] + sum(counts[letter] for letter in _DOUBTFUL)
        doubts = {}
        for doubt in Doubt:
            letters = "".join(letter for letter, held in _DOUBTFUL.items() if doubt in held)
            if count := sum(counts[letter] for letter in letters):
                doubts[doubt] = Count(count, self._samples(_ids(text, letters)))
        matched = startable + sum(one.count for one in not_startable.values())
        return Preview(matched, startable, not_startable, doubts)

    def count_users(self, app_id: AppId, audience: Audience, platform: str) -> int:
        """How many users have a device of this platform in the audience."""
        members = None if audience.is_small else Membership(self._connection)
        statement, values = users_statement(members, "count(DISTINCT d.user_id)", app_id, audience, platform)
        return int(self._connection.execute(statement, values).fetchone()[0])

    def users(
        self, app_id: AppId, audience: Audience, platform: str, maximum: int, offset: int
    ) -> list[UserContact]:  # fmt: skip
        """Users who have a device of this platform in the audience, in the order in which they became known."""
        members = None if audience.is_small else Membership(self._connection)
        inner, values = users_statement(members, "d.user_id", app_id, audience, platform)
        rows = self._connection.execute(
            f"SELECT ext_id, msisdn, email FROM users WHERE user_id IN ({inner}) ORDER BY user_id LIMIT ? OFFSET ?",
            (*values, maximum, offset),
        )
        return [UserContact(*row) for row in rows]

    def missing_ext_ids(self, app_id: AppId, ext_ids: Sequence[str]) -> list[str]:
        """Which of these users have no iOS device at all."""
        rows = self._connection.execute(WITHOUT_DEVICE, (json.dumps(list(ext_ids)), app_id))
        return [row[0] for row in rows]

    def missing_installations(self, app_id: AppId, installation_ids: Sequence[str]) -> list[str]:
        """Which of these installations are not known."""
        rows = self._connection.execute(UNKNOWN_INSTALLATIONS, (json.dumps(list(installation_ids)), app_id))
        return [row[0] for row in rows]

    def _samples(self, devices: Sequence[int]) -> tuple[Sample, ...]:
        return tuple(Sample(*row) for row in self._connection.execute(SAMPLES, (json.dumps(devices),)))


def slice_statement(
    app_id: AppId, audience: Audience, attributes_type: str, window: tuple[DeviceId, DeviceId], limit: int
) -> tuple[str, list[object]]:
    """The devices of an audience above the first id of a window and up to the last, and what to bind.

    An audience that names its devices or users must be found by them: the plus signs keep SQLite from going through
    all devices of the app in the order that is asked for.
    """
    conditions = Conditions(app_id)
    where = conditions.audience(audience)
    values = [attributes_type, app_id, *window, *conditions.values]
    if not audience.is_small:
        where += f" AND {_REACHABLE}"
        values.append(attributes_type)
    by_name = "+" if audience.is_small else ""
    statement = (
        f"SELECT d.device_id, {_REACHABLE} AS reachable FROM devices d LEFT JOIN users u ON u.user_id = d.user_id"
        f" WHERE {by_name}d.app_id = ? AND {by_name}d.device_id > ? AND {by_name}d.device_id <= ?"
        f" AND upper(d.platform) = 'IOS' AND {where} ORDER BY {by_name}d.device_id LIMIT ?"
    )
    return statement, [*values, limit]


def preview_statement(
    members: Members | None,
    app_id: AppId,
    audience: Audience,
    attributes_type: str,
    run: Run | None,
    gaps: Sequence[Blank] = (),
) -> tuple[str, list[object]]:
    """A letter for each device of the audience in one text, and what to bind."""
    conditions = Conditions(app_id, members)
    where = conditions.audience(audience)
    can: str = _REACHABLE
    can_values: list[object] = [attributes_type]
    if members is not None:
        can, can_values = _among(members, STARTABLE, app_id, attributes_type)
    runs, runs_values = _by_cards(members, RUNNING, run, None if run is None else run.running_since)
    swiped, swiped_values = _by_cards(members, SWIPED, run, None if run is None else run.swiped_since)
    filled, filled_values = _by_profile(members, app_id, gaps)
    letter = _LETTER.format(startable=can, running=runs, swiped=swiped, filled=filled)
    values = [*can_values, attributes_type, *runs_values, *swiped_values, *filled_values, app_id, *conditions.values]
    return f"SELECT group_concat({letter}, '') FROM {_devices(members)} = ? AND {where}", values


def users_statement(
    members: Members | None, what: str, app_id: AppId, audience: Audience, platform: str
) -> tuple[str, list[object]]:
    """Something of each device of a platform in the audience that has a user, and what to bind."""
    conditions = Conditions(app_id, members)
    where = conditions.audience(audience)
    statement = (
        f"SELECT {what} FROM {_devices(members)} = ? AND d.user_id IS NOT NULL AND upper(d.platform) = ? AND {where}"
    )
    return statement, [app_id, platform, *conditions.values]


def _by_cards(members: Members | None, select: str, run: Run | None, since: Millis | None) -> tuple[str, list[object]]:
    """Whether a device has such a card of the run."""
    if run is None or since is None:
        return "0", []
    return _among(members, select, run.activity_id, run.first, since)


def _by_profile(members: Members | None, app_id: AppId, gaps: Sequence[Blank]) -> tuple[str, list[object]]:
    """Whether a device's user has a value for each of these, of its kind."""
    if not gaps:
        return "1", []
    conditions = " AND ".join(f"{_HAS_VALUE} AND {_VALUES[one.kind]})" for one in gaps)
    names = [one.name for one in gaps]
    if members is None:
        return f"({conditions})", [*names]
    text, value = members("d.user_id", f"{_USERS} AND {conditions}", [app_id, *names])
    return f"coalesce({text}, 0)", [value]


def _among(members: Members | None, select: str, *values: object) -> tuple[str, list[object]]:
    if members is None:
        return f"d.device_id IN ({select})", list(values)
    text, value = members("d.device_id", select, values)
    return text, [value]


def _devices(members: Members | None) -> str:
    """An audience that names its devices or users is found by them, any other among all devices of the app."""
    if members is not None:
        return "devices d INDEXED BY ix_devices_audience WHERE d.app_id"
    return "devices d LEFT JOIN users u ON u.user_id = d.user_id WHERE +d.app_id"


def _counted(text: str) -> dict[str, int]:
    """How often each letter comes; piece by piece, so that no thread holds the interpreter for long."""
    letters = (*_LETTERS.values(), _SURE, *_DOUBTFUL)
    counts = dict.fromkeys(letters, 0)
    for begin in range(0, len(text), _PIECE):
        piece = text[begin : begin + _PIECE]
        for letter in letters:
            counts[letter] += piece.count(letter)
    return counts


def _ids(text: str, letters: str) -> list[int]:
    """The first devices with one of these letters."""
    found = re.finditer(f"[{letters}]([0-9]+)", text)
    return [int(one[1]) for one, _ in zip(found, range(MOST_SAMPLES), strict=False)]
