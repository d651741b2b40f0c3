"""Texts that depend on whom they are for."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The language of a device, and which running activities cannot be broadcast."""
    op.add_column("devices", sa.Column("language", sa.Text))
    op.add_column("desired", sa.Column("personal", sa.Integer, nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    """Back to the same text for everybody."""
    op.drop_column("desired", "personal")
    op.drop_column("devices", "language")
