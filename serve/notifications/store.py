"""Which mails are on their way, and what became of them. No address stands here: a mail names a contact by its id."""

import asyncio
from typing import Literal, NamedTuple

import sqlalchemy as sa

from serve.databases import SharedTransactions, open_engine

Begun = Literal["go", "ended", "busy"]
Outcome = Literal["sent", "rejected", "no_contact"]

METADATA = sa.MetaData()
MAILS = sa.Table(
    "mails",
    METADATA,
    sa.Column("message_id", sa.String(128), primary_key=True),
    sa.Column("event_id", sa.String(255), nullable=False),
    sa.Column("template", sa.String(64), nullable=False),
    sa.Column("order_id", sa.String(128), nullable=False),
    sa.Column("owner", sa.String(160), nullable=False),
    # The intent: who is sending, and until when nobody else may. No sender: free to be taken.
    sa.Column("sender", sa.String(64)),
    sa.Column("ends_at", sa.BigInteger, nullable=False),
    sa.Column("outcome", sa.String(16)),
    sa.Column("sendings", sa.Integer, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
    sa.Index("mails_by_owner", "owner", "created_at", "message_id"),
)


# Asked for each mail, so said to the driver as it is. The take-over is one conditional write: of two senders that find
# an intent ended, one gets it.
_BEGIN = """
    INSERT INTO mails (message_id, event_id, template, order_id, owner, sender, ends_at, sendings, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8)
    ON CONFLICT (message_id) DO UPDATE SET sender = ?6, ends_at = ?7, sendings = sendings + 1
    WHERE outcome IS NULL AND (sender IS NULL OR ends_at <= ?8)
"""
_OUTCOME = "SELECT outcome FROM mails WHERE message_id = ?"
_END = "UPDATE mails SET outcome = ?, ended_at = ?, sender = ? WHERE message_id = ? AND outcome IS NULL"
_GIVE_UP = "UPDATE mails SET sender = NULL, ends_at = 0 WHERE message_id = ? AND sender = ? AND outcome IS NULL"


class NewMail(NamedTuple):
    message_id: str
    event_id: str
    template: str
    order_id: str
    owner: str


class Notification(NamedTuple):
    """A line in the list of what was mailed to someone. `status`: sending, sent, rejected, no_contact."""

    id: str
    template: str
    order_id: str
    status: str
    at: int


class NotificationStore:
    """Times are UTC in milliseconds. `url`: an SQLAlchemy address."""

    def __init__(self, url: str) -> None:
        # One connection writes, one reads pages, and one more so that neither waits.
        self._engine = open_engine(url, METADATA, 3)
        self._reading = self._engine.execution_options(writes=False)
        self._writes = SharedTransactions(self._engine, "mails-write")

    async def close(self) -> None:
        """Waits for what is running. The store is not used after it."""
        await self._writes.close()
        await asyncio.to_thread(self._engine.dispose)

    async def begin(self, mail: NewMail, sender: str, now: int, ends_at: int) -> Begun:
        """Intend to send: *go* makes it `sender`'s until `ends_at`; *ended*: it has its outcome; *busy*: another's."""
        return await self._writes.run(lambda db: _begin(db, mail, sender, now, ends_at))

    async def end(self, message_id: str, sender: str, outcome: Outcome, now: int) -> None:
        """Record the outcome; if another has taken the mail over, the first outcome recorded stands."""
        await self._writes.run(lambda db: db.exec_driver_sql(_END, (outcome, now, sender, message_id)).rowcount)

    async def give_up(self, message_id: str, sender: str) -> None:
        """It was certainly not sent: anyone may send it at once."""
        await self._writes.run(lambda db: db.exec_driver_sql(_GIVE_UP, (message_id, sender)).rowcount)

    async def page(self, owner: str, before: tuple[int, str] | None, limit: int) -> list[Notification]:
        """Newest first, behind the place (created_at, message_id)."""
        query = sa.select(MAILS).where(MAILS.c.owner == owner)
        if before is not None:
            older = (MAILS.c.created_at == before[0]) & (MAILS.c.message_id < before[1])
            query = query.where((MAILS.c.created_at < before[0]) | older)
        query = query.order_by(MAILS.c.created_at.desc(), MAILS.c.message_id.desc()).limit(limit)

        def read() -> list[Notification]:
            with self._reading.begin() as db:
                return [
                    Notification(row.message_id, row.template, row.order_id, row.outcome or "sending", row.created_at)
                    for row in db.execute(query)
                ]

        return await asyncio.to_thread(read)


def _begin(db: sa.Connection, mail: NewMail, sender: str, now: int, ends_at: int) -> Begun:
    if db.exec_driver_sql(_BEGIN, (*mail, sender, ends_at, now)).rowcount == 1:
        return "go"
    outcome = db.exec_driver_sql(_OUTCOME, (mail.message_id,)).scalar_one()
    return "busy" if outcome is None else "ended"
