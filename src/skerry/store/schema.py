"""The tables. Migrations make them; `alembic check` holds the two against each other.

Times are milliseconds since 1970 UTC unless a column says seconds. Nothing is newer than SQLite 3.40. Tokens are
lower-case hexadecimal text; JSON that belongs to callers (states, attributes, alerts) is kept as the bytes they sent.
"""

from typing import Any

from sqlalchemy import (
    BLOB,
    REAL,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

CLUSTERED: dict[str, Any] = {"sqlite_strict": True, "sqlite_with_rowid": False}
STRICT: dict[str, Any] = {"sqlite_strict": True}

apps = Table(
    "apps",
    metadata,
    Column("app_id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("bundle_id", Text, nullable=False),
    Column("team_id", Text),
    Column("apns_key_id", Text),
    Column("private_key_sealed", BLOB),
    Column("environment", Text, nullable=False),
    Column("endpoints", Text, nullable=False),  # JSON: {"production": {"host", "port", "ca_file"}, "sandbox": {...}}
    Column("strict_groups", Integer, nullable=False, server_default=text("0")),
    Column("created_at", Integer, nullable=False),
    Column("user_token_secret_sealed", BLOB),
    **STRICT,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Integer, primary_key=True),
    Column("app_id", Integer, ForeignKey("apps.app_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("hash", BLOB, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("networks", Text, nullable=False),  # JSON: ["10.0.0.0/8"]
    Column("created_at", Integer, nullable=False),
    Column("revoked_at", Integer),
    **STRICT,
)

users = Table(
    "users",
    metadata,
    Column("user_id", Integer, primary_key=True),
    Column("app_id", Integer, ForeignKey("apps.app_id"), nullable=False),
    Column("ext_id", Text, nullable=False),
    Column("email", Text),
    Column("msisdn", Text),
    Column("profile", Text, nullable=False, server_default=text("'{}'")),  # JSON object
    Column("created_at", Integer, nullable=False),
    UniqueConstraint("app_id", "ext_id"),
    **STRICT,
)

user_tags = Table(
    "user_tags",
    metadata,
    Column("app_id", Integer, nullable=False),
    Column("tag", Text, nullable=False),
    Column("user_id", Integer, ForeignKey("users.user_id"), nullable=False),
    PrimaryKeyConstraint("app_id", "tag", "user_id"),
    Index(None, "user_id"),
    **CLUSTERED,
)

devices = Table(
    "devices",
    metadata,
    Column("device_id", Integer, primary_key=True),
    Column("app_id", Integer, ForeignKey("apps.app_id"), nullable=False),
    Column("installation_id", Text, nullable=False),
    Column("user_id", Integer, ForeignKey("users.user_id")),
    Column("secret_hash", BLOB),
    Column("platform", Text, nullable=False),
    Column("environment", Text),
    Column("environment_proved", Integer, nullable=False, server_default=text("0")),
    Column("other_environment_tried", Integer, nullable=False, server_default=text("0")),
    Column("push_token", Text),
    Column("push_enabled", Integer, nullable=False, server_default=text("1")),
    Column("os_version", Text),
    Column("app_version", Text),
    Column("model", Text),
    Column("created_at", Integer, nullable=False),
    Column("last_active_at", Integer, nullable=False),
    Column("language", Text),  # BCP 47, as the device said it
    UniqueConstraint("app_id", "installation_id"),
    Index("ix_devices_user_id", "user_id"),
    Index("ix_devices_app_id_push_token", "app_id", "push_token"),
    # All that a preview reads of a device: a fifth of the table's pages.
    Index(
        "ix_devices_audience",
        "app_id",
        "device_id",
        "user_id",
        "platform",
        "environment",
        "push_enabled",
        "os_version",
    ),
    **STRICT,
)

device_locations = Table(
    "device_locations",
    metadata,
    Column("device_id", Integer, ForeignKey("devices.device_id"), primary_key=True),
    Column("app_id", Integer, nullable=False),
    Column("x", Integer, nullable=False),  # centimetres, see domain.location.Place
    Column("y", Integer, nullable=False),
    Column("z", Integer, nullable=False),
    Column("located_at", Integer, nullable=False),
    # z is latitude: a circle is a narrow band of it, and x and y are there to compare with.
    Index("ix_device_locations_circle", "app_id", "z", "x", "y"),
    **STRICT,
)

segments = Table(
    "segments",
    metadata,
    Column("segment_id", Integer, primary_key=True),
    Column("app_id", Integer, ForeignKey("apps.app_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("audience", BLOB, nullable=False),  # JSON of audience.Audience
    Column("created_at", Integer, nullable=False),
    Column("updated_at", Integer, nullable=False),
    UniqueConstraint("app_id", "name"),
    **STRICT,
)

start_tokens = Table(
    "start_tokens",
    metadata,
    Column("app_id", Integer, nullable=False),
    Column("device_id", Integer, ForeignKey("devices.device_id"), nullable=False),
    Column("attributes_type", Text, nullable=False),  # '' where the app does not say one
    Column("token", Text, nullable=False),
    Column("token_time", Integer, nullable=False),
    Column("registered_at", Integer, nullable=False),
    Column("dead_reason", Text),
    PrimaryKeyConstraint("app_id", "device_id", "attributes_type"),
    Index("ix_start_tokens_app_id_token", "app_id", "token"),
    # The same without the tokens, which are most of the table: whether a device can be started.
    Index("ix_start_tokens_audience", "app_id", "device_id", "attributes_type", "dead_reason"),
    **CLUSTERED,
)

notifications = Table(
    "notifications",
    metadata,
    Column("notification_key", Integer, primary_key=True),
    Column("app_id", Integer, ForeignKey("apps.app_id"), nullable=False),
    Column("kind", Text, nullable=False),  # 'definition' or 'bulk'
    Column("template", BLOB, nullable=False),  # JSON of commands.Template
    Column("created_at", Integer, nullable=False),
    Index(None, "app_id", "created_at"),
    sqlite_autoincrement=True,
    **STRICT,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("app_id", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("digest", BLOB, nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", Integer, nullable=False),
    PrimaryKeyConstraint("app_id", "key"),
    Index(None, "created_at"),
    **CLUSTERED,
)

activities = Table(
    "activities",
    metadata,
    Column("activity_id", Integer, primary_key=True),
    Column("app_id", Integer, ForeignKey("apps.app_id"), nullable=False),
    Column("phase", Integer, nullable=False),
    Column("named", Integer, nullable=False),
    Column("attributes_type", Text),
    Column("attributes", BLOB),
    Column("state", BLOB),
    Column("newest", Integer, nullable=False),
    Column("newest_state", Integer, nullable=False),
    Column("end_revision", Integer, nullable=False),
    Column("last_timestamp", Integer, nullable=False),  # seconds
    Column("first_card", Integer, nullable=False),
    Column("next_card", Integer, nullable=False),
    Column("ends_at", Integer),  # seconds
    Column("ended_at", Integer),
    Column("created_at", Integer, nullable=False),
    Index(None, "app_id", "created_at"),
    sqlite_autoincrement=True,
    **STRICT,
)

activity_names = Table(
    "activity_names",
    metadata,
    Column("app_id", Integer, nullable=False),
    Column("group_id", Text, nullable=False),
    Column("activity_id", Integer, ForeignKey("activities.activity_id"), nullable=False),
    Column("position", Integer, nullable=False),
    PrimaryKeyConstraint("app_id", "group_id"),
    Index("ix_activity_names_activity_id", "activity_id"),
    **CLUSTERED,
)

nameless_values = Table(
    "nameless_values",
    metadata,
    Column("app_id", Integer, nullable=False),
    Column("value", Text, nullable=False),
    Column("activity_id", Integer, ForeignKey("activities.activity_id"), nullable=False),
    PrimaryKeyConstraint("app_id", "value", "activity_id"),
    Index("ix_nameless_values_activity_id", "activity_id"),
    **CLUSTERED,
)

# Rows at the end, where they are made, and small entries in the index: with the rows themselves in the order of
# activities, each of a thousand activities' updates was measured to write a page of its own, twice.
revisions = Table(
    "revisions",
    metadata,
    Column("revision_id", Integer, primary_key=True),
    Column("activity_id", Integer, ForeignKey("activities.activity_id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("timestamp", Integer, nullable=False),  # seconds
    Column("created_at", Integer, nullable=False),
    Column("state", BLOB),
    Column("attributes", BLOB),
    Column("attributes_type", Text),
    Column("alert", BLOB),
    Column("priority", Integer, nullable=False),
    Column("stale_date", Integer),  # seconds
    Column("dismissal_date", Integer),  # seconds
    Column("expiration", Integer),  # seconds
    Column("notification_key", Integer),
    Column("relevance", REAL),
    Column("settled_at", Integer),  # when its last chunk had settled for the first time
    UniqueConstraint("activity_id", "number"),
    Index(
        "ix_revisions_notification_key",
        "notification_key",
        sqlite_where=text("notification_key IS NOT NULL"),
    ),
    **STRICT,
)

desired = Table(
    "desired",
    metadata,
    Column("activity_id", Integer, ForeignKey("activities.activity_id"), primary_key=True),
    Column("digest", BLOB, nullable=False),
    Column("audience", BLOB),  # JSON of audience.Audience
    Column("policies", BLOB, nullable=False),  # JSON of desired.Policies
    Column("version", Integer),
    Column("alerted_at", Integer, nullable=False),
    Column("revised_at", Integer, nullable=False),
    Column("pushed_at", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("spent", REAL, nullable=False),
    Column("spent_at", Integer, nullable=False),
    Column("personal", Integer, nullable=False, server_default=text("0")),
    **STRICT,
)

# Who makes a running activity start on a device that comes later: `*`, `u:<ext id>` or `d:<installation id>`.
followers = Table(
    "followers",
    metadata,
    Column("app_id", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("activity_id", Integer, ForeignKey("activities.activity_id"), nullable=False),
    PrimaryKeyConstraint("app_id", "key", "activity_id"),
    Index("ix_followers_activity_id", "activity_id"),
    **CLUSTERED,
)

channels = Table(
    "channels",
    metadata,
    Column("app_id", Integer, nullable=False),
    Column("environment", Text, nullable=False),
    Column("channel_id", Text, nullable=False),
    Column("activity_id", Integer, ForeignKey("activities.activity_id"), nullable=False),
    Column("first_card", Integer, nullable=False),  # of the run that it was made for
    Column("storage", Integer, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("delete_at", Integer),  # NULL: in use
    Column("closed_at", Integer),  # NULL: new cards may listen
    PrimaryKeyConstraint("app_id", "environment", "channel_id"),
    Index("ix_channels_activity_id", "activity_id"),
    Index("ix_channels_delete_at", "delete_at", sqlite_where=text("delete_at IS NOT NULL")),
    **CLUSTERED,
)

cards = Table(
    "cards",
    metadata,
    Column("activity_id", Integer, ForeignKey("activities.activity_id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("device_id", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("started_by", Integer, nullable=False),
    Column("token", Text),
    Column("token_time", Integer),
    Column("registered_at", Integer),
    Column("closed_at", Integer),
    Column("reason", Text),
    Column("created_at", Integer, nullable=False),
    Column("on_channel", Integer, nullable=False, server_default=text("0")),
    Column("starts_at", Integer),  # when its newest start goes out; NULL: the app has begun it by itself
    Column("former_token", Text),  # of a card that is over: the one that it had
    PrimaryKeyConstraint("activity_id", "number"),
    # With all that counting a device's starts needs.
    Index("ix_cards_device_id", "device_id", "activity_id", "number", "starts_at"),
    Index("ix_cards_token", "token", sqlite_where=text("token IS NOT NULL")),
    # Swiped away, or given up without an answer: whom a later revision may start again.
    Index(
        "ix_cards_gone",
        "activity_id",
        "number",
        sqlite_where=text("status = 4 OR (status = 5 AND reason = 'NoAnswer')"),
    ),
    **CLUSTERED,
)

chunks = Table(
    "chunks",
    metadata,
    Column("chunk_id", Integer, primary_key=True),
    Column("app_id", Integer, nullable=False),
    Column("activity_id", Integer, ForeignKey("activities.activity_id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("first", Integer, nullable=False),
    Column("last", Integer, nullable=False),
    Column("verdicts", BLOB, nullable=False),  # one domain.verdict.Verdict per card number
    Column("state", Integer, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("due_at", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("floor", Integer, nullable=False),  # seconds
    Column("lease_owner", Text),
    Column("created_at", Integer, nullable=False),
    Column("settled_at", Integer),
    Index("ix_chunks_ready", "lane", "due_at", "chunk_id", sqlite_where=text("state = 1")),
    Index("ix_chunks_leased", "chunk_id", sqlite_where=text("state = 2")),
    Index("ix_chunks_waiting", "activity_id", "revision", "first", sqlite_where=text("state = 1")),
    Index("ix_chunks_activity_id_revision", "activity_id", "revision", "first"),
    **STRICT,
)

plans = Table(
    "plans",
    metadata,
    Column("plan_id", Integer, primary_key=True),
    Column("app_id", Integer, nullable=False),
    Column("activity_id", Integer, ForeignKey("activities.activity_id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("audience", BLOB, nullable=False),  # JSON of audience.Audience
    Column("cursor", Integer, nullable=False),
    Column("package", Integer),
    Column("interval", Integer, nullable=False),
    Column("due_at", Integer, nullable=False),
    Column("left", Integer),  # of the present package
    Index(None, "due_at"),
    **STRICT,
)

timers = Table(
    "timers",
    metadata,
    Column("timer_id", Integer, primary_key=True),
    Column("kind", Integer, nullable=False),
    Column("activity_id", Integer, nullable=False),
    Column("subject", Integer, nullable=False),
    Column("due_at", Integer, nullable=False),
    UniqueConstraint("kind", "activity_id", "subject"),
    Index(None, "due_at"),
    **STRICT,
)

# What an activity is to be later; done, failed and cancelled ones stay for a while.
scheduled_changes = Table(
    "scheduled_changes",
    metadata,
    Column("schedule_id", Integer, primary_key=True),
    Column("app_id", Integer, ForeignKey("apps.app_id"), nullable=False),
    Column("group_id", Text, nullable=False),  # the activity may not be there yet
    Column("action", Integer, nullable=False),
    Column("change", BLOB, nullable=False),  # JSON of desired.Desired without its audience, or of schedule.Ending
    Column("audience", BLOB),  # JSON of audience.Audience
    Column("due_at", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    Column("made_at", Integer, nullable=False),
    Column("settled_at", Integer),
    Column("revision", Integer),
    Column("problem", Text),  # JSON of schedule.Problem
    Index("ix_scheduled_changes_due", "due_at", "schedule_id", sqlite_where=text("state = 1")),
    Index("ix_scheduled_changes_state", "app_id", "state", "schedule_id"),
    Index("ix_scheduled_changes_group", "app_id", "group_id", "state", "schedule_id"),
    Index("ix_scheduled_changes_settled", "settled_at", sqlite_where=text("settled_at IS NOT NULL")),
    sqlite_autoincrement=True,
    **STRICT,
)

# The phases of an activity that are still to come, and the present one.
scripts = Table(
    "scripts",
    metadata,
    Column("activity_id", Integer, ForeignKey("activities.activity_id"), primary_key=True),
    Column("script", BLOB, nullable=False),  # JSON of script.Script
    Column("due_at", Integer),  # NULL: it stays in its last phase
    Index("ix_scripts_due", "due_at", sqlite_where=text("due_at IS NOT NULL")),
    **STRICT,
)

rejections = Table(
    "rejections",
    metadata,
    Column("activity_id", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Integer, nullable=False),
    PrimaryKeyConstraint("activity_id", "number", "revision"),
    **CLUSTERED,
)

misses = Table(
    "misses",
    metadata,
    Column("miss_id", Integer, primary_key=True),
    Column("activity_id", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("device_id", Integer),
    Column("ext_id", Text),
    Column("reason", Text, nullable=False),
    Column("at", Integer, nullable=False),
    Index(None, "activity_id", "revision"),
    **STRICT,
)

events = Table(
    "events",
    metadata,
    Column("event_id", Integer, primary_key=True),  # retention keeps the newest row, so no number comes again
    Column("app_id", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", Integer, nullable=False),
    Column("activity_id", Integer),
    Column("card", Integer),
    Column("device_id", Integer),
    Column("body", Text, nullable=False),  # JSON object
    # Of an activity as a whole, and of its cards: the first are as many as updates, and stand in one index only.
    Index(
        "ix_events_whole", "activity_id", "event_id", sqlite_where=text("activity_id IS NOT NULL AND device_id IS NULL")
    ),
    Index(
        "ix_events_cards",
        "activity_id",
        "event_id",
        sqlite_where=text("activity_id IS NOT NULL AND device_id IS NOT NULL"),
    ),
    Index(
        "ix_events_phone",
        "activity_id",
        "device_id",
        "event_id",
        sqlite_where=text("activity_id IS NOT NULL AND device_id IS NOT NULL"),
    ),
    **STRICT,
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("webhook_id", Integer, primary_key=True),
    Column("app_id", Integer, ForeignKey("apps.app_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("kinds", Text, nullable=False),  # JSON: ["card.lost"]; [] for all
    Column("activity", Text),
    Column("enabled", Integer, nullable=False),
    Column("secret_sealed", BLOB),
    Column("old_secret_sealed", BLOB),
    Column("old_secret_until", Integer),
    Column("cursor", Integer, nullable=False),  # the newest event that has been looked at for it
    Column("failing_since", Integer),
    Column("disabled_reason", Text),
    Column("created_at", Integer, nullable=False),
    UniqueConstraint("app_id", "name"),
    sqlite_autoincrement=True,
    **STRICT,
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("event_id", Integer, nullable=False),
    Column("webhook_id", Integer, ForeignKey("webhooks.webhook_id"), nullable=False),
    Column("state", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("due_at", Integer, nullable=False),
    PrimaryKeyConstraint("event_id", "webhook_id"),
    Index("ix_webhook_deliveries_webhook_id", "webhook_id", "state", "due_at", "event_id"),
    **CLUSTERED,
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("attempt_id", Integer, primary_key=True),
    Column("webhook_id", Integer, ForeignKey("webhooks.webhook_id"), nullable=False),
    Column("event_id", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", Integer, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    Index("ix_webhook_attempts_webhook_id", "webhook_id", "attempt_id"),
    **STRICT,
)

senders = Table(
    "senders",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("seen_at", Integer, nullable=False),
    **CLUSTERED,
)
