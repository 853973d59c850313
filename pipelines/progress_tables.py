"""The tables that say how far flows have come."""

import sqlalchemy as sa

from pipelines.sql.revisions import metadata_of
from pipelines.sql.words import LONG_BYTES

METADATA = metadata_of("flows")
POSITIONS = sa.Table(
    "positions",
    METADATA,
    sa.Column("flow", sa.String(64), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)
INBOX = sa.Table(
    "inbox",
    METADATA,
    sa.Column("flow", sa.String(64), primary_key=True),
    sa.Column("event_id", sa.String(255), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)
DEAD_LETTERS = sa.Table(
    "dead_letters",
    METADATA,
    sa.Column("flow", sa.String(64), primary_key=True),
    sa.Column("event_id", sa.String(255), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("entity", sa.String(128), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("event", LONG_BYTES, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("buried_at", sa.BigInteger, nullable=False),
    sa.Column("wanted", sa.Boolean, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
)


def bring_up_to_date(db: sa.Connection) -> None:
    """Tables from before attempts were counted."""
    if any(column["name"] == "attempts" for column in sa.inspect(db).get_columns(DEAD_LETTERS.name)):
        return
    db.exec_driver_sql("ALTER TABLE dead_letters ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0")
