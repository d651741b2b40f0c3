"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every table, those that others refer to first."""
    _create_apps()
    _create_api_keys()
    _create_users()
    _create_user_tags()
    _create_devices()
    _create_start_tokens()
    _create_notifications()
    _create_idempotency()
    _create_activities()
    _create_activity_names()
    _create_nameless_values()
    _create_revisions()
    _create_cards()
    _create_chunks()
    _create_plans()
    _create_timers()
    _create_rejections()
    _create_misses()


def downgrade() -> None:
    """An empty database."""
    for table in (
        "misses",
        "rejections",
        "timers",
        "plans",
        "chunks",
        "cards",
        "revisions",
        "nameless_values",
        "activity_names",
        "activities",
        "idempotency",
        "notifications",
        "start_tokens",
        "devices",
        "user_tags",
        "users",
        "api_keys",
        "apps",
    ):
        op.drop_table(table)


def _create_apps() -> None:
    op.create_table(
        "apps",
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("bundle_id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=True),
        sa.Column("apns_key_id", sa.Text(), nullable=True),
        sa.Column("private_key_sealed", sa.BLOB(), nullable=True),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("endpoints", sa.Text(), nullable=False),
        sa.Column("strict_groups", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("app_id", name=op.f("pk_apps")),
        sa.UniqueConstraint("name", name=op.f("uq_apps_name")),
        sqlite_strict=True,
    )


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("hash", sa.BLOB(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("networks", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("revoked_at", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["apps.app_id"], name=op.f("fk_api_keys_app_id")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_keys_hash")),
        sqlite_strict=True,
    )


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("ext_id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("msisdn", sa.Text(), nullable=True),
        sa.Column("profile", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.app_id"], name=op.f("fk_users_app_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_users")),
        sa.UniqueConstraint("app_id", "ext_id", name=op.f("uq_users_app_id_ext_id")),
        sqlite_strict=True,
    )


def _create_user_tags() -> None:
    op.create_table(
        "user_tags",
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_user_tags_user_id")),
        sa.PrimaryKeyConstraint("app_id", "tag", "user_id", name=op.f("pk_user_tags")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_user_tags_user_id"), "user_tags", ["user_id"], unique=False)


def _create_devices() -> None:
    op.create_table(
        "devices",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("installation_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("secret_hash", sa.BLOB(), nullable=True),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=True),
        sa.Column("environment_proved", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("other_environment_tried", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("push_token", sa.Text(), nullable=True),
        sa.Column("push_enabled", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("os_version", sa.Text(), nullable=True),
        sa.Column("app_version", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("last_active_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.app_id"], name=op.f("fk_devices_app_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_devices_user_id")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_devices")),
        sa.UniqueConstraint("app_id", "installation_id", name=op.f("uq_devices_app_id_installation_id")),
        sqlite_strict=True,
    )
    op.create_index("ix_devices_app_id_push_token", "devices", ["app_id", "push_token"], unique=False)
    op.create_index("ix_devices_user_id", "devices", ["user_id"], unique=False)


def _create_start_tokens() -> None:
    op.create_table(
        "start_tokens",
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("attributes_type", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("token_time", sa.Integer(), nullable=False),
        sa.Column("registered_at", sa.Integer(), nullable=False),
        sa.Column("dead_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name=op.f("fk_start_tokens_device_id")),
        sa.PrimaryKeyConstraint("app_id", "device_id", "attributes_type", name=op.f("pk_start_tokens")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_start_tokens_app_id_token", "start_tokens", ["app_id", "token"], unique=False)


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("notification_key", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("template", sa.BLOB(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.app_id"], name=op.f("fk_notifications_app_id")),
        sa.PrimaryKeyConstraint("notification_key", name=op.f("pk_notifications")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_notifications_app_id_created_at"), "notifications", ["app_id", "created_at"], unique=False)


def _create_idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.BLOB(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("app_id", "key", name=op.f("pk_idempotency")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False)


def _create_activities() -> None:
    op.create_table(
        "activities",
        sa.Column("activity_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("named", sa.Integer(), nullable=False),
        sa.Column("attributes_type", sa.Text(), nullable=True),
        sa.Column("attributes", sa.BLOB(), nullable=True),
        sa.Column("state", sa.BLOB(), nullable=True),
        sa.Column("newest", sa.Integer(), nullable=False),
        sa.Column("newest_state", sa.Integer(), nullable=False),
        sa.Column("end_revision", sa.Integer(), nullable=False),
        sa.Column("last_timestamp", sa.Integer(), nullable=False),
        sa.Column("first_card", sa.Integer(), nullable=False),
        sa.Column("next_card", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.Integer(), nullable=True),
        sa.Column("ended_at", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.app_id"], name=op.f("fk_activities_app_id")),
        sa.PrimaryKeyConstraint("activity_id", name=op.f("pk_activities")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_activities_app_id_created_at"), "activities", ["app_id", "created_at"], unique=False)


def _create_activity_names() -> None:
    op.create_table(
        "activity_names",
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("activity_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["activity_id"], ["activities.activity_id"], name=op.f("fk_activity_names_activity_id")
        ),
        sa.PrimaryKeyConstraint("app_id", "group_id", name=op.f("pk_activity_names")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_activity_names_activity_id", "activity_names", ["activity_id"], unique=False)


def _create_nameless_values() -> None:
    op.create_table(
        "nameless_values",
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("activity_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["activity_id"], ["activities.activity_id"], name=op.f("fk_nameless_values_activity_id")
        ),
        sa.PrimaryKeyConstraint("app_id", "value", "activity_id", name=op.f("pk_nameless_values")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_nameless_values_activity_id", "nameless_values", ["activity_id"], unique=False)


def _create_revisions() -> None:
    op.create_table(
        "revisions",
        sa.Column("activity_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("timestamp", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("state", sa.BLOB(), nullable=True),
        sa.Column("attributes", sa.BLOB(), nullable=True),
        sa.Column("attributes_type", sa.Text(), nullable=True),
        sa.Column("alert", sa.BLOB(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("stale_date", sa.Integer(), nullable=True),
        sa.Column("dismissal_date", sa.Integer(), nullable=True),
        sa.Column("expiration", sa.Integer(), nullable=True),
        sa.Column("notification_key", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["activity_id"], ["activities.activity_id"], name=op.f("fk_revisions_activity_id")),
        sa.PrimaryKeyConstraint("activity_id", "number", name=op.f("pk_revisions")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_revisions_notification_key",
        "revisions",
        ["notification_key"],
        unique=False,
        sqlite_where=sa.text("notification_key IS NOT NULL"),
    )


def _create_cards() -> None:
    op.create_table(
        "cards",
        sa.Column("activity_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("started_by", sa.Integer(), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("token_time", sa.Integer(), nullable=True),
        sa.Column("registered_at", sa.Integer(), nullable=True),
        sa.Column("closed_at", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["activity_id"], ["activities.activity_id"], name=op.f("fk_cards_activity_id")),
        sa.PrimaryKeyConstraint("activity_id", "number", name=op.f("pk_cards")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_cards_device_id", "cards", ["device_id", "activity_id"], unique=False)
    op.create_index("ix_cards_token", "cards", ["token"], unique=False, sqlite_where=sa.text("token IS NOT NULL"))


def _create_chunks() -> None:
    op.create_table(
        "chunks",
        sa.Column("chunk_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("activity_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("verdicts", sa.BLOB(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("floor", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["activity_id"], ["activities.activity_id"], name=op.f("fk_chunks_activity_id")),
        sa.PrimaryKeyConstraint("chunk_id", name=op.f("pk_chunks")),
        sqlite_strict=True,
    )
    op.create_index("ix_chunks_activity_id_revision", "chunks", ["activity_id", "revision", "first"], unique=False)
    op.create_index("ix_chunks_leased", "chunks", ["lease_until"], unique=False, sqlite_where=sa.text("state = 2"))
    op.create_index(
        "ix_chunks_ready", "chunks", ["lane", "due_at", "chunk_id"], unique=False, sqlite_where=sa.text("state = 1")
    )
    op.create_index(
        "ix_chunks_waiting",
        "chunks",
        ["activity_id", "revision", "first"],
        unique=False,
        sqlite_where=sa.text("state = 1"),
    )


def _create_plans() -> None:
    op.create_table(
        "plans",
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("activity_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("audience", sa.BLOB(), nullable=False),
        sa.Column("cursor", sa.Integer(), nullable=False),
        sa.Column("package", sa.Integer(), nullable=True),
        sa.Column("interval", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["activity_id"], ["activities.activity_id"], name=op.f("fk_plans_activity_id")),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("pk_plans")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_plans_due_at"), "plans", ["due_at"], unique=False)


def _create_timers() -> None:
    op.create_table(
        "timers",
        sa.Column("timer_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("activity_id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("timer_id", name=op.f("pk_timers")),
        sa.UniqueConstraint("kind", "activity_id", "subject", name=op.f("uq_timers_kind_activity_id_subject")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_timers_due_at"), "timers", ["due_at"], unique=False)


def _create_rejections() -> None:
    op.create_table(
        "rejections",
        sa.Column("activity_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("activity_id", "number", "revision", name=op.f("pk_rejections")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _create_misses() -> None:
    op.create_table(
        "misses",
        sa.Column("miss_id", sa.Integer(), nullable=False),
        sa.Column("activity_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=True),
        sa.Column("ext_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("miss_id", name=op.f("pk_misses")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_misses_activity_id_revision"), "misses", ["activity_id", "revision"], unique=False)
