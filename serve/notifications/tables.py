"""The tables of notifications.db. No name and no address stands here: ids only, and what an order's events say."""

import sqlalchemy as sa

from pipelines.sql.revisions import metadata_of
from pipelines.sql.words import BIG, LONG_TEXT, places_table

METADATA = metadata_of("notifications", "0002")
places_table(METADATA)


def sendings(name: str) -> sa.Table:
    """What is handed to a server outside: see `serve.notifications.sendings`."""
    return sa.Table(
        name,
        METADATA,
        sa.Column("message_id", sa.String(128), primary_key=True),
        sa.Column("event_id", sa.String(255), nullable=False),
        sa.Column("template", sa.String(64), nullable=False),
        # Empty: it is about an account.
        sa.Column("order_id", sa.String(128), nullable=False),
        sa.Column("owner", sa.String(160), nullable=False),
        # The intent: who is sending, and until when nobody else may. No sender: free to be taken.
        sa.Column("sender", sa.String(64)),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.String(16)),
        # How often it was, or may have been, handed to the server.
        sa.Column("sendings", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        # Whoever is erased: their messages are found by it.
        sa.Index(f"{name}_by_owner", "owner", "created_at", "message_id"),
    )


def wishes(name: str) -> sa.Table:
    """What an owner chose of kinds and channels."""
    return sa.Table(
        name,
        METADATA,
        sa.Column("owner", sa.String(160), primary_key=True),
        sa.Column("kind", sa.String(64), primary_key=True),
        sa.Column("channel", sa.String(16), primary_key=True),
    )


MAILS = sendings("mails")
TEXTS = sendings("texts")
NOTICES = sa.Table(
    "notices",
    METADATA,
    # Grows in the order of the commits, so that a reader who looks behind a place misses nothing.
    sa.Column("place", BIG, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("owner", sa.String(160), nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("order_id", sa.String(128), nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("facts", LONG_TEXT, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("read_at", sa.BigInteger),
    sa.Index("notices_by_owner", "owner", "place"),
    sa.Index("notices_unread", "owner", "read_at"),
    sa.Index("notices_by_age", "created_at"),
    sqlite_autoincrement=True,
)
TURNED_OFF = wishes("turned_off")
# What is sent only to who asked for it.
TURNED_ON = wishes("turned_on")
# Addresses that are not written to, by what stands for them: see `serve.notifications.suppressed`.
SUPPRESSED = sa.Table(
    "suppressed",
    METADATA,
    sa.Column("address", sa.String(64), primary_key=True),
    sa.Column("reason", sa.String(16), nullable=False),
    # The mail that came back, if that is known: whoever is erased, their suppressions are found by it.
    sa.Column("message_id", sa.String(128), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("suppressed_by_time", "at", "address"),
    sa.Index("suppressed_by_mail", "message_id"),
)
SNS_INBOX = sa.Table(
    "sns_inbox",
    METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("sns_inbox_by_time", "at"),
)
ERASED = sa.Table(
    "erased",
    METADATA,
    sa.Column("owner", sa.String(160), primary_key=True),
    sa.Column("erased_at", sa.BigInteger, nullable=False),
)
