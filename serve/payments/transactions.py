"""The payment service's own database: `payment_transactions`, which the flow `keep_transactions` only ever adds to.

It can be dropped and made again from the log; then the flow starts at position 0.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    inspect,
    select,
    tuple_,
)
from sqlalchemy.exc import OperationalError

from actors.runtime.ports import Unavailable
from pipelines.gathering import Gathering
from pipelines.keep_transactions import Event, Session, Transaction, followed
from pipelines.log.base import Happened
from pipelines.sql.revisions import metadata_of
from pipelines.sql.words import LONG_TEXT, Said, insert_missing
from serve.databases import SharedTransactions, open_engine

metadata = metadata_of("payments")

transactions = Table(
    "payment_transactions",
    metadata,
    Column("event_id", String(255), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("session", String(128), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("method", String(32), nullable=False),
    Column("reference", String(255), nullable=False),
    Column("detail", String(255), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("raw", LONG_TEXT, nullable=False),
    Index("transactions_by_session", "session", "version", "number"),
    Index("transactions_by_time", "at", "session", "version", "number"),
)

# What the next row of a session follows from; see pipelines.keep_transactions.Session.
sessions = Table(
    "sessions",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("kept", LargeBinary, nullable=False),
)


_KEEP = Said(
    "INSERT INTO sessions (id, kept) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET kept = excluded.kept",
    "INSERT INTO sessions (id, kept) VALUES (%s, %s) ON DUPLICATE KEY UPDATE kept = VALUES(kept)",
)
_ADD = Said(
    f"INSERT INTO payment_transactions ({', '.join(Transaction._fields)}) "
    f"VALUES ({', '.join('?' * len(Transaction._fields))})"
)
_NEW = msgspec.msgpack.encode(Session())

MOST_AT_ONCE = 200
"""Events whose rows are written together: a statement for many costs about as much as one for each did."""


def bring_up_to_date(connection: Connection) -> None:
    """A SQLite database from before rows had their session's version: its number is in the event's id."""
    if all(column["name"] != "position" for column in inspect(connection).get_columns(transactions.name)):
        return
    for index in ("transactions_by_place", "transactions_by_session", "transactions_by_time"):
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {index}")
    connection.exec_driver_sql("ALTER TABLE payment_transactions RENAME COLUMN position TO version")
    for event_id in connection.scalars(select(transactions.c.event_id)).all():
        mine = transactions.c.event_id == event_id
        connection.execute(transactions.update().where(mine).values(version=int(str(event_id).split("/")[-2])))
    for made in transactions.indexes:
        made.create(connection)


class Place(NamedTuple):
    """Of a row, in the order of time; the same however often the rows are made again, and from whatever log."""

    at: int
    session: str
    version: int
    number: int


def place_of(row: Transaction) -> Place:
    return Place(row.at, row.session, row.version, row.number)


class Told(NamedTuple):
    """An event of a payment session."""

    happened: Happened
    event: Event


class TransactionStore:
    """Implements `KeepsTransactions`. `url` is SQLAlchemy's."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url, metadata, 4, bring_up_to_date)
        self._reading = self._engine.execution_options(writes=False)
        self._writes = SharedTransactions(self._engine, "payments-write")
        self._told: Gathering[Told, None] = Gathering(self._keep, MOST_AT_ONCE)

    async def close(self) -> None:
        """Waits for what is running. The store is not used after it."""
        await self._told.close()
        await self._writes.close()
        await asyncio.to_thread(self._engine.dispose)

    async def keep(self, happened: Happened, event: Event) -> None:
        """As `KeepsTransactions.keep`. Raises what SQLAlchemy raises."""
        await self._told.add(Told(happened, event))

    async def _keep(self, told: list[Told]) -> list[Exception | None]:
        try:
            await self._writes.run(lambda connection: _keep(connection, told))
        except (OperationalError, Unavailable):  # the database's fault, and so that of none of them
            raise
        except Exception as error:
            if len(told) == 1:
                return [error]
            # Nobody's error is another's.
            return [outcome for one in told for outcome in await self._keep([one])]
        return [None] * len(told)

    async def page(
        self,
        *,
        session: str | None = None,
        since: int | None = None,
        until: int | None = None,
        after: Place | None = None,
        limit: int,
    ) -> list[Transaction]:
        """In the order of time, at most `limit`, behind the place `after`; times from `since`, before `until`."""
        columns = transactions.c
        statement = select(*(columns[name] for name in Transaction._fields))
        if session is not None:
            statement = statement.where(columns.session == session)
        if since is not None:
            statement = statement.where(columns.at >= since)
        if until is not None:
            statement = statement.where(columns.at < until)
        order = [columns[name] for name in Place._fields]
        if after is not None:
            statement = statement.where(tuple_(*order) > tuple_(*after))
        statement = statement.order_by(*order).limit(limit)
        return [Transaction(*row) for row in await asyncio.to_thread(self._rows, statement)]

    def _rows(self, statement: Select[Any]) -> Sequence[Any]:
        with self._reading.begin() as connection:
            return connection.execute(statement).all()


def _keep(connection: Connection, told: Sequence[Told]) -> None:
    ids = sorted({happened.entity for happened, _ in told})
    # In one order, so that two writers do not wait for each other.
    insert_missing(connection, sessions, [{"id": entity, "kept": _NEW} for entity in ids])
    found = connection.execute(select(sessions).where(sessions.c.id.in_(ids)).with_for_update())
    kept = {row.id: msgspec.msgpack.decode(row.kept, type=Session) for row in found}
    changed: dict[str, Session] = {}
    rows = []
    for happened, event in told:
        before = changed.get(happened.entity, kept[happened.entity])
        if (happened.version, happened.index) <= (before.version, before.number):
            continue
        changed[happened.entity], row = followed(before, happened, event)
        rows += [row] if row is not None else []
    if changed:
        _KEEP(connection, [(entity, msgspec.msgpack.encode(session)) for entity, session in sorted(changed.items())])
    if rows:
        _ADD(connection, rows)
