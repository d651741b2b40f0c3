"""Segments, where devices are, and what an audience over a million devices is answered from."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables, and two indexes that hold all that a preview reads of devices and of start tokens."""
    op.create_table(
        "segments",
        sa.Column("segment_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("audience", sa.BLOB(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.app_id"], name=op.f("fk_segments_app_id")),
        sa.PrimaryKeyConstraint("segment_id", name=op.f("pk_segments")),
        sa.UniqueConstraint("app_id", "name", name=op.f("uq_segments_app_id_name")),
        sqlite_strict=True,
    )
    op.create_table(
        "device_locations",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.Integer(), nullable=False),
        sa.Column("x", sa.Integer(), nullable=False),
        sa.Column("y", sa.Integer(), nullable=False),
        sa.Column("z", sa.Integer(), nullable=False),
        sa.Column("located_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name=op.f("fk_device_locations_device_id")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_device_locations")),
        sqlite_strict=True,
    )
    op.add_column("plans", sa.Column("left", sa.Integer))
    op.create_index("ix_device_locations_circle", "device_locations", ["app_id", "z", "x", "y"])
    op.create_index(
        "ix_devices_audience",
        "devices",
        ["app_id", "device_id", "user_id", "platform", "environment", "push_enabled", "os_version"],
    )
    op.create_index(
        "ix_start_tokens_audience", "start_tokens", ["app_id", "device_id", "attributes_type", "dead_reason"]
    )


def downgrade() -> None:
    """Back to audiences of users, tags and profiles."""
    op.drop_index("ix_start_tokens_audience", table_name="start_tokens")
    op.drop_index("ix_devices_audience", table_name="devices")
    op.drop_column("plans", "left")
    op.drop_table("device_locations")
    op.drop_table("segments")
