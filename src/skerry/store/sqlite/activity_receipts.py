"""What became of activities, card by card: read for people, at any size."""

import sqlite3
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from skerry.domain.activity import Activity
from skerry.domain.budget import START_BUDGET
from skerry.domain.card import CardStatus
from skerry.domain.chunk import CHUNK_SIZE, count_verdicts
from skerry.domain.ids import ActivityId, AppId, CardNumber, DeviceId, Millis, RevisionNumber
from skerry.domain.receipt import CardReceipt, RevisionReceipt
from skerry.domain.revision import RevisionKind
from skerry.domain.timeline import OnPhone
from skerry.domain.verdict import Verdict
from skerry.store.sqlite.activities import ACTIVITY, read_activity

NEWEST = f"""
    SELECT {ACTIVITY} FROM activities
    WHERE app_id = ?1 AND (?2 OR phase = 1) ORDER BY created_at DESC, activity_id DESC LIMIT ?3
"""

STATUSES = """
    SELECT status, count(*), count(*) FILTER (WHERE starts_at > ?2) FROM cards WHERE activity_id = ?1 GROUP BY status
"""

REVISIONS = """
    SELECT number, kind, timestamp, created_at, priority,
        EXISTS (SELECT 1 FROM plans WHERE plans.activity_id = ?1 AND plans.revision = revisions.number)
    FROM revisions WHERE activity_id = ?1 AND number <= coalesce(?3, number) ORDER BY number DESC LIMIT ?2
"""

VERDICTS = """
    SELECT first, last, verdicts FROM chunks WHERE activity_id = ? AND revision = ? AND first > 0 ORDER BY chunk_id
"""

BROADCAST = """
    SELECT verdicts FROM chunks WHERE activity_id = ? AND revision = ? AND first = 0 ORDER BY chunk_id DESC LIMIT 1
"""

REFUSALS = """
    SELECT revision, reason, count(*) FROM rejections WHERE activity_id = ? AND revision >= ? GROUP BY revision, reason
"""

MISSES = """
    SELECT revision, reason, count(*) FROM misses WHERE activity_id = ? AND revision >= ? GROUP BY revision, reason
"""

# Which revision a card must show is `domain.activity.Activity.target_of`, or else the start that made it. A chunk may
# have been split: later ones hold some of its cards again.
CARDS = f"""
    WITH shown AS (
        SELECT cards.activity_id, cards.number, cards.device_id, cards.status, cards.reason,
            iif(cards.status = {int(CardStatus.STARTING)} AND cards.starts_at > ?7, cards.starts_at, NULL) AS starts_at,
            CASE WHEN cards.number < ?2 THEN ?3 WHEN ?4 > cards.started_by THEN ?4 ELSE cards.started_by END AS target
        FROM cards WHERE cards.activity_id = ?1 AND cards.number > ?5 ORDER BY cards.number LIMIT ?6
    )
    SELECT shown.number, devices.installation_id, users.ext_id, shown.status, shown.target,
        (SELECT substr(chunks.verdicts, shown.number - chunks.first + 1, 1)
         FROM chunks INDEXED BY ix_chunks_activity_id_revision
         WHERE chunks.activity_id = ?1 AND chunks.revision = shown.target
           AND chunks.first BETWEEN shown.number - {CHUNK_SIZE - 1} AND shown.number AND chunks.last >= shown.number
         ORDER BY chunks.chunk_id DESC LIMIT 1),
        CASE WHEN shown.starts_at THEN '{START_BUDGET}' ELSE coalesce(shown.reason, rejections.reason) END,
        shown.starts_at
    FROM shown
    LEFT JOIN devices ON devices.device_id = shown.device_id
    LEFT JOIN users ON users.user_id = devices.user_id
    LEFT JOIN rejections ON rejections.activity_id = ?1 AND rejections.number = shown.number
        AND rejections.revision = shown.target
    ORDER BY shown.number
"""

# What each of some revisions came to on a device: its cards are few, whatever the activity has.
ON_DEVICE = f"""
    SELECT wanted.value, cards.number,
        (SELECT substr(chunks.verdicts, cards.number - chunks.first + 1, 1)
         FROM chunks INDEXED BY ix_chunks_activity_id_revision
         WHERE chunks.activity_id = ?1 AND chunks.revision = wanted.value
           AND chunks.first BETWEEN cards.number - {CHUNK_SIZE - 1} AND cards.number AND chunks.last >= cards.number
         ORDER BY chunks.chunk_id DESC LIMIT 1) AS verdict,
        rejections.reason
    FROM json_each(?3) AS wanted
    CROSS JOIN cards INDEXED BY ix_cards_device_id ON cards.device_id = ?2 AND cards.activity_id = ?1
    LEFT JOIN rejections ON rejections.activity_id = ?1 AND rejections.number = cards.number
        AND rejections.revision = wanted.value
    WHERE verdict IS NOT NULL AND verdict <> x'{int(Verdict.NO_CARD):02x}'
"""

MISSED_BY = """
    SELECT misses.revision, misses.reason FROM json_each(?3) AS wanted
    CROSS JOIN misses ON misses.activity_id = ?1 AND misses.revision = wanted.value
    WHERE misses.device_id = ?2
"""

# Newest start first; an activity has few of them that anybody was missed by.
LAST_MISSED = """
    SELECT reason FROM misses WHERE activity_id = ? AND device_id = ? ORDER BY revision DESC, miss_id DESC LIMIT 1
"""


class ActivityReceiptRecords:
    """`receipts.ports.ActivityReceiptRecords` on SQLite."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], Millis]) -> None:
        self._connection = connection
        self._clock = clock

    def newest(self, app_id: AppId, limit: int, *, ended: bool) -> list[Activity]:
        """An app's activities, the newest first, with or without ended ones."""
        rows = self._connection.execute(NEWEST, (app_id, ended, limit)).fetchall()
        return [read_activity(row) for row in rows]

    def statuses(self, activity_id: ActivityId) -> tuple[dict[CardStatus, int], int]:
        """How many cards are in which state; and how many of the starting wait for room in a start budget."""
        rows = self._connection.execute(STATUSES, (activity_id, self._clock())).fetchall()
        held = sum(held for status, _, held in rows if status == CardStatus.STARTING)
        return {CardStatus(status): count for status, count, _ in rows}, held

    def revision(self, activity_id: ActivityId, number: RevisionNumber) -> RevisionReceipt | None:
        """One revision; None: it is not there (any more)."""
        found = self.revisions(activity_id, 1, until=number)
        return found[0] if found and found[0].number == number else None

    def revisions(
        self, activity_id: ActivityId, limit: int, *, until: RevisionNumber | None = None
    ) -> list[RevisionReceipt]:
        """The newest revisions (up to `until`), the newest first."""
        rows = self._connection.execute(REVISIONS, (activity_id, limit, until)).fetchall()
        oldest = rows[-1][0] if rows else 0
        refusals = self._reasons(REFUSALS, activity_id, oldest)
        misses = self._reasons(MISSES, activity_id, oldest)
        return [
            RevisionReceipt(
                number,
                RevisionKind(kind),
                timestamp,
                created_at,
                priority,
                self._verdicts(activity_id, number),
                refusals.get(number, {}),
                misses.get(number, {}),
                bool(unplanned),
                self._broadcast(activity_id, number),
            )
            for number, kind, timestamp, created_at, priority, unplanned in rows
        ]

    def cards(self, activity: Activity, after: CardNumber, limit: int) -> list[CardReceipt]:
        """Cards numbered above `after`, in order."""
        rows = self._connection.execute(
            CARDS,
            (
                activity.activity_id,
                activity.first_card,
                activity.end_revision,
                activity.newest_state,
                after,
                limit,
                self._clock(),
            ),
        ).fetchall()
        return [_card(row) for row in rows]

    def on_device(
        self, activity_id: ActivityId, device_id: DeviceId, revisions: Collection[RevisionNumber]
    ) -> dict[RevisionNumber, OnPhone]:
        """What each of the revisions came to on a device; without those that did not concern it."""
        values = (activity_id, device_id, msgspec.json.encode(list(revisions)).decode())
        found = {
            RevisionNumber(revision): OnPhone(None, None, reason)
            for revision, reason in self._connection.execute(MISSED_BY, values)
        }
        rows = self._connection.execute(ON_DEVICE, values).fetchall()
        for revision, number, verdict, reason in sorted(rows, key=lambda row: row[1]):
            found[RevisionNumber(revision)] = OnPhone(CardNumber(number), Verdict(verdict[0]), reason)
        return found

    def last_missed(self, activity_id: ActivityId, device_id: DeviceId) -> str | None:
        """Why the newest start that was for a device could not start it; None: none has said so."""
        row = self._connection.execute(LAST_MISSED, (activity_id, device_id)).fetchone()
        return None if row is None else str(row[0])

    def _verdicts(self, activity_id: ActivityId, revision: RevisionNumber) -> dict[Verdict, int]:
        return count_verdicts(self._connection.execute(VERDICTS, (activity_id, revision)).fetchall())

    def _broadcast(self, activity_id: ActivityId, revision: RevisionNumber) -> Verdict | None:
        row = self._connection.execute(BROADCAST, (activity_id, revision)).fetchone()
        return None if row is None else Verdict(row[0][0])

    def _reasons(self, statement: str, activity_id: ActivityId, oldest: int) -> dict[int, dict[str, int]]:
        found: dict[int, dict[str, int]] = {}
        for revision, reason, count in self._connection.execute(statement, (activity_id, oldest)):
            found.setdefault(revision, {})[reason] = count
        return found


def _card(row: tuple[Any, ...]) -> CardReceipt:
    number, installation_id, ext_id, status, target, verdict, reason, starts_at = row
    found = None if not verdict else Verdict(verdict[0])
    return CardReceipt(number, installation_id, ext_id, CardStatus(status), target, found, reason, starts_at)
