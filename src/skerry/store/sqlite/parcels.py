"""Parcels in the outbox: chunks of one card, leased, read and settled many at a time."""

import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from skerry.domain import personal
from skerry.domain.activity import OLD_STAMP
from skerry.domain.chunk import ChunkState, Lane, Recipient
from skerry.domain.ids import ActivityId, AppId, CardNumber, ChunkId, Millis, RevisionNumber, Seconds
from skerry.domain.parcel import Parcel
from skerry.domain.revision import RevisionKind
from skerry.domain.verdict import OPEN, Verdict
from skerry.store.sqlite import recipients
from skerry.store.sqlite.rows import Rows

# Ids as SQLite would give them; known beforehand, nothing has to be read back.
LAST_CHUNK = "SELECT coalesce(max(chunk_id), 0) FROM chunks"

ADD_LEASED = Rows(
    f"""
    INSERT INTO chunks (
        chunk_id, app_id, activity_id, revision, first, last, state, lane, due_at, attempt, floor, created_at, verdicts,
        lease_owner
    )
    SELECT column1, column2, column3, column4, column5, column5, {int(ChunkState.LEASED)}, {int(Lane.SMALL)}, column6,
        0, 0, column6, zeroblob(1), ?1
    FROM (VALUES {{rows}})
    """,
    6,
)

_OPEN = ", ".join(f"x'{byte:02x}'" for byte in sorted(OPEN))

FRAMED_WITHIN = 10
"""Seconds in which a parcel that is read is surely on the wire: so long its stamp must not grow old."""

# Whatever is no parcel is left out: a start, a broadcast, more than one card, an activity that was erased, what needs a
# new stamp, what a newer revision has overtaken; and, by `read`, what has to be filled in.
READ = f"""
    SELECT json_group_array(json_array(
        chunks.chunk_id, chunks.app_id, chunks.activity_id, chunks.first, {recipients.CARD}, chunks.revision,
        revisions.kind, revisions.timestamp, CAST(revisions.state AS TEXT),
        CAST(revisions.alert AS TEXT), revisions.priority, revisions.stale_date, revisions.relevance, chunks.created_at,
        chunks.due_at, revisions.dismissal_date, revisions.expiration, chunks.attempt, chunks.lane,
        chunks.verdicts = x'{int(Verdict.RETRY):02x}'))
    FROM json_each(?1) AS leased
    CROSS JOIN chunks ON chunks.chunk_id = leased.value
    CROSS JOIN activities ON activities.activity_id = chunks.activity_id
    CROSS JOIN revisions ON revisions.activity_id = chunks.activity_id AND revisions.number = chunks.revision
    LEFT JOIN cards ON cards.activity_id = chunks.activity_id AND cards.number = chunks.first
    LEFT JOIN devices ON devices.device_id = cards.device_id
    WHERE chunks.first = chunks.last AND chunks.first > 0 AND chunks.verdicts IN ({_OPEN})
      AND revisions.kind <> {int(RevisionKind.START)} AND chunks.floor = 0 AND revisions.timestamp >= ?2
      AND iif(chunks.first < activities.first_card, activities.end_revision, activities.newest_state) <= chunks.revision
"""

SETTLE_ALIKE = f"""
    UPDATE chunks SET
        state = {int(ChunkState.SETTLED)}, verdicts = ?1, settled_at = ?2, lease_owner = NULL
    WHERE chunk_id IN (SELECT value FROM json_each(?3))
"""

# Those whose revisions have no other chunk: nearly all. Updates and ends have no plans that could bring more.
ALONE = """
    SELECT json_group_array(chunks.chunk_id) FROM json_each(?1) AS settled
    CROSS JOIN chunks ON chunks.chunk_id = settled.value
    CROSS JOIN revisions ON revisions.activity_id = chunks.activity_id AND revisions.number = chunks.revision
    WHERE revisions.settled_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM chunks AS other INDEXED BY ix_chunks_activity_id_revision
        WHERE other.activity_id = chunks.activity_id AND other.revision = chunks.revision
          AND other.chunk_id <> chunks.chunk_id)
"""

# Materialized, as else SQLite would begin with all revisions.
NOTE_SETTLED = """
    WITH alone AS MATERIALIZED (
        SELECT chunks.activity_id, chunks.revision FROM json_each(?1) AS settled
        CROSS JOIN chunks ON chunks.chunk_id = settled.value)
    UPDATE revisions SET settled_at = ?2 FROM alone
    WHERE revisions.activity_id = alone.activity_id AND revisions.number = alone.revision
"""


class _Row(msgspec.Struct, array_like=True):
    chunk_id: ChunkId
    app_id: AppId
    activity_id: ActivityId
    number: CardNumber
    recipient: Recipient | None
    revision: RevisionNumber
    kind: RevisionKind
    timestamp: Seconds
    state: str | None
    alert: str | None
    priority: int
    stale_date: Seconds | None
    relevance: float | None
    created_at: Millis
    due_at: Millis
    dismissal_date: Seconds | None
    expiration: Seconds | None
    attempt: int
    lane: Lane
    again: bool


_rows = msgspec.json.Decoder(list[_Row], strict=False)  # not strict: SQLite's booleans are 0 and 1


class ParcelRecords:
    """`delivery.ports.ParcelRecords` on SQLite. `clock` dates the settling of chunks."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], Millis]) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, parcels: Sequence[Parcel], owner: str) -> None:
        """Store new parcels, leased to this owner from birth; gives them their chunk ids."""
        (last,) = self._connection.execute(LAST_CHUNK).fetchone()
        for place, one in enumerate(parcels):
            one.chunk_id = ChunkId(last + 1 + place)
        ADD_LEASED.execute(
            self._connection,
            [(one.chunk_id, one.app_id, one.activity_id, one.revision, one.number, one.created_at) for one in parcels],
            (owner,),
        )

    def read(self, chunk_ids: Sequence[ChunkId], now: Millis) -> list[Parcel]:
        """Those of these leased chunks that are parcels."""
        young = now // 1000 - OLD_STAMP + FRAMED_WITHIN
        (text,) = self._connection.execute(READ, (_json(chunk_ids), young)).fetchone()
        parcels = [_parcel(row) for row in _rows.decode(text)]
        return [one for one in parcels if not personal.need(one.alert, one.state)]

    def settle(self, parcels: Sequence[Parcel], verdict: Verdict) -> list[Parcel]:
        """Settle parcels that have all come to the same verdict, and the revisions that have no other chunks.

        Returns those of such revisions; whether the others' have settled is another question.
        """
        now = self._clock()
        chunk_ids = _json([one.chunk_id for one in parcels])
        self._connection.execute(SETTLE_ALIKE, (bytes((verdict,)), now, chunk_ids))
        (alone,) = self._connection.execute(ALONE, (chunk_ids,)).fetchone()
        self._connection.execute(NOTE_SETTLED, (alone, now))
        if alone == chunk_ids:
            return list(parcels)
        ids = set(msgspec.json.decode(alone))
        return [one for one in parcels if one.chunk_id in ids]


def _json(ids: Sequence[object]) -> str:
    return msgspec.json.encode(ids).decode()


def _parcel(row: _Row) -> Parcel:
    return Parcel(
        row.chunk_id, row.app_id, row.activity_id, row.number, row.recipient, row.revision, row.kind, row.timestamp,
        _bytes(row.state), _bytes(row.alert), row.priority, row.stale_date, row.relevance,
        row.created_at, row.due_at, row.dismissal_date, row.expiration, row.attempt, row.lane,
        Verdict.RETRY if row.again else Verdict.PENDING,
    )  # fmt: skip


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
