"""Phones: what happened to one of them in an activity, without reading the rest; and starts that are lost."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An index of events by activity and device; those of the activity as a whole have none.

    Keys of `/v1` were remembered without an answer: a repeat of such a request is taken for a first one. Cards that are
    given up for want of a token may be many, and none of them is asked whether it can be started again.
    """
    op.create_index(
        "ix_events_phone",
        "events",
        ["activity_id", "device_id", "event_id"],
        sqlite_where=sa.text("activity_id IS NOT NULL"),
    )
    op.execute("DELETE FROM idempotency WHERE key >= 'v1:' AND key < 'v1;' AND answer = ''")
    op.drop_index("ix_cards_gone", "cards")
    gone = sa.text("status = 4 OR (status = 5 AND reason = 'NoAnswer')")
    op.create_index("ix_cards_gone", "cards", ["activity_id", "number"], sqlite_where=gone)


def downgrade() -> None:
    """As before."""
    op.drop_index("ix_events_phone", "events")
    op.drop_index("ix_cards_gone", "cards")
    op.create_index("ix_cards_gone", "cards", ["activity_id", "number"], sqlite_where=sa.text("status IN (4, 5)"))
