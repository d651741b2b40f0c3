"""Scheduled changes, and scripts of phases."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables, each with an index of what is due."""
    op.create_table(
        "scheduled_changes",
        sa.Column("schedule_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Integer(), nullable=False),
        sa.Column("change", sa.BLOB(), nullable=False),
        sa.Column("audience", sa.BLOB()),
        sa.Column("due_at", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.Integer()),
        sa.Column("revision", sa.Integer()),
        sa.Column("problem", sa.Text()),
        sa.ForeignKeyConstraint(["app_id"], ["apps.app_id"], name=op.f("fk_scheduled_changes_app_id")),
        sa.PrimaryKeyConstraint("schedule_id", name=op.f("pk_scheduled_changes")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_scheduled_changes_due", "scheduled_changes", ["due_at", "schedule_id"], sqlite_where=sa.text("state = 1")
    )
    op.create_index("ix_scheduled_changes_state", "scheduled_changes", ["app_id", "state", "schedule_id"])
    op.create_index("ix_scheduled_changes_group", "scheduled_changes", ["app_id", "group_id", "state", "schedule_id"])
    op.create_index(
        "ix_scheduled_changes_settled",
        "scheduled_changes",
        ["settled_at"],
        sqlite_where=sa.text("settled_at IS NOT NULL"),
    )
    op.create_table(
        "scripts",
        sa.Column("activity_id", sa.Integer(), nullable=False),
        sa.Column("script", sa.BLOB(), nullable=False),
        sa.Column("due_at", sa.Integer()),
        sa.ForeignKeyConstraint(["activity_id"], ["activities.activity_id"], name=op.f("fk_scripts_activity_id")),
        sa.PrimaryKeyConstraint("activity_id", name=op.f("pk_scripts")),
        sqlite_strict=True,
    )
    op.create_index("ix_scripts_due", "scripts", ["due_at"], sqlite_where=sa.text("due_at IS NOT NULL"))


def downgrade() -> None:
    """Back to changes that are made at once."""
    op.drop_table("scripts")
    op.drop_table("scheduled_changes")
