"""Desired states: what callers want, beside the activities, and who follows which of them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tables for what is wanted and for whom, and an index for the cards that people swiped away."""
    op.add_column("revisions", sa.Column("relevance", sa.REAL))
    op.create_table(
        "desired",
        sa.Column("activity_id", sa.Integer, nullable=False),
        sa.Column("digest", sa.BLOB, nullable=False),
        sa.Column("audience", sa.BLOB),
        sa.Column("policies", sa.BLOB, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("alerted_at", sa.Integer, nullable=False),
        sa.Column("pushed_at", sa.Integer, nullable=False),
        sa.Column("start", sa.Integer, nullable=False),
        sa.Column("spent", sa.REAL, nullable=False),
        sa.Column("spent_at", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("activity_id", name="pk_desired"),
        sa.ForeignKeyConstraint(["activity_id"], ["activities.activity_id"], name="fk_desired_activity_id"),
        sqlite_strict=True,
    )
    op.create_table(
        "followers",
        sa.Column("app_id", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("activity_id", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("app_id", "key", "activity_id", name="pk_followers"),
        sa.ForeignKeyConstraint(["activity_id"], ["activities.activity_id"], name="fk_followers_activity_id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_followers_activity_id", "followers", ["activity_id"])
    op.create_index("ix_cards_dismissed", "cards", ["activity_id", "number"], sqlite_where=sa.text("status = 4"))


def downgrade() -> None:
    """Back to activities that only know commands."""
    op.drop_index("ix_cards_dismissed", "cards")
    op.drop_table("followers")
    op.drop_table("desired")
    op.drop_column("revisions", "relevance")
