"""What happened to one device in an activity without reading the rest; and answers that a repeat gets again."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An index of events by activity and device; those of the activity as a whole have none.

    Keys of `/v1` were remembered without an answer: a repeat of such a request is taken for a first one.
    """
    op.create_index(
        "ix_events_phone",
        "events",
        ["activity_id", "device_id", "event_id"],
        sqlite_where=sa.text("activity_id IS NOT NULL"),
    )
    op.execute("DELETE FROM idempotency WHERE key >= 'v1:' AND key < 'v1;' AND answer = ''")


def downgrade() -> None:
    """Without it."""
    op.drop_index("ix_events_phone", "events")
