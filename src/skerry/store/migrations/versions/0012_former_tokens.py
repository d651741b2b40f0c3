"""The token that a card had before it was over: an app that starts anew may say it again."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column. Of cards that are over by now nobody knows it any more."""
    op.add_column("cards", sa.Column("former_token", sa.Text))


def downgrade() -> None:
    """Without it."""
    op.drop_column("cards", "former_token")
