"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Tables are only ever added to: what runs on the old ones goes on until it is replaced."""
    op.create_table(
        "dead_letters",
        sa.Column("flow", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("entity", sa.String(length=128), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql"), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("buried_at", sa.BigInteger(), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("flow", "event_id"),
    )
    op.create_table("doubted", sa.Column("sku", sa.String(length=64), nullable=False), sa.PrimaryKeyConstraint("sku"))
    op.create_table("in_stock", sa.Column("sku", sa.String(length=64), nullable=False), sa.PrimaryKeyConstraint("sku"))
    op.create_table(
        "inbox",
        sa.Column("flow", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("flow", "event_id"),
    )
    op.create_table(
        "positions",
        sa.Column("flow", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("flow"),
    )
