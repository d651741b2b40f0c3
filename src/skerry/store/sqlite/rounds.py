"""Rounds: many activities looked at by one statement, and their updates stored by two."""

import sqlite3
from collections.abc import Sequence

import msgspec

from skerry.domain.chunk import ChunkState
from skerry.domain.desired import Policies
from skerry.domain.ids import AppId, GroupId, Millis
from skerry.domain.revision import RevisionKind
from skerry.domain.round import Change, Seen, Wish
from skerry.store.sqlite import recipients
from skerry.store.sqlite.rows import Rows

# The names are looked up in their order; all that comes back is one JSON text, for the reason that `cards` gives.
_LOOK = f"""
    SELECT json_group_array(json_array(
        wanted.key, activities.activity_id, activities.phase, activities.newest, activities.last_timestamp,
        activities.first_card, activities.next_card, activities.ends_at,
        EXISTS (
            SELECT 1 FROM chunks INDEXED BY ix_chunks_waiting
            WHERE chunks.state = {int(ChunkState.READY)} AND chunks.activity_id = activities.activity_id),
        EXISTS (SELECT 1 FROM channels WHERE channels.activity_id = activities.activity_id),
        {recipients.CARD}{{columns}}))
    FROM json_each(?2) AS wanted
    CROSS JOIN activity_names ON activity_names.app_id = ?1 AND activity_names.group_id = wanted.value
    CROSS JOIN activities ON activities.activity_id = activity_names.activity_id
    LEFT JOIN cards ON cards.activity_id = activities.activity_id AND cards.number = activities.first_card
        AND activities.next_card = activities.first_card + 1
    LEFT JOIN devices ON devices.device_id = cards.device_id
    {{joins}}
"""

LOOK = _LOOK.format(columns="", joins="")

LOOK_AT_WANTED = _LOOK.format(
    columns=""",
        iif(desired.activity_id IS NULL, NULL, json_array(
            hex(desired.digest),
            desired.audience IS NULL AND desired.policies = ?3
                AND NOT EXISTS (SELECT 1 FROM scripts WHERE scripts.activity_id = activities.activity_id),
            desired.version, desired.pushed_at, desired.spent, desired.spent_at))""",
    joins="LEFT JOIN desired ON desired.activity_id = activities.activity_id",
)

ADD_REVISIONS = Rows(
    f"""
    INSERT INTO revisions (
        kind, created_at, activity_id, number, timestamp, state, alert, priority, stale_date, relevance
    )
    SELECT {int(RevisionKind.UPDATE)}, ?1, column1, column2, column3, column4, column5, column6, column7, column8
    FROM (VALUES {{rows}})
    """,
    8,
)

ADVANCE = Rows(
    """
    UPDATE activities SET state = new.column2, newest = new.column3, newest_state = new.column3,
        last_timestamp = new.column4
    FROM (VALUES {rows}) AS new WHERE activities.activity_id = new.column1
    """,
    4,
)

# Without its WHERE, ON CONFLICT would be read as a join's condition.
WANT = Rows(
    """
    INSERT INTO desired (
        policies, start, activity_id, digest, version, alerted_at, revised_at, pushed_at, spent, spent_at
    )
    SELECT ?1, 0, column1, column2, column3, column4, column5, column6, column7, column8
    FROM (VALUES {rows}) WHERE true
    ON CONFLICT (activity_id) DO UPDATE SET
        digest = excluded.digest, version = excluded.version,
        alerted_at = max(alerted_at, excluded.alerted_at), revised_at = max(revised_at, excluded.revised_at),
        pushed_at = excluded.pushed_at, spent = excluded.spent, spent_at = excluded.spent_at
    """,
    8,
)

_SIMPLE = msgspec.json.encode(Policies())

_seen = msgspec.json.Decoder(list[Seen], strict=False)  # not strict: SQLite's booleans are 0 and 1


class RoundRecords:
    """`activities.ports.RoundRecords` on SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def look(self, app_id: AppId, group_ids: Sequence[GroupId], *, wanted: bool = False) -> list[Seen]:
        """The activities of these names, where there are any; what is wanted of them only if asked for."""
        names = msgspec.json.encode(group_ids).decode()
        if wanted:
            row = self._connection.execute(LOOK_AT_WANTED, (app_id, names, _SIMPLE)).fetchone()
        else:
            row = self._connection.execute(LOOK, (app_id, names)).fetchone()
        return _seen.decode(row[0])

    def advance(self, changes: Sequence[Change], now: Millis) -> None:
        """Store the updates: each is its activity's newest revision and state from here on."""
        ADD_REVISIONS.execute(
            self._connection,
            [
                (
                    one.seen.activity_id, one.number, one.timestamp, one.state, one.alert, one.priority,
                    one.stale_date, one.relevance,
                )
                for one in changes
            ],
            (now,),
        )  # fmt: skip
        ADVANCE.execute(
            self._connection, [(one.seen.activity_id, one.state, one.number, one.timestamp) for one in changes]
        )

    def want(self, wishes: Sequence[Wish]) -> None:
        """Store what is wanted of activities whose audience and policies stay as they are."""
        WANT.execute(
            self._connection,
            [
                (
                    one.activity_id, one.digest, one.version, one.alerted_at, one.revised_at, one.pushed_at, one.spent,
                    one.spent_at,
                )
                for one in wishes
            ],
            (_SIMPLE,),
        )  # fmt: skip
