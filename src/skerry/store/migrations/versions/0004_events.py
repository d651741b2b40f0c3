"""Events: what happened, for the timeline, the live stream and webhooks; and when a revision had settled."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The events, and the webhooks that are told of them."""
    op.add_column("revisions", sa.Column("settled_at", sa.Integer))
    op.create_table(
        "events",
        sa.Column("event_id", sa.Integer, primary_key=True),
        sa.Column("app_id", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("activity_id", sa.Integer),
        sa.Column("card", sa.Integer),
        sa.Column("device_id", sa.Integer),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_events"),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_events_activity_id",
        "events",
        ["activity_id", "event_id"],
        sqlite_where=sa.text("activity_id IS NOT NULL"),
    )
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.Integer, primary_key=True),
        sa.Column("app_id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("kinds", sa.Text, nullable=False),
        sa.Column("activity", sa.Text),
        sa.Column("enabled", sa.Integer, nullable=False),
        sa.Column("secret_sealed", sa.BLOB),
        sa.Column("old_secret_sealed", sa.BLOB),
        sa.Column("old_secret_until", sa.Integer),
        sa.Column("cursor", sa.Integer, nullable=False),
        sa.Column("failing_since", sa.Integer),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.app_id"], name="fk_webhooks_app_id"),
        sa.PrimaryKeyConstraint("webhook_id", name="pk_webhooks"),
        sa.UniqueConstraint("app_id", "name", name="uq_webhooks_app_id_name"),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("event_id", sa.Integer, nullable=False),
        sa.Column("webhook_id", sa.Integer, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("due_at", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.webhook_id"], name="fk_webhook_deliveries_webhook_id"),
        sa.PrimaryKeyConstraint("event_id", "webhook_id", name="pk_webhook_deliveries"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_webhook_deliveries_webhook_id", "webhook_deliveries", ["webhook_id", "state", "due_at", "event_id"]
    )
    op.create_table(
        "webhook_attempts",
        sa.Column("attempt_id", sa.Integer, primary_key=True),
        sa.Column("webhook_id", sa.Integer, nullable=False),
        sa.Column("event_id", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("took_ms", sa.Integer, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.webhook_id"], name="fk_webhook_attempts_webhook_id"),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_webhook_attempts"),
        sqlite_strict=True,
    )
    op.create_index("ix_webhook_attempts_webhook_id", "webhook_attempts", ["webhook_id", "attempt_id"])


def downgrade() -> None:
    """Back to a service that tells nobody."""
    for table in ("webhook_attempts", "webhook_deliveries", "webhooks", "events"):
        op.drop_table(table)
    op.drop_column("revisions", "settled_at")
