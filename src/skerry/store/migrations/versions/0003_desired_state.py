"""Desired states: what callers want, beside the activities; who follows which of them; channels that carry them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tables for what is wanted and for whom, and an index for the cards that are gone before the activity is."""
    op.add_column("revisions", sa.Column("relevance", sa.REAL))
    op.create_table(
        "desired",
        sa.Column("activity_id", sa.Integer, nullable=False),
        sa.Column("digest", sa.BLOB, nullable=False),
        sa.Column("audience", sa.BLOB),
        sa.Column("policies", sa.BLOB, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("alerted_at", sa.Integer, nullable=False),
        sa.Column("revised_at", sa.Integer, nullable=False),
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
    op.create_table(
        "channels",
        sa.Column("app_id", sa.Integer, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("activity_id", sa.Integer, nullable=False),
        sa.Column("first_card", sa.Integer, nullable=False),
        sa.Column("storage", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.Column("delete_at", sa.Integer),
        sa.Column("closed_at", sa.Integer),
        sa.PrimaryKeyConstraint("app_id", "environment", "channel_id", name="pk_channels"),
        sa.ForeignKeyConstraint(["activity_id"], ["activities.activity_id"], name="fk_channels_activity_id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_channels_activity_id", "channels", ["activity_id"])
    op.create_index("ix_channels_delete_at", "channels", ["delete_at"], sqlite_where=sa.text("delete_at IS NOT NULL"))
    op.add_column("cards", sa.Column("on_channel", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.create_index("ix_cards_gone", "cards", ["activity_id", "number"], sqlite_where=sa.text("status IN (4, 5)"))


def downgrade() -> None:
    """Back to activities that only know commands."""
    op.drop_column("cards", "on_channel")
    op.drop_table("channels")
    op.drop_index("ix_cards_gone", "cards")
    op.drop_table("followers")
    op.drop_table("desired")
    op.drop_column("revisions", "relevance")
