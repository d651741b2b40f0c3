"""Apps whose devices must prove the user they claim."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The secret that signs such proofs."""
    op.add_column("apps", sa.Column("user_token_secret_sealed", sa.BLOB))


def downgrade() -> None:
    """Back to apps that ask for no proof."""
    op.drop_column("apps", "user_token_secret_sealed")
