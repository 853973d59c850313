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
from sqlalchemy.exc import IntegrityError

from pipelines.gathering import looked_up
from pipelines.list_orders import OrderNote
from pipelines.report_sales import Sale
from pipelines.sql.words import Said, is_mysql
from serve.databases import SharedTransactions, open_engine, scrub
from serve.orders.sales import SalesOfDay, SalesOfProduct, note_sales, sales_by_day, sales_by_product
from serve.orders.schemas import Contact, OrderSummary
from serve.orders.tables import bring_up_to_date, metadata, order_skus, parcels
from serve.orders.tables import contacts as contacts
from serve.orders.tables import listed as listed

T = TypeVar("T")

_KEEP = Said(
    "INSERT INTO contacts (id, order_id, owner, created_at, contact, access, guest_email) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_DROP = Said("DELETE FROM contacts WHERE id = ?")
_GIVE = Said("UPDATE contacts SET owner = ?, guest_email = NULL WHERE id = ?")
# On MySQL assignments see those before them: the version comes last, and what is compared with it before.
_CHANGES = """
        owner = CASE WHEN {version} > version OR owner = '' THEN COALESCE({owner}, owner) ELSE owner END,
        placed_at = COALESCE({placed_at}, placed_at),
        total = COALESCE({total}, total), currency = COALESCE({currency}, currency),
        payment_status = CASE
            WHEN {version} <= version THEN payment_status
            WHEN COALESCE({status}, status) = 'cancelled' AND COALESCE({payment_status}, payment_status) NOT IN
                ('paid', 'refunded', 'partially_refunded') THEN 'none'
            ELSE COALESCE({payment_status}, payment_status) END,
        status = CASE WHEN {version} > version THEN COALESCE({status}, status) ELSE status END,
        version = CASE WHEN {version} > version THEN {version} ELSE version END
"""
_LISTED = ("id", "owner", "placed_at", "status", "total", "currency", "version", "payment_status")
_NUMBERED = {name: f"?{number}" for number, name in enumerate(_LISTED, 1)}
_NAMED = {name: f"%({name})s" for name in _LISTED}
_ADDED = """
    INSERT INTO orders (id, owner, placed_at, status, total, currency, version, payment_status)
    VALUES ({id}, COALESCE({owner}, ''), COALESCE({placed_at}, 0), COALESCE({status}, 'placed'), COALESCE({total}, 0),
        COALESCE({currency}, ''), {version}, COALESCE({payment_status}, 'none'))
"""
_NOTE = f"{_ADDED.format(**_NUMBERED)} ON CONFLICT (id) DO UPDATE SET {_CHANGES.format(**_NUMBERED)}"
_NOTE_ON_MYSQL = f"{_ADDED.format(**_NAMED)} ON DUPLICATE KEY UPDATE {_CHANGES.format(**_NAMED)}"
_NOTE_SKU = Said(
    "INSERT INTO order_skus (sku, order_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
    "INSERT INTO order_skus (sku, order_id) VALUES (%s, %s) ON DUPLICATE KEY UPDATE sku = VALUES(sku)",
)
_NOTE_PARCEL = Said(
    "INSERT INTO parcels (carrier, tracking, order_id, shipment_id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    "INSERT INTO parcels (carrier, tracking, order_id, shipment_id) VALUES (%s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE carrier = VALUES(carrier)",
)


GUEST = "guest:"
_NOTHING = {"contact": None, "access": None, "guest_email": None}


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
        engine = open_engine(url, metadata, connections + 2, bring_up_to_date)
        self._engine = engine
        self._reading = engine.execution_options(writes=False)
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="orders-read")
        self._writes = SharedTransactions(engine, "orders-write")
        self._lookups = SharedTransactions(engine, "orders-look", writes=False)
        self._contacts = looked_up(self._contacts_of)

    async def close(self) -> None:
        """Waits for what is running. The store is not used after it."""
        await self._writes.close()
        await self._contacts.close()
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
        guest = contact.email.lower() if contact.email and owner.startswith(GUEST) else None
        row = (contact_id, order_id, owner, now, msgspec.json.encode(contact).decode(), access, guest)
        await self._writes.run(lambda connection: _keep(connection, row))

    async def drop_contact(self, contact_id: str) -> None:
        """For an order that was not made after all."""
        await self._writes.run(lambda connection: _DROP(connection, (contact_id,)).rowcount)

    async def contact(self, contact_id: str) -> Kept | None:
        """None if there never was one."""
        return await self._contacts.add(contact_id)

    async def _contacts_of(self, contact_ids: list[str]) -> dict[str, Kept]:
        columns = contacts.c
        shown = select(columns.id, columns.order_id, columns.owner, columns.created_at, columns.contact)
        statement = shown.where(columns.id.in_(set(contact_ids)))
        rows = await self._lookups.run(lambda connection: connection.execute(statement).all())
        return {row.id: _kept(row) for row in rows}

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
        return await self._writes.run(lambda c: c.execute(statement.values(_NOTHING)).rowcount)

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
        found = select(contacts.c.id, contacts.c.order_id, contacts.c.created_at)
        found = found.where(contacts.c.guest_email == email.lower()).order_by(contacts.c.created_at, contacts.c.id)
        return [GuestContact(*row) for row in await self._read(lambda connection: connection.execute(found).all())]

    async def guest_email(self, contact_id: str) -> str | None:
        """The address of a contact that is a guest's still."""
        kept = await self.contact(contact_id)
        if kept is None or kept.contact is None or not kept.owner.startswith(GUEST):
            return None
        return kept.contact.email

    async def give_contact(self, contact_id: str, owner: str) -> None:
        """The contact is `owner`'s from now on."""
        await self._writes.run(lambda connection: _GIVE(connection, (owner, contact_id)).rowcount)

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
            await self._writes.run(lambda connection: _DROP(connection, rows).rowcount)

    async def note_orders(self, notes: Sequence[OrderNote]) -> None:
        """Lists orders as they are; a version not above what is listed changes nothing but fills gaps."""
        rows = [tuple(note[:8]) for note in notes]
        skus = [(sku, note.order_id) for note in notes for sku in note.skus or ()]
        sent = [(one.carrier, one.tracking, note.order_id, one.shipment_id) for note in notes for one in note.parcels]

        def write(connection: Connection) -> None:
            if is_mysql(connection):
                named = [dict(zip(_LISTED, row, strict=True)) for row in rows]
                connection.exec_driver_sql(_NOTE_ON_MYSQL, named)
            else:
                connection.exec_driver_sql(_NOTE, rows)
            for statement, values in ((_NOTE_SKU, skus), (_NOTE_PARCEL, sent)):
                if values:
                    statement(connection, values)

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

    async def note_sales(self, sales: Sequence[Sale]) -> None:
        """Keeps what was sold; a version not above what is kept changes nothing but fills gaps."""
        if sales:
            await self._writes.run(lambda connection: note_sales(connection, sales))

    async def sales_by_day(self, since: int, until: int) -> list[SalesOfDay]:
        return await self._read(lambda connection: sales_by_day(connection, since, until))

    async def sales_by_product(self, since: int, until: int, limit: int) -> list[SalesOfProduct]:
        return await self._read(lambda connection: sales_by_product(connection, since, until, limit))

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


def _keep(connection: Connection, row: tuple[Any, ...]) -> None:
    try:
        _KEEP(connection, row)
    except IntegrityError:
        there = connection.execute(select(contacts).where(contacts.c.id == row[0])).first()
        if there is None or tuple(there) != row:
            raise  # else it was committed before, and nobody heard of it


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
