"""What went wrong with single pushes and single people, kept to be told."""

import sqlite3

from skerry.domain.ids import ActivityId, CardNumber, DeviceId, Millis, RevisionNumber
from skerry.domain.push import Rejected

# A push has one final refusal; a start that is tried again and refused again keeps the newest.
ADD = """
    INSERT INTO rejections (activity_id, revision, number, status, reason, at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (activity_id, number, revision)
    DO UPDATE SET status = excluded.status, reason = excluded.reason, at = excluded.at
"""

ADD_MISS = "INSERT INTO misses (activity_id, revision, device_id, ext_id, reason, at) VALUES (?, ?, ?, ?, ?, ?)"


class RejectionRecords:
    """`delivery.ports.RejectionRecords` on SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(
        self, activity_id: ActivityId, revision: RevisionNumber, number: CardNumber, rejected: Rejected, at: Millis
    ) -> None:
        """APNs' final refusal of a push."""
        self._connection.execute(ADD, (activity_id, revision, number, rejected.status, rejected.reason, at))

    def add_miss(
        self,
        activity_id: ActivityId,
        revision: RevisionNumber,
        device_id: DeviceId | None,
        ext_id: str | None,
        reason: str,
        at: Millis,
    ) -> None:
        """Somebody a start was for who could not be started."""
        self._connection.execute(ADD_MISS, (activity_id, revision, device_id, ext_id, reason, at))
