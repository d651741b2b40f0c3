"""When the starts of a device went out, or will: for its start budget.

Cards that are there have no such time: for the length of one window their devices count as not started.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column, in the index that is asked for a device's cards."""
    op.add_column("cards", sa.Column("starts_at", sa.Integer))
    op.drop_index("ix_cards_device_id", "cards")
    op.create_index("ix_cards_device_id", "cards", ["device_id", "activity_id", "number", "starts_at"])


def downgrade() -> None:
    """Without it."""
    op.drop_index("ix_cards_device_id", "cards")
    op.drop_column("cards", "starts_at")
    op.create_index("ix_cards_device_id", "cards", ["device_id", "activity_id"])
