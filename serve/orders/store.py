"""The orders' own database: whom orders go to, and the list of orders that the flow `list_orders` keeps.

The methods are coroutines. Writes share transactions, and so do the contacts that mails ask for; what pages and checks
read is a transaction each, in a thread of the store's own pool. What each order asks is said to the driver as it is.
"""

import asyncio
import hmac
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection, Select, and_, delete, exists, or_, select, update

from pipelines.list_orders import OrderNote
from serve.databases import SharedTransactions, open_engine, scrub
from serve.orders.schemas import Contact, OrderSummary
from serve.orders.tables import bring_up_to_date, metadata, order_skus, parcels
from serve.orders.tables import contacts as contacts
from serve.orders.tables import listed as listed

T = TypeVar("T")

_KEEP = "INSERT INTO contacts (id, order_id, owner, created_at, contact, access) VALUES (?, ?, ?, ?, ?, ?)"
_DROP = "DELETE FROM contacts WHERE id = ?"
_EMAIL = "lower(json_extract(contact, '$.email'))"
_INDEX_EMAILS = f"CREATE INDEX IF NOT EXISTS contacts_by_email ON contacts ({_EMAIL}) WHERE owner LIKE 'guest:%'"
_OF_GUESTS = f"""
    SELECT id, order_id, created_at FROM contacts
    WHERE {_EMAIL} = ? AND owner LIKE 'guest:%' ORDER BY created_at, id
"""
_GIVE = "UPDATE contacts SET owner = ? WHERE id = ?"
_CONTACT = "SELECT id, order_id, owner, created_at, contact FROM contacts WHERE id = ?"
_NOTE = """
    INSERT INTO orders (id, owner, placed_at, status, total, currency, version, payment_status)
    VALUES (?1, COALESCE(?2, ''), COALESCE(?3, 0), COALESCE(?4, 'placed'), COALESCE(?5, 0), COALESCE(?6, ''), ?7,
        COALESCE(?8, 'none'))
    ON CONFLICT (id) DO UPDATE SET
        owner = CASE WHEN ?7 > version OR owner = '' THEN COALESCE(?2, owner) ELSE owner END,
        placed_at = COALESCE(?3, placed_at),
        total = COALESCE(?5, total), currency = COALESCE(?6, currency),
        payment_status = CASE
            WHEN ?7 <= version THEN payment_status
            WHEN COALESCE(?4, status) = 'cancelled' AND COALESCE(?8, payment_status) NOT IN
                ('paid', 'refunded', 'partially_refunded') THEN 'none'
            ELSE COALESCE(?8, payment_status) END,
        status = CASE WHEN ?7 > version THEN COALESCE(?4, status) ELSE status END,
        version = CASE WHEN ?7 > version THEN ?7 ELSE version END
"""
_NOTE_SKU = "INSERT INTO order_skus (sku, order_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
_NOTE_PARCEL = """
    INSERT INTO parcels (carrier, tracking, order_id, shipment_id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING
"""


class Filters(NamedTuple):
    """Which orders of a list. `since` and before `until`: when they were placed, UTC milliseconds.

    `q`: the beginning of the order's id, or a SKU that it has.
    """

    status: str | None = None
    payment_status: str | None = None
    since: int | None = None
    until: int | None = None
    q: str | None = None


class Kept(NamedTuple):
    """A contact's row. `contact` is None once it has been erased."""

    id: str
    order_id: str
    owner: str
    created_at: int
    contact: Contact | None


class Unlisted(NamedTuple):
    """A contact whose order is not in the list: it was never placed, or is not listed yet."""

    id: str
    order_id: str


class GuestContact(NamedTuple):
    """A guest's contact: which order it is of, and when the order was asked for."""

    id: str
    order_id: str
    created_at: int


class OrderStore:
    """`url` is SQLAlchemy's; `connections` bounds the threads that read pages."""

    def __init__(self, url: str, connections: int = 4) -> None:
        engine = open_engine(url, metadata, connections + 2)
        bring_up_to_date(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql(_INDEX_EMAILS)
        self._engine = engine
        self._reading = engine.execution_options(writes=False)
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="orders-read")
        self._writes = SharedTransactions(engine, "orders-write")
        self._lookups = SharedTransactions(engine, "orders-look", writes=False)

    async def close(self) -> None:
        """Waits for what is running. The store is not used after it."""
        await self._writes.close()
        await self._lookups.close()
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()

    async def _read(self, work: Callable[[Connection], T]) -> T:
        def in_a_transaction() -> T:
            with self._reading.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, in_a_transaction)

    async def keep_contact(self, contact_id: str, order_id: str, owner: str, contact: Contact, now: int) -> None:
        """To be written before the order that names it. The order can be looked at by who knows its access token."""
        access = secrets.token_urlsafe(24)
        row = (contact_id, order_id, owner, now, msgspec.json.encode(contact).decode(), access)
        await self._writes.run(lambda connection: connection.exec_driver_sql(_KEEP, row).rowcount)

    async def drop_contact(self, contact_id: str) -> None:
        """For an order that was not made after all."""
        await self._writes.run(lambda connection: connection.exec_driver_sql(_DROP, (contact_id,)).rowcount)

    async def contact(self, contact_id: str) -> Kept | None:
        """None if there never was one."""
        row = await self._lookups.run(lambda connection: connection.exec_driver_sql(_CONTACT, (contact_id,)).first())
        return None if row is None else _kept(row)

    async def contact_of_order(self, order_id: str) -> Kept | None:
        statement = select(contacts).where(contacts.c.order_id == order_id).limit(1)
        row = await self._read(lambda c: c.execute(statement).first())
        return None if row is None else _kept(row)

    async def access_token(self, contact_id: str) -> str | None:
        """What the link in a mail has; None once it was revoked, or the contact erased."""
        statement = select(contacts.c.access).where(contacts.c.id == contact_id)
        found: str | None = await self._lookups.run(lambda connection: connection.execute(statement).scalar())
        return found

    async def opens(self, order_id: str, token: str) -> bool:
        """Whether `token` is the order's; how much of it is right cannot be told by the time that this takes."""
        statement = select(contacts.c.access).where(contacts.c.order_id == order_id).limit(1)
        kept = await self._lookups.run(lambda connection: connection.execute(statement).scalar())
        return hmac.compare_digest((kept or "").encode(), token.encode()) and bool(kept)

    async def revoke_access(self, order_id: str) -> None:
        """From now on no link opens the order."""
        statement = update(contacts).where(contacts.c.order_id == order_id).values(access=None)
        await self._writes.run(lambda connection: connection.execute(statement).rowcount)

    async def erase_contacts(self, owner: str) -> int:
        """Forgets names, addresses and the like of all orders of an owner; answers how many."""
        statement = update(contacts).where(contacts.c.owner == owner, contacts.c.contact.is_not(None))
        return await self._writes.run(lambda c: c.execute(statement.values(contact=None, access=None)).rowcount)

    async def erase_owner(self, owner: str) -> list[str]:
        """`erase_contacts`, so that they stand nowhere in the files either; answers the owner's orders.

        Raises ConnectionError: the database was too busy to be sure; ask again.
        """
        await self.erase_contacts(owner)
        await asyncio.to_thread(scrub, self._engine)
        statement = select(contacts.c.order_id).where(contacts.c.owner == owner)
        return [row.order_id for row in await self._read(lambda c: c.execute(statement).all())]

    async def guest_contacts(self, email: str) -> list[GuestContact]:
        """Those in which guests gave this address, which is compared without case; oldest first."""
        found = await self._read(lambda c: c.exec_driver_sql(_OF_GUESTS, (email.lower(),)).all())
        return [GuestContact(*row) for row in found]

    async def guest_email(self, contact_id: str) -> str | None:
        """The address of a contact that is a guest's still."""
        kept = await self.contact(contact_id)
        if kept is None or kept.contact is None or not kept.owner.startswith("guest:"):
            return None
        return kept.contact.email

    async def give_contact(self, contact_id: str, owner: str) -> None:
        """The contact is `owner`'s from now on."""
        await self._writes.run(lambda connection: connection.exec_driver_sql(_GIVE, (owner, contact_id)).rowcount)

    async def unlisted_contacts(self, before: int, after: str, limit: int) -> list[Unlisted]:
        """Contacts made before `before` (UTC, milliseconds) whose order is not listed, by id, behind the id `after`."""
        unlisted = ~exists().where(listed.c.id == contacts.c.order_id)
        statement = select(contacts.c.id, contacts.c.order_id).where(contacts.c.created_at < before, unlisted)
        statement = statement.where(contacts.c.id > after).order_by(contacts.c.id).limit(limit)
        return [Unlisted(*row) for row in await self._read(lambda connection: connection.execute(statement).all())]

    async def drop_contacts(self, contact_ids: Sequence[str]) -> None:
        """`drop_contact` for many."""
        rows = [(contact_id,) for contact_id in contact_ids]
        if rows:
            await self._writes.run(lambda connection: connection.exec_driver_sql(_DROP, rows).rowcount)

    async def note_orders(self, notes: Sequence[OrderNote]) -> None:
        """Lists orders as they are; a version not above what is listed changes nothing but fills gaps."""
        rows = [tuple(note[:8]) for note in notes]
        skus = [(sku, note.order_id) for note in notes for sku in note.skus or ()]
        sent = [(one.carrier, one.tracking, note.order_id, one.shipment_id) for note in notes for one in note.parcels]

        def write(connection: Connection) -> None:
            for statement, values in ((_NOTE, rows), (_NOTE_SKU, skus), (_NOTE_PARCEL, sent)):
                if values:
                    connection.exec_driver_sql(statement, values)

        if rows:
            await self._writes.run(write)

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

        def forget(connection: Connection) -> None:
            for table in (listed, order_skus, parcels):
                connection.execute(delete(table))

        await self._writes.run(forget)

    async def parcels(self, carrier: str, tracking: str) -> list[tuple[str, str]]:
        """Orders and their shipments under this number of a carrier."""
        statement = select(parcels.c.order_id, parcels.c.shipment_id)
        statement = statement.where(parcels.c.carrier == carrier, parcels.c.tracking == tracking).limit(100)
        rows = await self._read(lambda connection: connection.execute(statement).all())
        return [(order_id, shipment_id) for order_id, shipment_id in rows]

    async def page(
        self,
        *,
        owner: str | None,
        filters: Filters = Filters(),  # noqa: B008 (immutable)
        after: tuple[int, str] | None,
        limit: int,
    ) -> list[OrderSummary]:
        """Newest first, at most `limit`, behind the place `after` (placed_at, id). Without `owner`: everybody's."""
        columns = listed.c
        shown = (columns.id, columns.placed_at, columns.status, columns.total, columns.currency)
        statement = _filtered(select(*shown, columns.payment_status), filters)
        if owner is not None:
            statement = statement.where(columns.owner == owner)
        if after is not None:
            at, order_id = after
            older = and_(columns.placed_at == at, columns.id < order_id)
            statement = statement.where(or_(columns.placed_at < at, older))
        statement = statement.order_by(columns.placed_at.desc(), columns.id.desc()).limit(limit)
        rows = await self._read(lambda connection: connection.execute(statement).all())
        return [OrderSummary(*row) for row in rows]

    async def ready(self) -> None:
        """Raises what the database raises when it cannot be read."""
        await self._read(lambda connection: connection.execute(select(listed.c.id).limit(1)).first())


def _kept(row: Any) -> Kept:
    contact = None if row.contact is None else msgspec.json.decode(row.contact, type=Contact)
    return Kept(row.id, row.order_id, row.owner, row.created_at, contact)


def _filtered(statement: Select[Any], filters: Filters) -> Select[Any]:
    columns = listed.c
    if filters.status is not None:
        statement = statement.where(columns.status == filters.status)
    if filters.payment_status is not None:
        statement = statement.where(columns.payment_status == filters.payment_status)
    if filters.since is not None:
        statement = statement.where(columns.placed_at >= filters.since)
    if filters.until is not None:
        statement = statement.where(columns.placed_at < filters.until)
    if filters.q is not None:
        prefix = filters.q.lower()
        has_sku = exists().where(order_skus.c.order_id == columns.id, order_skus.c.sku == filters.q)
        statement = statement.where(or_(and_(columns.id >= prefix, columns.id < prefix + "\U0010ffff"), has_sku))
    return statement
