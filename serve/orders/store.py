"""The orders' own database: whom orders go to, and the list of orders that the flow `list_orders` keeps.

The methods are coroutines: each is one transaction in a thread of its own pool.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    MetaData,
    String,
    Table,
    Text,
    and_,
    create_engine,
    delete,
    event,
    exists,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import OperationalError

from pipelines.list_orders import OrderNote
from serve.orders.schemas import Contact, OrderSummary

T = TypeVar("T")
MAX_BATCH = 500
_metadata = MetaData()

contacts = Table(
    "contacts",
    _metadata,
    Column("id", String(64), primary_key=True),
    Column("order_id", String(64), nullable=False, index=True),
    Column("owner", String(160), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    # The contact as JSON; NULL once erased. The row stays, so that an order still finds whose it is.
    Column("contact", Text),
)

listed = Table(
    "orders",
    _metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(160), nullable=False),
    Column("placed_at", BigInteger, nullable=False),
    Column("status", String(32), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("orders_by_owner", "owner", "placed_at", "id"),
    Index("orders_by_status", "status", "placed_at", "id"),
    Index("orders_by_age", "placed_at", "id"),
)


_NOTE = text(
    """
    INSERT INTO orders (id, owner, placed_at, status, total, currency, version)
    VALUES (:order_id, COALESCE(:owner, ''), COALESCE(:placed_at, 0), :status, COALESCE(:total, 0),
            COALESCE(:currency, ''), :version)
    ON CONFLICT (id) DO UPDATE SET
        owner = COALESCE(:owner, owner), placed_at = COALESCE(:placed_at, placed_at),
        total = COALESCE(:total, total), currency = COALESCE(:currency, currency),
        status = CASE WHEN :version > version THEN :status ELSE status END,
        version = CASE WHEN :version > version THEN :version ELSE version END
    """
)


class Kept(NamedTuple):
    """A contact's row. `contact` is None once it has been erased."""

    id: str
    order_id: str
    owner: str
    created_at: int
    contact: Contact | None


class OrderStore:
    """`url` is SQLAlchemy's; `connections` bounds the threads that work on it."""

    def __init__(self, url: str, connections: int = 4) -> None:
        self._engine = _open(url, connections)
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="orders-db")
        self._gathered: list[tuple[Callable[[Connection], Any], asyncio.Future[Any]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Waits for what is running. The store is not used after it."""
        if self._writing is not None:
            await self._writing
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()

    async def _run(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        engine = self._engine.execution_options(writes=writes)

        def in_a_transaction() -> T:
            with engine.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, in_a_transaction)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        """Durable when it returns. What comes while one transaction is under way shares the next one."""
        written: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._gathered.append((work, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_gathered())
        return await written

    async def _write_gathered(self) -> None:
        try:
            while self._gathered:
                batch, self._gathered = self._gathered[:MAX_BATCH], self._gathered[MAX_BATCH:]
                works = [work for work, _ in batch]
                results: list[Any]
                try:
                    results = await self._run(lambda c, works=works: [work(c) for work in works], writes=True)  # type: ignore[misc]
                except OperationalError as error:  # the database's fault: no other try, its callers have theirs
                    results = [error for _ in works]
                except Exception:
                    results = [await self._alone(work) for work in works]
                for (_, written), result in zip(batch, results, strict=True):
                    if written.done():  # its caller went away
                        continue
                    if isinstance(result, Exception):
                        written.set_exception(result)
                    else:
                        written.set_result(result)
        finally:
            self._writing = None

    async def _alone(self, work: Callable[[Connection], Any]) -> Any:
        """One write in a transaction of its own, so that it fails for nobody else's fault: its result, or its error."""
        try:
            return await self._run(work, writes=True)
        except Exception as error:
            return error

    async def keep_contact(self, contact_id: str, order_id: str, owner: str, contact: Contact, now: int) -> None:
        """To be written before the order that names it."""
        row = {
            "id": contact_id,
            "order_id": order_id,
            "owner": owner,
            "created_at": now,
            "contact": msgspec.json.encode(contact).decode(),
        }
        await self._write(lambda connection: connection.execute(insert(contacts).values(row)).rowcount)

    async def drop_contact(self, contact_id: str) -> None:
        """For an order that was not made after all."""
        await self._write(lambda c: c.execute(delete(contacts).where(contacts.c.id == contact_id)).rowcount)

    async def contact(self, contact_id: str) -> Kept | None:
        """None if there never was one."""
        row = await self._run(
            lambda c: c.execute(select(contacts).where(contacts.c.id == contact_id)).first(), writes=False
        )
        return None if row is None else _kept(row)

    async def contact_of_order(self, order_id: str) -> Kept | None:
        statement = select(contacts).where(contacts.c.order_id == order_id).limit(1)
        row = await self._run(lambda c: c.execute(statement).first())
        return None if row is None else _kept(row)

    async def erase_contacts(self, owner: str) -> int:
        """Forgets names, addresses and the like of all of an owner's orders; answers how many."""
        statement = update(contacts).where(contacts.c.owner == owner, contacts.c.contact.is_not(None))
        return await self._write(lambda c: c.execute(statement.values(contact=None)).rowcount)

    async def drop_unused_contacts(self, before: int) -> int:
        """Deletes contacts made before `before` (UTC, milliseconds) whose order never came to be; answers how many.

        To be called for a time well before what the flow has listed.
        """
        unused = ~exists().where(listed.c.id == contacts.c.order_id)
        statement = delete(contacts).where(contacts.c.created_at < before, unused)
        return await self._write(lambda c: c.execute(statement).rowcount)

    async def note_orders(self, notes: Sequence[OrderNote]) -> None:
        """Lists orders as they are; a version not above what is listed changes nothing but fills gaps."""
        rows = [note._asdict() for note in notes]
        await self._write(lambda connection: connection.execute(_NOTE, rows))

    async def note_order(
        self,
        order_id: str,
        owner: str | None,
        placed_at: int | None,
        status: str,
        total: int | None,
        currency: str | None,
        version: int,
    ) -> None:
        """One of them."""
        await self.note_orders([OrderNote(order_id, owner, placed_at, status, total, currency, version)])

    async def forget_list(self) -> None:
        """Empties the list of orders, to be filled again from the log."""
        await self._write(lambda connection: connection.execute(delete(listed)).rowcount)

    async def page(
        self, *, owner: str | None, status: str | None = None, after: tuple[int, str] | None, limit: int
    ) -> list[OrderSummary]:
        """Newest first, at most `limit`, behind the place `after` (placed_at, id). Without `owner`: everybody's."""
        statement = select(listed.c.id, listed.c.placed_at, listed.c.status, listed.c.total, listed.c.currency)
        if owner is not None:
            statement = statement.where(listed.c.owner == owner)
        if status is not None:
            statement = statement.where(listed.c.status == status)
        if after is not None:
            at, order_id = after
            older = and_(listed.c.placed_at == at, listed.c.id < order_id)
            statement = statement.where(or_(listed.c.placed_at < at, older))
        statement = statement.order_by(listed.c.placed_at.desc(), listed.c.id.desc()).limit(limit)
        rows = await self._run(lambda connection: connection.execute(statement).all())
        return [OrderSummary(*row) for row in rows]

    async def ready(self) -> None:
        """Raises what the database raises when it cannot be read."""
        await self._run(lambda connection: connection.execute(select(listed.c.id).limit(1)).first())


def _kept(row: Any) -> Kept:
    contact = None if row.contact is None else msgspec.json.decode(row.contact, type=Contact)
    return Kept(row.id, row.order_id, row.owner, row.created_at, contact)


def _open(url: str, connections: int) -> Engine:
    engine = create_engine(url, pool_size=connections, max_overflow=0, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    _metadata.create_all(engine)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # transactions are begun by us, below
    with closing(connection.cursor()) as cursor:
        cursor.execute("PRAGMA busy_timeout = 5000")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: one that began as a reader could not wait for it.
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
