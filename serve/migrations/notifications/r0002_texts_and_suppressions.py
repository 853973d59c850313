"""Text messages and who asked for them, and addresses that are off."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Tables are only ever added to: what runs on the old ones goes on until it is replaced."""
    op.create_table(
        "sns_inbox",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("sns_inbox_by_time", "sns_inbox", ["at"], unique=False)

    op.create_table(
        "suppressed",
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("message_id", sa.String(length=128), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("address"),
    )
    op.create_index("suppressed_by_mail", "suppressed", ["message_id"], unique=False)
    op.create_index("suppressed_by_time", "suppressed", ["at", "address"], unique=False)

    op.create_table(
        "texts",
        sa.Column("message_id", sa.String(length=128), nullable=False),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("template", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=160), nullable=False),
        sa.Column("sender", sa.String(length=64), nullable=True),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("sendings", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index("texts_by_owner", "texts", ["owner", "created_at", "message_id"], unique=False)

    op.create_table(
        "turned_on",
        sa.Column("owner", sa.String(length=160), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("owner", "kind", "channel"),
    )
