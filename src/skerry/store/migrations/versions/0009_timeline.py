"""What happened to one device in an activity, and to the activity as a whole, without reading the rest."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An index of events by activity and device; those of the activity as a whole have none."""
    op.create_index(
        "ix_events_phone",
        "events",
        ["activity_id", "device_id", "event_id"],
        sqlite_where=sa.text("activity_id IS NOT NULL"),
    )


def downgrade() -> None:
    """Without it."""
    op.drop_index("ix_events_phone", "events")
