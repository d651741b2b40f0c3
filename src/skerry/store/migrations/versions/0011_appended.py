"""Less to write for each update: revisions at the end of their table, and fewer index entries for events and chunks.

Copies the revisions, a few minutes for tens of millions of them, and makes indexes of events anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_OF_ACTIVITY = sa.text("activity_id IS NOT NULL")
_WHOLE = sa.text("activity_id IS NOT NULL AND device_id IS NULL")
_CARDS = sa.text("activity_id IS NOT NULL AND device_id IS NOT NULL")
_COLUMNS = (
    "activity_id, number, kind, timestamp, created_at, state, attributes, attributes_type, alert, priority, stale_date,"
    " dismissal_date, expiration, notification_key, relevance, settled_at"
)


def upgrade() -> None:
    """Rows by number instead of by activity; leases without a time, since they end with their owner."""
    _rebuild_revisions(
        [sa.Column("revision_id", sa.Integer, nullable=False)],
        sa.PrimaryKeyConstraint("revision_id", name=op.f("pk_revisions")),
        sa.UniqueConstraint("activity_id", "number", name=op.f("uq_revisions_activity_id_number")),
        with_rowid=True,
    )
    op.drop_index("ix_events_activity_id", "events")
    op.drop_index("ix_events_phone", "events")
    op.create_index("ix_events_whole", "events", ["activity_id", "event_id"], sqlite_where=_WHOLE)
    op.create_index("ix_events_cards", "events", ["activity_id", "event_id"], sqlite_where=_CARDS)
    op.create_index("ix_events_phone", "events", ["activity_id", "device_id", "event_id"], sqlite_where=_CARDS)
    op.drop_index("ix_chunks_leased", "chunks")
    op.drop_column("chunks", "lease_until")
    op.create_index("ix_chunks_leased", "chunks", ["chunk_id"], sqlite_where=sa.text("state = 2"))


def downgrade() -> None:
    """As before; leases that are held get a time that has passed."""
    op.drop_index("ix_chunks_leased", "chunks")
    op.add_column("chunks", sa.Column("lease_until", sa.Integer))
    op.execute("UPDATE chunks SET lease_until = 0 WHERE state = 2")
    op.create_index("ix_chunks_leased", "chunks", ["lease_until"], sqlite_where=sa.text("state = 2"))
    for name in ("ix_events_whole", "ix_events_cards", "ix_events_phone"):
        op.drop_index(name, "events")
    op.create_index("ix_events_activity_id", "events", ["activity_id", "event_id"], sqlite_where=_OF_ACTIVITY)
    op.create_index("ix_events_phone", "events", ["activity_id", "device_id", "event_id"], sqlite_where=_OF_ACTIVITY)
    _rebuild_revisions(
        [], sa.PrimaryKeyConstraint("activity_id", "number", name=op.f("pk_revisions")), with_rowid=False
    )


def _rebuild_revisions(identity: list[sa.Column[int]], *key: sa.Constraint, with_rowid: bool) -> None:
    op.rename_table("revisions", "revisions_before")
    op.drop_index("ix_revisions_notification_key", "revisions_before")
    op.create_table(
        "revisions",
        *identity,
        sa.Column("activity_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("timestamp", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.Column("state", sa.BLOB),
        sa.Column("attributes", sa.BLOB),
        sa.Column("attributes_type", sa.Text),
        sa.Column("alert", sa.BLOB),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("stale_date", sa.Integer),
        sa.Column("dismissal_date", sa.Integer),
        sa.Column("expiration", sa.Integer),
        sa.Column("notification_key", sa.Integer),
        sa.Column("relevance", sa.REAL),
        sa.Column("settled_at", sa.Integer),
        sa.ForeignKeyConstraint(["activity_id"], ["activities.activity_id"], name=op.f("fk_revisions_activity_id")),
        *key,
        sqlite_strict=True,
        sqlite_with_rowid=with_rowid,
    )
    op.execute(f"INSERT INTO revisions ({_COLUMNS}) SELECT {_COLUMNS} FROM revisions_before")  # noqa: S608
    op.drop_table("revisions_before")
    op.create_index(
        "ix_revisions_notification_key",
        "revisions",
        ["notification_key"],
        sqlite_where=sa.text("notification_key IS NOT NULL"),
    )
