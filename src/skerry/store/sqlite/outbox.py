"""The durable outbox: chunks of pushes to be sent, and plans of starts to be spread out."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from skerry.domain import audience_json
from skerry.domain.chunk import CHANNEL, CHUNK_SIZE, Chunk, ChunkState, Depth, Lane, Recipient, count_verdicts
from skerry.domain.ids import ActivityId, AppId, CardNumber, ChunkId, DeviceId, Millis, RevisionNumber
from skerry.domain.personal import Need, Person
from skerry.domain.plan import Plan
from skerry.domain.receipt import Settled
from skerry.domain.revision import RevisionKind
from skerry.domain.verdict import OPEN, Verdict
from skerry.store.sqlite import recipients

_CHUNK = """
    chunk_id, app_id, activity_id, revision, first, last, verdicts, state, lane, due_at, attempt, created_at, floor
"""

# Many at once (a revision to a million cards is two thousand chunks): the rows as a JSON array of arrays, and the
# verdicts of all of them in one blob, from which each row cuts its own; JSON cannot carry bytes.
ADD_CHUNKS = """
    INSERT INTO chunks (
        app_id, activity_id, revision, first, last, state, lane, due_at, attempt, floor, created_at, verdicts
    )
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
        value ->> 8, value ->> 9, value ->> 10, substr(?2, (value ->> 11) + 1, (value ->> 4) - (value ->> 3) + 1)
    FROM json_each(?1)
"""

# The inner query walks ix_chunks_ready from its oldest entry and stops at the limit.
CLAIM = f"""
    UPDATE chunks SET state = {int(ChunkState.LEASED)}, lease_owner = ?
    WHERE chunk_id IN (
        SELECT chunk_id FROM chunks
        WHERE state = {int(ChunkState.READY)} AND lane = ? AND due_at <= ? ORDER BY due_at, chunk_id LIMIT ?
    )
    RETURNING {_CHUNK}
"""

GET = f"SELECT {_CHUNK} FROM chunks WHERE chunk_id = ?"

SAVE = f"""
    UPDATE chunks SET
        state = ?1, verdicts = ?2, attempt = ?3, due_at = ?4,
        lease_owner = iif(?1 = {int(ChunkState.LEASED)}, lease_owner, NULL),
        settled_at = iif(?1 = {int(ChunkState.SETTLED)}, coalesce(settled_at, ?5), NULL)
    WHERE chunk_id = ?6
"""

# Few are leased at a time: all of them are looked at, through their own partial index.
RECLAIM = f"""
    SELECT {_CHUNK} FROM chunks INDEXED BY ix_chunks_leased
    WHERE state = {int(ChunkState.LEASED)} AND lease_owner IS NOT ?
      AND lease_owner NOT IN (SELECT owner FROM senders WHERE seen_at > ?)
    ORDER BY chunk_id
"""

SUPERSEDABLE = f"""
    SELECT chunk_id, verdicts FROM chunks INDEXED BY ix_chunks_waiting
    WHERE chunks.state = {int(ChunkState.READY)} AND chunks.activity_id = ?1 AND chunks.revision < ?2
      AND EXISTS (
        SELECT 1 FROM revisions
        WHERE revisions.activity_id = ?1 AND revisions.number = chunks.revision
          AND revisions.kind = {int(RevisionKind.UPDATE)} AND revisions.alert IS NULL)
"""

# An untouched chunk, by far the most frequent, need not travel through Python.
SUPERSEDE_UNTOUCHED = f"""
    UPDATE chunks INDEXED BY ix_chunks_waiting SET
        state = {int(ChunkState.SETTLED)}, settled_at = ?3,
        verdicts = CAST(replace(hex(zeroblob(last - first + 1)), '00', char({int(Verdict.SUPERSEDED)})) AS BLOB)
    WHERE chunks.state = {int(ChunkState.READY)} AND chunks.activity_id = ?1 AND chunks.revision < ?2
      AND chunks.verdicts = zeroblob(last - first + 1)
      AND EXISTS (
        SELECT 1 FROM revisions
        WHERE revisions.activity_id = ?1 AND revisions.number = chunks.revision
          AND revisions.kind = {int(RevisionKind.UPDATE)} AND revisions.alert IS NULL)
"""

# From the index alone, once for each revision however many chunks it has; nearly always there is none.
WAITING_BEFORE = f"""
    SELECT waiting.revision FROM (
        SELECT DISTINCT revision FROM chunks INDEXED BY ix_chunks_waiting
        WHERE state = {int(ChunkState.READY)} AND activity_id = ?1 AND revision < ?2
    ) AS waiting
    CROSS JOIN revisions ON revisions.activity_id = ?1 AND revisions.number = waiting.revision
    WHERE revisions.kind = {int(RevisionKind.UPDATE)} AND revisions.alert IS NULL
"""

# Asked for each chunk that settles, so the cheap question comes first: of a million cards, all but the last few chunks
# find another one waiting. CASE keeps the order, which AND does not promise.
SETTLE_REVISION = f"""
    UPDATE revisions SET settled_at = ?3
    WHERE activity_id = ?1 AND number = ?2 AND settled_at IS NULL AND CASE
        WHEN EXISTS (
            SELECT 1 FROM chunks INDEXED BY ix_chunks_waiting
            WHERE chunks.state = {int(ChunkState.READY)} AND chunks.activity_id = ?1 AND chunks.revision = ?2
        ) THEN 0
        WHEN EXISTS (
            SELECT 1 FROM chunks INDEXED BY ix_chunks_activity_id_revision
            WHERE chunks.activity_id = ?1 AND chunks.revision = ?2 AND chunks.state <> {int(ChunkState.SETTLED)}
        ) THEN 0
        ELSE NOT EXISTS (SELECT 1 FROM plans WHERE plans.activity_id = ?1 AND plans.revision = ?2)
    END
    RETURNING kind
"""

VERDICTS = """
    SELECT json_group_array(json_array(first, last, hex(verdicts))) FROM (
        SELECT first, last, verdicts FROM chunks INDEXED BY ix_chunks_activity_id_revision
        WHERE activity_id = ? AND revision = ? ORDER BY chunk_id
    )
"""

MISSES = "SELECT reason, count(*) FROM misses WHERE activity_id = ? AND revision = ? GROUP BY reason"

# Asked only where there are some: those of older revisions are read past.
REFUSALS = "SELECT reason, count(*) FROM rejections WHERE activity_id = ? AND revision = ? GROUP BY reason"

SETTLE = f"UPDATE chunks SET state = {int(ChunkState.SETTLED)}, verdicts = ?, settled_at = ? WHERE chunk_id = ?"

UNSETTLED = f"""
    SELECT 1 FROM chunks INDEXED BY ix_chunks_activity_id_revision
    WHERE activity_id = ? AND revision = ? AND state <> {int(ChunkState.SETTLED)} LIMIT 1
"""

SPAN = """
    SELECT min(first), max(last) FROM chunks INDEXED BY ix_chunks_activity_id_revision
    WHERE activity_id = ? AND revision = ? AND first > 0
"""

COVERING = f"""
    SELECT first, verdicts FROM chunks INDEXED BY ix_chunks_waiting
    WHERE state = {int(ChunkState.READY)} AND activity_id = ? AND revision = ? AND first BETWEEN ? AND ? AND last >= ?
"""

# A chunk may have been split: later ones hold some of its cards again.
VERDICT_OF = """
    SELECT substr(verdicts, ?3 - first + 1, 1) FROM chunks INDEXED BY ix_chunks_activity_id_revision
    WHERE activity_id = ?1 AND revision = ?2 AND first BETWEEN ?4 AND ?3 AND last >= ?3
    ORDER BY chunk_id DESC LIMIT 1
"""

NEXT_DUE = f"SELECT min(due_at) FROM chunks WHERE state = {int(ChunkState.READY)} AND lane = ?"

DEPTH = f"""
    SELECT
        (SELECT count(*) FROM chunks INDEXED BY ix_chunks_ready WHERE state = {int(ChunkState.READY)}),
        (SELECT count(*) FROM chunks INDEXED BY ix_chunks_leased WHERE state = {int(ChunkState.LEASED)}),
        (SELECT min(due_at) FROM chunks WHERE state = {int(ChunkState.READY)} AND lane = {int(Lane.SMALL)}),
        (SELECT min(due_at) FROM chunks WHERE state = {int(ChunkState.READY)} AND lane = {int(Lane.LARGE)}),
        (SELECT count(*) FROM plans)
"""

ADD_PLAN = """
    INSERT INTO plans (app_id, activity_id, revision, audience, cursor, package, interval, due_at, left)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

DUE_PLANS = """
    SELECT plan_id, app_id, activity_id, revision, audience, due_at, cursor, package, interval, left FROM plans
    WHERE due_at <= ? ORDER BY due_at, plan_id LIMIT ?
"""

SAVE_PLAN = "UPDATE plans SET cursor = ?, due_at = ?, left = ? WHERE plan_id = ?"

FINISH_PLAN = "DELETE FROM plans WHERE plan_id = ?"

NEXT_PLAN_DUE = "SELECT min(due_at) FROM plans"

_SUPERSEDED = bytes(Verdict.SUPERSEDED if byte in OPEN else byte for byte in range(256))
"""For `bytes.translate`: what is open is superseded, what is decided stays."""

_boards = msgspec.json.Decoder(list[tuple[int, int, str]])

_UNTRIED = frozenset({Verdict.PENDING, Verdict.RETRY})


class OutboxRecords:
    """`delivery.ports.OutboxRecords` on SQLite. `clock` dates the settling of chunks, for retention and statistics."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], Millis]) -> None:
        self._connection = connection
        self._clock = clock

    def add_chunks(self, chunks: Sequence[Chunk]) -> None:
        """Store new chunks; their `chunk_id` is given by the store.

        Raises:
            ValueError: if one is larger than `CHUNK_SIZE`, which `will_cover` relies on.
        """
        if any(chunk.size > CHUNK_SIZE for chunk in chunks):
            raise ValueError(f"a chunk covers more than {CHUNK_SIZE} cards")
        rows = []
        offset = 0
        for chunk in chunks:
            rows.append((
                chunk.app_id, chunk.activity_id, chunk.revision, chunk.first, chunk.last, chunk.state, chunk.lane,
                chunk.due_at, chunk.attempt, chunk.floor, chunk.created_at, offset,
            ))  # fmt: skip
            offset += len(chunk.verdicts)
        verdicts = b"".join([chunk.verdicts for chunk in chunks])
        self._connection.execute(ADD_CHUNKS, (msgspec.json.encode(rows).decode("ascii"), verdicts))

    def claim(self, owner: str, lane: Lane, now: Millis, limit: int) -> list[Chunk]:
        """Lease up to `limit` chunks of a lane that are ready and due, the longest due first."""
        rows = self._connection.execute(CLAIM, (owner, int(lane), now, limit)).fetchall()
        return sorted(map(_chunk, rows), key=lambda chunk: (chunk.due_at, chunk.chunk_id))

    def get(self, chunk_id: ChunkId) -> Chunk | None:
        """One chunk."""
        row = self._connection.execute(GET, (chunk_id,)).fetchone()
        return None if row is None else _chunk(row)

    def save(self, chunk: Chunk) -> None:
        """Store state, verdicts, attempt and `due_at`; a chunk that is not `LEASED` any more loses its lease."""
        self._connection.execute(
            SAVE, (int(chunk.state), chunk.verdicts, chunk.attempt, chunk.due_at, self._clock(), chunk.chunk_id)
        )

    def reclaim(self, owner: str, heard_since: Millis) -> list[Chunk]:
        """Chunks leased by others whose senders are gone. Nothing is changed."""
        return [_chunk(row) for row in self._connection.execute(RECLAIM, (owner, heard_since)).fetchall()]

    def supersede(self, activity_id: ActivityId, before: RevisionNumber) -> list[RevisionNumber]:
        """Settle the unleased chunks of supersedable updates older than `before`; their open bytes say `SUPERSEDED`.

        Returns the revisions that had such chunks.
        """
        revisions = self._connection.execute(WAITING_BEFORE, (activity_id, before)).fetchall()
        if not revisions:
            return []
        now = self._clock()
        self._connection.execute(SUPERSEDE_UNTOUCHED, (activity_id, before, now))
        touched = self._connection.execute(SUPERSEDABLE, (activity_id, before)).fetchall()
        if touched:
            self._connection.executemany(
                SETTLE, [(verdicts.translate(_SUPERSEDED), now, chunk_id) for chunk_id, verdicts in touched]
            )
        return [RevisionNumber(number) for (number,) in revisions]

    def settle_revision(self, activity_id: ActivityId, revision: RevisionNumber, now: Millis) -> Settled | None:
        """Note that nothing of a revision is open or planned any more, and count; None: something is, or it is noted.

        A card that joins later may get the revision in a chunk of its own: it stays noted.
        """
        noted = self._connection.execute(SETTLE_REVISION, (activity_id, revision, now)).fetchall()
        if not noted:
            return None
        (text,) = self._connection.execute(VERDICTS, (activity_id, revision)).fetchone()
        boards = [(first, last, bytes.fromhex(verdicts)) for first, last, verdicts in _boards.decode(text)]
        cards = [board for board in boards if board[0] != CHANNEL]
        broadcast = next((Verdict(board[2][0]) for board in reversed(boards) if board[0] == CHANNEL), None)
        starts = noted[0][0] == RevisionKind.START
        missed = self._connection.execute(MISSES, (activity_id, revision)) if starts else ()
        counts = count_verdicts(cards)
        refused = self._connection.execute(REFUSALS, (activity_id, revision)) if Verdict.REJECTED in counts else ()
        return Settled(counts, dict(missed), broadcast, dict(refused))

    def span(self, activity_id: ActivityId, revision: RevisionNumber) -> tuple[CardNumber, CardNumber] | None:
        """The lowest and the highest card that a revision was planned for; None: it was for nobody."""
        first, last = self._connection.execute(SPAN, (activity_id, revision)).fetchone()
        return None if first is None else (CardNumber(first), CardNumber(last))

    def is_settled(self, activity_id: ActivityId, revision: RevisionNumber) -> bool:
        """Whether each push of a revision has its verdict, as far as it is planned."""
        return self._connection.execute(UNSETTLED, (activity_id, revision)).fetchone() is None

    def will_cover(self, activity_id: ActivityId, revision: RevisionNumber, number: CardNumber) -> bool:
        """Whether a chunk of this revision that nobody has claimed yet will reach the card."""
        rows = self._connection.execute(
            COVERING, (activity_id, revision, number - CHUNK_SIZE + 1, number, number)
        ).fetchall()
        return any(verdicts[number - first] in _UNTRIED for first, verdicts in rows)

    def verdict_of(self, activity_id: ActivityId, revision: RevisionNumber, number: CardNumber) -> Verdict | None:
        """What became of a revision on one card, from the newest chunk that holds it; None: no chunk does."""
        row = self._connection.execute(VERDICT_OF, (activity_id, revision, number, number - CHUNK_SIZE + 1)).fetchone()
        return None if row is None else Verdict(row[0][0])

    def start_recipients(self, chunk: Chunk, attributes_type: str) -> list[Recipient]:
        """The chunk's cards with their devices' start tokens, by number; the typed token before the untyped one."""
        return recipients.decode(
            self._connection.execute(
                recipients.START_RECIPIENTS,
                (chunk.app_id, attributes_type, chunk.activity_id, chunk.first, chunk.last),
            ).fetchone()
        )

    def card_recipients(self, chunk: Chunk) -> list[Recipient]:
        """The chunk's cards with their update tokens, by number."""
        return recipients.decode(
            self._connection.execute(
                recipients.CARD_RECIPIENTS, (chunk.activity_id, chunk.first, chunk.last)
            ).fetchone()
        )

    def people(
        self, activity_id: ActivityId, first: CardNumber, last: CardNumber, need: Need
    ) -> dict[CardNumber, Person]:  # fmt: skip
        """Whose the cards `first`..`last` are: the device's language and, where that is needed, its user's profile."""
        statement = recipients.PEOPLE if need is Need.PROFILE else recipients.LANGUAGES
        return recipients.decode_people(self._connection.execute(statement, (activity_id, first, last)).fetchone())

    def next_due(self, lane: Lane) -> Millis | None:
        """When the next ready chunk of the lane is due."""
        (due_at,) = self._connection.execute(NEXT_DUE, (int(lane),)).fetchone()
        return None if due_at is None else Millis(due_at)

    def depth(self, now: Millis) -> Depth:
        """How much is waiting."""
        ready, leased, small_due, large_due, plans = self._connection.execute(DEPTH).fetchone()
        due = [due_at for due_at in (small_due, large_due) if due_at is not None and due_at <= now]
        return Depth(ready, leased, min(due, default=None), plans)

    def add_plan(self, plan: Plan) -> None:
        """Store a plan; its `plan_id` is given by the store."""
        self._connection.execute(
            ADD_PLAN,
            (
                plan.app_id,
                plan.activity_id,
                plan.revision,
                audience_json.encode(plan.audience),
                plan.cursor,
                plan.package,
                plan.interval,
                plan.due_at,
                plan.left,
            ),
        )

    def due_plans(self, now: Millis, limit: int) -> list[Plan]:
        """Plans whose time has come, earliest first."""
        return [_plan(row) for row in self._connection.execute(DUE_PLANS, (now, limit)).fetchall()]

    def save_plan(self, plan: Plan) -> None:
        """Store cursor and `due_at`."""
        self._connection.execute(SAVE_PLAN, (plan.cursor, plan.due_at, plan.left, plan.plan_id))

    def finish_plan(self, plan: Plan) -> None:
        """The audience is spread out."""
        self._connection.execute(FINISH_PLAN, (plan.plan_id,))

    def next_plan_due(self) -> Millis | None:
        """When the next plan is due."""
        (due_at,) = self._connection.execute(NEXT_PLAN_DUE).fetchone()
        return None if due_at is None else Millis(due_at)


def _chunk(row: tuple[Any, ...]) -> Chunk:
    chunk_id, app_id, activity_id, revision, first, last, verdicts, state, lane, *rest = row
    return Chunk(chunk_id, app_id, activity_id, revision, first, last, verdicts, ChunkState(state), Lane(lane), *rest)


def _plan(row: tuple[Any, ...]) -> Plan:
    plan_id, app_id, activity_id, revision, audience, due_at, cursor, package, interval, left = row
    return Plan(
        plan_id,
        AppId(app_id),
        ActivityId(activity_id),
        RevisionNumber(revision),
        audience_json.decode(audience),
        Millis(due_at),
        DeviceId(cursor),
        package,
        Millis(interval),
        left,
    )
