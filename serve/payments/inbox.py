"""Which webhooks have been dealt with: `webhooks.db`. A row is written after its effect, which bears being repeated.

It stands apart from the transactions, since those can be dropped and made again from the log, and this cannot.
"""

import asyncio

from sqlalchemy import BigInteger, Column, Connection, Index, String, Table, delete, select

from pipelines.sql.revisions import metadata_of
from pipelines.sql.words import Said
from serve.databases import SharedTransactions, open_engine

DAYS = 90
"""How long a row is kept; Stripe sends an event again for three days, and by hand for thirty."""

PRUNE_EVERY = 3_600_000

metadata = metadata_of("webhooks")

inbox = Table(
    "webhook_inbox",
    metadata,
    Column("event_id", String(255), primary_key=True),
    Column("type", String(255), nullable=False),
    Column("session", String(128), nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("inbox_by_time", "at"),
)
_NOTE = Said(
    "INSERT INTO webhook_inbox (event_id, type, session, at) VALUES (?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING",
    "INSERT INTO webhook_inbox (event_id, type, session, at) VALUES (%s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE event_id = VALUES(event_id)",
)


class Inbox:
    """`url` is SQLAlchemy's. Times are UTC, milliseconds."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url, metadata, 4)
        self._reading = self._engine.execution_options(writes=False)
        self._writes = SharedTransactions(self._engine, "webhooks-write")
        self._pruned = 0

    async def close(self) -> None:
        """Waits for what is running. It is not used after it."""
        await self._writes.close()
        await asyncio.to_thread(self._engine.dispose)

    async def has(self, event_id: str) -> bool:
        return await asyncio.to_thread(self._has, event_id)

    async def note(self, event_id: str, kind: str, session: str, at: int) -> None:
        """The event has been dealt with; a second time changes nothing."""

        def write(connection: Connection) -> None:
            _NOTE(connection, (event_id, kind, session, at))
            if at - self._pruned > PRUNE_EVERY:
                connection.execute(delete(inbox).where(inbox.c.at < at - DAYS * 86_400_000))
                self._pruned = at

        await self._writes.run(write)

    def _has(self, event_id: str) -> bool:
        with self._reading.begin() as connection:
            return connection.execute(select(inbox.c.at).where(inbox.c.event_id == event_id)).first() is not None
