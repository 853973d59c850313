"""The event log of a service that is tables: its outbox, written in the transaction of what happened.

Without Kafka the outbox is the log: nothing is relayed, nothing deleted. That needs positions that become visible in
their order. Those of SQLite do, where only one transaction writes at a time; on MySQL a row that is locked gives them.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from actors.decision import Message
from actors.runtime.wire import encode
from pipelines.log.base import Happened
from pipelines.log.resting import LONGEST, Resting
from pipelines.sql.words import BIG, LONG_BYTES, next_place, places_table

# Other processes write into the same outbox: what they wrote is seen by looking.
LOOK_EVERY = 0.1


def outbox_table(metadata: sa.MetaData) -> sa.Table:
    """The outbox of a service's database, and what gives it its positions."""
    places_table(metadata)
    return sa.Table(
        "outbox",
        metadata,
        sa.Column("position", BIG, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("entity", sa.String(128), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("event", LONG_BYTES, nullable=False),
        sa.UniqueConstraint("kind", "entity", "version", "number"),
        sqlite_autoincrement=True,
    )


def put(
    connection: sa.Connection,
    outbox: sa.Table,
    kind: str,
    entity: str,
    version: int,
    events: tuple[Message, ...],
    at: int,
) -> None:
    """Writes what happened to a row that has this version from now on. `at`: UTC in milliseconds.

    The row must be locked, so that nobody else writes events of this version; an entity has only one step a version.
    On MySQL nobody else can put anything until the transaction ends.
    """
    if not events:
        return
    first = next_place(connection, len(events))
    rows = [
        {
            **({} if first is None else {"position": first + number}),
            "kind": kind,
            "entity": entity,
            "version": version,
            "number": number,
            "at": at,
            "event": encode(event),
        }
        for number, event in enumerate(events)
    ]
    connection.execute(outbox.insert(), rows)


class OutboxLog:
    """Implements `EventLog` over one outbox."""

    def __init__(self, engine: sa.Engine, outbox: sa.Table, look_every: float = LOOK_EVERY) -> None:
        self._engine = engine
        self._outbox = outbox
        self._look_every = look_every
        there = engine.url.database
        self._resting = Resting(Path(there) if engine.dialect.name == "sqlite" and there else None)

    async def read(self, after: int, limit: int) -> list[Happened]:
        """As `EventLog.read`. Raises what SQLAlchemy raises."""
        return await asyncio.to_thread(self._read, after, limit)

    async def delete(self, positions: Sequence[int]) -> None:
        """Takes out what is told elsewhere. Raises what SQLAlchemy raises."""
        await asyncio.to_thread(self._delete, list(positions))

    async def close(self) -> None:
        """Closes the connections; for who owns the engine."""
        await asyncio.to_thread(self._engine.dispose)

    def _read(self, after: int, limit: int) -> list[Happened]:
        columns = self._outbox.c
        query = (
            sa.select(
                columns.position,
                columns.kind,
                columns.entity,
                columns.version,
                columns.number,
                columns.at,
                columns.event,
            )
            .where(columns.position > after)
            .order_by(columns.position)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [Happened(*row) for row in connection.execute(query)]

    def _delete(self, positions: list[int]) -> None:
        with self._engine.begin() as connection:
            connection.execute(self._outbox.delete().where(self._outbox.c.position.in_(positions)))

    async def end(self) -> int:
        """The last position; 0 if nothing is written yet."""
        return await asyncio.to_thread(self._end)

    async def wait(self, after: int, seconds: float) -> None:
        """As `EventLog.wait`."""
        until = asyncio.get_running_loop().time() + seconds
        while not await asyncio.to_thread(self._grown, after):
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                return
            await self._pause(min(left, LONGEST))

    async def _pause(self, seconds: float) -> None:
        """`look_every`; while nobody writes, `seconds`."""
        until = asyncio.get_running_loop().time() + seconds
        while (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, self._look_every))
            if not self._resting():
                return

    def _grown(self, after: int) -> bool:
        return self._end() > after

    def _end(self) -> int:
        query = sa.select(sa.func.max(self._outbox.c.position))
        with self._engine.connect() as connection:
            return connection.execute(query).scalar() or 0
