"""Which mails are on their way, and what became of them. No address stands here: a mail names a contact by its id."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar

import sqlalchemy as sa

T = TypeVar("T")
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
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _set_up_sqlite)
        METADATA.create_all(self._engine)

    async def close(self) -> None:
        await asyncio.to_thread(self._engine.dispose)

    async def begin(self, mail: NewMail, sender: str, now: int, ends_at: int) -> Literal["go", "ended", "busy"]:
        """Intend to send: *go* makes it `sender`'s until `ends_at`; *ended*: it has its outcome; *busy*: another's."""
        return await self._write(lambda db: _begin(db, mail, sender, now, ends_at))

    async def end(self, message_id: str, sender: str, outcome: Outcome, now: int) -> None:
        """Record the outcome; if another has taken the mail over, the first outcome recorded stands."""
        unknown = (MAILS.c.message_id == message_id) & MAILS.c.outcome.is_(None)
        values = {"outcome": outcome, "ended_at": now, "sender": sender}
        await self._write(lambda db: db.execute(MAILS.update().where(unknown).values(values)))

    async def give_up(self, message_id: str, sender: str) -> None:
        """It was certainly not sent: anyone may send it at once."""
        mine = (MAILS.c.message_id == message_id) & (MAILS.c.sender == sender) & MAILS.c.outcome.is_(None)
        await self._write(lambda db: db.execute(MAILS.update().where(mine).values(sender=None, ends_at=0)))

    async def page(self, owner: str, before: tuple[int, str] | None, limit: int) -> list[Notification]:
        """Newest first, behind the place (created_at, message_id)."""
        query = sa.select(MAILS).where(MAILS.c.owner == owner)
        if before is not None:
            older = (MAILS.c.created_at == before[0]) & (MAILS.c.message_id < before[1])
            query = query.where((MAILS.c.created_at < before[0]) | older)
        query = query.order_by(MAILS.c.created_at.desc(), MAILS.c.message_id.desc()).limit(limit)
        rows = await self._write(lambda db: db.execute(query).all())
        return [
            Notification(row.message_id, row.template, row.order_id, row.outcome or "sending", row.created_at)
            for row in rows
        ]

    async def _write(self, work: Callable[[sa.Connection], T]) -> T:
        def transaction() -> T:
            with self._engine.begin() as db:
                return work(db)

        return await asyncio.to_thread(transaction)


def _begin(db: sa.Connection, mail: NewMail, sender: str, now: int, ends_at: int) -> Literal["go", "ended", "busy"]:
    # The take-over is one conditional write: of two senders that find an intent ended, one gets it.
    free = (
        (MAILS.c.message_id == mail.message_id)
        & MAILS.c.outcome.is_(None)
        & (MAILS.c.sender.is_(None) | (MAILS.c.ends_at <= now))
    )
    values = {"sender": sender, "ends_at": ends_at, "sendings": MAILS.c.sendings + 1}
    if db.execute(MAILS.update().where(free).values(values)).rowcount == 1:
        return "go"
    found = db.execute(sa.select(MAILS.c.outcome).where(MAILS.c.message_id == mail.message_id)).first()
    if found is not None:
        return "busy" if found.outcome is None else "ended"
    row = {**mail._asdict(), "sender": sender, "ends_at": ends_at, "sendings": 1, "created_at": now}
    try:
        with db.begin_nested():
            db.execute(MAILS.insert().values(row))
    except sa.exc.IntegrityError:
        return "busy"
    return "go"


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    for pragma in ("busy_timeout = 5000", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}").close()
