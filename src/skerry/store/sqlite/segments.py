"""Segments: audiences under a name."""

import sqlite3

from skerry.domain import audience_json
from skerry.domain.audience import Audience
from skerry.domain.ids import AppId, Millis
from skerry.domain.segment import StoredSegment, resolved

_COLUMNS = "segment_id, name, audience, created_at, updated_at"

FIND = f"SELECT {_COLUMNS} FROM segments WHERE app_id = ? AND name = ?"
GET = f"SELECT {_COLUMNS} FROM segments WHERE app_id = ? AND segment_id = ?"
ALL = f"SELECT {_COLUMNS} FROM segments WHERE app_id = ? ORDER BY name"
SAVE = """
    INSERT INTO segments (app_id, name, audience, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)
    ON CONFLICT (app_id, name) DO UPDATE SET audience = excluded.audience, updated_at = excluded.updated_at
"""
REMOVE = "DELETE FROM segments WHERE app_id = ? AND name = ?"


class SegmentRecords:
    """Segments of apps, by name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, app_id: AppId, name: str) -> StoredSegment | None:
        """The segment with this name."""
        row = self._connection.execute(FIND, (app_id, name)).fetchone()
        return None if row is None else _segment(*row)

    def get(self, app_id: AppId, segment_id: int) -> StoredSegment | None:
        """The segment with this number."""
        row = self._connection.execute(GET, (app_id, segment_id)).fetchone()
        return None if row is None else _segment(*row)

    def all(self, app_id: AppId) -> list[StoredSegment]:
        """All of an app, by name."""
        return [_segment(*row) for row in self._connection.execute(ALL, (app_id,)).fetchall()]

    def resolved(self, app_id: AppId, audience: Audience, salt: str) -> Audience:
        """The audience with what its segments stand for now; see `domain.segment.resolved`."""

        def find(name: str) -> Audience | None:
            stored = self.find(app_id, name)
            return None if stored is None else stored.audience

        return resolved(audience, find, salt)

    def save(self, app_id: AppId, name: str, audience: Audience, now: Millis) -> None:
        """Store an audience under a name, in place of what was there."""
        self._connection.execute(SAVE, (app_id, name, audience_json.encode(audience), now))

    def remove(self, app_id: AppId, name: str) -> None:
        """Forget a segment."""
        self._connection.execute(REMOVE, (app_id, name))


def _segment(segment_id: int, name: str, audience: bytes, created_at: Millis, updated_at: Millis) -> StoredSegment:
    return StoredSegment(segment_id, name, audience_json.decode(audience), created_at, updated_at)
