"""What is not needed any more goes: slice by slice, so that the writer is never held for long.

A pass walks the activities by id. Of each it forgets chunks that were settled long ago, revisions that nothing refers
to any more, and their refusals and misses; an activity that ended long ago goes altogether. What stays for good is the
newest of everything: a card's last verdict is read from the chunk of the newest revision, and a card that joins late
gets that revision. Starts under a notification key stay as long as their statistics are promised. Events go by their
age alone.
"""

import sqlite3
from dataclasses import dataclass
from functools import partial

from skerry.domain.activity import Phase
from skerry.domain.chunk import ChunkState
from skerry.domain.ids import ActivityId, Millis
from skerry.domain.revision import RevisionKind
from skerry.domain.timer import TimerKind
from skerry.store.sqlite.database import SqliteStore
from skerry.store.sqlite.transaction import SqliteTransaction

_DAY_MS = 24 * 3600 * 1000

SLICE = 500
"""Activities of one slice, and rows that it deletes from one table: some milliseconds of the writer."""

EVENTS_SLICE = 2_000
"""Events of one slice: small rows that lie side by side."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long what is kept, in milliseconds."""

    settled_ms: int = 2 * _DAY_MS
    """Chunks, from when they were settled, and revisions that are not the newest, from when they were made."""
    starts_ms: int = 90 * _DAY_MS
    """The same for starts under a notification key: what their statistics are counted from."""
    ended_ms: int = 90 * _DAY_MS
    """Whole activities, from their end; not less than `starts_ms`."""
    idempotency_ms: int = _DAY_MS
    """Answers remembered for repeated requests."""
    events_ms: int = 7 * _DAY_MS
    """Events, what of them webhooks could not be told, the log of attempts to tell them, and scheduled changes that
    wait no more."""

    def __post_init__(self) -> None:
        if self.ended_ms < self.starts_ms:
            raise ValueError("ended_ms must not be less than starts_ms: an activity takes its statistics with it")


@dataclass(frozen=True, slots=True)
class Swept:
    """What a slice deleted, and where the next one goes on; None: the pass is over."""

    rows: int
    after: ActivityId | None


HIGHEST_OF_SLICE = """
    SELECT max(activity_id) FROM (SELECT activity_id FROM activities WHERE activity_id > ? ORDER BY activity_id LIMIT ?)
"""

# A start under a notification key, young enough to be counted.
_COUNTED = f"""
    revisions.kind = {int(RevisionKind.START)} AND revisions.notification_key IS NOT NULL
    AND revisions.created_at >= :starts_before
"""

_NEWEST = "(activities.newest, activities.newest_state, activities.end_revision)"

# A chunk that a timer names stays until its time: SQLite gives the highest id again once it is free, and the timer
# would take another chunk's starts for those that it was set for.
SETTLED_CHUNKS = f"""
    DELETE FROM chunks WHERE chunk_id IN (
        SELECT chunks.chunk_id
        FROM activities
        CROSS JOIN chunks ON chunks.activity_id = activities.activity_id
        LEFT JOIN revisions ON revisions.activity_id = chunks.activity_id AND revisions.number = chunks.revision
        WHERE activities.activity_id BETWEEN :low AND :high
          AND chunks.state = {int(ChunkState.SETTLED)} AND chunks.settled_at < :settled_before
          AND chunks.revision NOT IN {_NEWEST}
          AND ({_COUNTED}) IS NOT TRUE
          AND NOT EXISTS (
            SELECT 1 FROM timers
            WHERE timers.kind IN ({int(TimerKind.UNKNOWN_START)}, {int(TimerKind.NO_TOKEN)})
              AND timers.activity_id = chunks.activity_id AND timers.subject = chunks.chunk_id)
        LIMIT :limit)
"""

OLD_REVISIONS = f"""
    DELETE FROM revisions WHERE (activity_id, number) IN (
        SELECT revisions.activity_id, revisions.number
        FROM activities
        CROSS JOIN revisions ON revisions.activity_id = activities.activity_id
        WHERE activities.activity_id BETWEEN :low AND :high
          AND revisions.created_at < :settled_before
          AND revisions.number NOT IN {_NEWEST}
          AND ({_COUNTED}) IS NOT TRUE
          AND NOT EXISTS (
            SELECT 1 FROM chunks
            WHERE chunks.activity_id = revisions.activity_id AND chunks.revision = revisions.number)
          AND NOT EXISTS (
            SELECT 1 FROM plans
            WHERE plans.activity_id = revisions.activity_id AND plans.revision = revisions.number)
        LIMIT :limit)
"""

ORPHANED_REJECTIONS = """
    DELETE FROM rejections WHERE (activity_id, number, revision) IN (
        SELECT rejections.activity_id, rejections.number, rejections.revision
        FROM rejections
        WHERE rejections.activity_id BETWEEN :low AND :high
          AND NOT EXISTS (
            SELECT 1 FROM revisions
            WHERE revisions.activity_id = rejections.activity_id AND revisions.number = rejections.revision)
        LIMIT :limit)
"""

ORPHANED_MISSES = """
    DELETE FROM misses WHERE miss_id IN (
        SELECT misses.miss_id
        FROM misses
        WHERE misses.activity_id BETWEEN :low AND :high
          AND NOT EXISTS (
            SELECT 1 FROM revisions
            WHERE revisions.activity_id = misses.activity_id AND revisions.number = misses.revision)
        LIMIT :limit)
"""

_GONE = f"""
    SELECT activity_id FROM activities
    WHERE activity_id BETWEEN :low AND :high
      AND phase = {int(Phase.ENDED)} AND ended_at < :ended_before
      AND NOT EXISTS (
        SELECT 1 FROM chunks
        WHERE chunks.activity_id = activities.activity_id AND chunks.state <> {int(ChunkState.SETTLED)})
      AND NOT EXISTS (SELECT 1 FROM plans WHERE plans.activity_id = activities.activity_id)
"""

# Children before their parent; an activity goes when nothing of it is left, which may take several slices.
GONE_WITH_ACTIVITIES = (
    f"""
    DELETE FROM cards WHERE (activity_id, number) IN (
        SELECT cards.activity_id, cards.number FROM ({_GONE}) AS gone
        CROSS JOIN cards ON cards.activity_id = gone.activity_id LIMIT :limit)
    """,
    f"""
    DELETE FROM chunks WHERE chunk_id IN (
        SELECT chunks.chunk_id FROM ({_GONE}) AS gone
        CROSS JOIN chunks ON chunks.activity_id = gone.activity_id LIMIT :limit)
    """,
    f"""
    DELETE FROM revisions WHERE (activity_id, number) IN (
        SELECT revisions.activity_id, revisions.number FROM ({_GONE}) AS gone
        CROSS JOIN revisions ON revisions.activity_id = gone.activity_id LIMIT :limit)
    """,
)

GONE_ACTIVITIES = f"""
    {_GONE}
      AND NOT EXISTS (SELECT 1 FROM cards WHERE cards.activity_id = activities.activity_id)
      AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.activity_id = activities.activity_id)
      AND NOT EXISTS (SELECT 1 FROM revisions WHERE revisions.activity_id = activities.activity_id)
      AND NOT EXISTS (SELECT 1 FROM rejections WHERE rejections.activity_id = activities.activity_id)
      AND NOT EXISTS (SELECT 1 FROM misses WHERE misses.activity_id = activities.activity_id)
"""

FORGET_ACTIVITY = (
    "DELETE FROM activity_names WHERE activity_id = ?",
    "DELETE FROM nameless_values WHERE activity_id = ?",
    "DELETE FROM scripts WHERE activity_id = ?",
    f"DELETE FROM timers WHERE kind IN ({', '.join(str(int(kind)) for kind in TimerKind)}) AND activity_id = ?",
    "DELETE FROM activities WHERE activity_id = ?",
)

OLD_ANSWERS = """
    DELETE FROM idempotency WHERE (app_id, key) IN (
        SELECT app_id, key FROM idempotency WHERE created_at < ? ORDER BY created_at LIMIT ?)
"""


# Events lie in the order of time, so the oldest are the first. The newest stays: its number must not come again.
OLD_EVENTS = """
    DELETE FROM events WHERE event_id IN (
        SELECT event_id FROM (SELECT event_id, at FROM events ORDER BY event_id LIMIT ?2) AS oldest
        WHERE at < ?1 AND event_id < (SELECT max(event_id) FROM events))
"""

UNTELLABLE = """
    DELETE FROM webhook_deliveries WHERE (event_id, webhook_id) IN (
        SELECT event_id, webhook_id FROM webhook_deliveries
        WHERE event_id < (SELECT min(event_id) FROM events) ORDER BY event_id LIMIT ?)
"""

OLD_ATTEMPTS = """
    DELETE FROM webhook_attempts WHERE attempt_id IN (
        SELECT attempt_id FROM (SELECT attempt_id, at FROM webhook_attempts ORDER BY attempt_id LIMIT ?2) AS oldest
        WHERE at < ?1)
"""


OLD_CHANGES = """
    DELETE FROM scheduled_changes WHERE schedule_id IN (
        SELECT schedule_id FROM scheduled_changes WHERE settled_at < ? ORDER BY settled_at LIMIT ?)
"""


def sweep_events(tx: SqliteTransaction, keep: Keep, now: Millis, *, limit: int = EVENTS_SLICE) -> tuple[int, bool]:
    """Delete old events, deliveries of such, old attempts and old scheduled changes, up to `limit` of each.

    Returns how many rows that were, and whether there may be more.
    """
    before = now - keep.events_ms
    counts = (
        tx.connection.execute(OLD_EVENTS, (before, limit)).rowcount,
        tx.connection.execute(UNTELLABLE, (limit,)).rowcount,
        tx.connection.execute(OLD_ATTEMPTS, (before, limit)).rowcount,
        tx.connection.execute(OLD_CHANGES, (before, limit)).rowcount,
    )
    return sum(counts), limit in counts


def sweep(tx: SqliteTransaction, keep: Keep, now: Millis, after: ActivityId, *, limit: int = SLICE) -> Swept:
    """Delete what a slice of the activities does not need any more, and old remembered answers.

    Args:
        tx: the transaction to do it in.
        keep: what stays.
        now: the present.
        after: the slice begins behind this activity; 0 begins a pass.
        limit: activities to look at, and rows to delete from any one table.

    Returns:
        Where to go on. Where a table had more to delete than `limit`, that is the same place again.
    """
    connection = tx.connection
    answers = connection.execute(OLD_ANSWERS, (now - keep.idempotency_ms, limit)).rowcount
    (high,) = connection.execute(HIGHEST_OF_SLICE, (after, limit)).fetchone()
    if high is None:
        return Swept(answers, after if answers == limit else None)
    bounds = {
        "low": after + 1,
        "high": high,
        "settled_before": now - keep.settled_ms,
        "starts_before": now - keep.starts_ms,
        "ended_before": now - keep.ended_ms,
        "limit": limit,
    }
    # Whole activities first: their revisions take refusals and misses with them as orphans, within the same slice.
    counts = [
        connection.execute(statement, bounds).rowcount
        for statement in (
            *GONE_WITH_ACTIVITIES,
            SETTLED_CHUNKS,
            OLD_REVISIONS,
            ORPHANED_REJECTIONS,
            ORPHANED_MISSES,
        )
    ]
    gone = _forget_activities(connection, bounds)
    more = any(count == limit for count in (answers, *counts))
    return Swept(answers + sum(counts) + gone, after if more else ActivityId(high))


async def sweep_all(store: SqliteStore, keep: Keep, now: Millis) -> int:
    """One pass, slice by slice, each in a transaction of its own; the number of rows that were deleted."""
    rows = 0
    after: ActivityId | None = ActivityId(0)
    while after is not None:
        swept = await store.write(partial(sweep, keep=keep, now=now, after=after))
        rows += swept.rows
        after = swept.after
    more = True
    while more:
        count, more = await store.write(partial(sweep_events, keep=keep, now=now))
        rows += count
    return rows


def _forget_activities(connection: sqlite3.Connection, bounds: dict[str, int]) -> int:
    gone = connection.execute(GONE_ACTIVITIES, bounds).fetchall()
    for statement in FORGET_ACTIVITY:
        connection.executemany(statement, gone)
    return len(gone)
