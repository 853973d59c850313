"""Tables and statements of the stateless service, and how its two databases are opened."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.sql.dml import Insert

# Without a rowid SQLite keeps a table and its text key in one tree instead of two.
metadata = MetaData()
gateway_metadata = MetaData()

products = Table(
    "products",
    metadata,
    Column("sku", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    sqlite_with_rowid=False,
)
stock = Table(
    "stock",
    metadata,
    Column("sku", String(64), primary_key=True),
    Column("on_hand", BigInteger, nullable=False),
    Column("sold", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
carts = Table(
    "carts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("last_order", String(36)),
    sqlite_with_rowid=False,
)
cart_lines = Table(
    "cart_lines",
    metadata,
    Column("cart_id", String(36), primary_key=True),
    Column("sku", String(64), primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    Column("shown", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
orders = Table(
    "orders",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(36), nullable=False, index=True),
    Column("status", String(16), nullable=False),
    Column("payment_status", String(16), nullable=False),
    Column("subtotal", BigInteger, nullable=False),
    Column("shipping", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("shipping_method", String(16), nullable=False),
    Column("payment_method", String(16), nullable=False),
    Column("placed_at", BigInteger, nullable=False),
    Column("confirmed_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
order_lines = Table(
    "order_lines",
    metadata,
    Column("order_id", String(36), primary_key=True),
    Column("sku", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("unit_price", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
contacts = Table(
    "contacts",
    metadata,
    Column("order_id", String(36), primary_key=True),
    Column("email", String(254), nullable=False),
    Column("address", Text, nullable=False),
    sqlite_with_rowid=False,
)
payments = Table(
    "payments",
    metadata,
    Column("order_id", String(36), primary_key=True),
    Column("charge", String(64), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("captured_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("entity", String(36), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("topic", String(32), nullable=False),
    Column("entity", String(36), nullable=False),
    Column("body", Text, nullable=False),
)
charges = Table(
    "gateway_charges",
    gateway_metadata,
    Column("id", String(64), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("reference", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    sqlite_with_rowid=False,
)

# One statement reads a cart with what its lines cost now, so its version and its lines are of one moment.
READ_CART = (
    select(
        carts.c.version,
        carts.c.last_order,
        cart_lines.c.sku,
        cart_lines.c.quantity,
        cart_lines.c.shown,
        products.c.name,
        products.c.amount,
        products.c.status,
        stock.c.on_hand,
    )
    .select_from(
        carts.outerjoin(cart_lines, cart_lines.c.cart_id == carts.c.id)
        .outerjoin(products, products.c.sku == cart_lines.c.sku)
        .outerjoin(stock, stock.c.sku == cart_lines.c.sku)
    )
    .where(carts.c.id == bindparam("cart"))
    .order_by(cart_lines.c.sku)
)
READ_KEY = select(idempotency_keys.c.fingerprint, idempotency_keys.c.entity).where(
    idempotency_keys.c.id == bindparam("key")
)
DROP_LINES = delete(cart_lines).where(cart_lines.c.cart_id == bindparam("cart"))
EMPTY_CART = (
    update(carts)
    .where(carts.c.id == bindparam("cart"), carts.c.version == bindparam("seen"))
    .values(version=carts.c.version + 1, last_order=bindparam("order"))
)
TAKE_STOCK = (
    update(stock)
    .where(stock.c.sku == bindparam("item"), stock.c.on_hand >= bindparam("units"))
    .values(on_hand=stock.c.on_hand - bindparam("units"), sold=stock.c.sold + bindparam("units"))
)
_SHOWN_NOW = select(bindparam("cart"), products.c.sku, bindparam("units"), products.c.amount).where(
    products.c.sku == bindparam("item"), products.c.status == "active"
)
_LINE_COLUMNS = ["cart_id", "sku", "quantity", "shown"]


def touch_cart(dialect: str) -> Insert:
    """Creates the cart `cart` or raises its version; locks its row either way."""
    first = {"id": bindparam("cart"), "version": 1}
    if dialect == "sqlite":
        made = sqlite.insert(carts).values(first)
        return made.on_conflict_do_update(index_elements=["id"], set_={"version": carts.c.version + 1})
    return mysql.insert(carts).values(first).on_duplicate_key_update(version=carts.c.version + 1)


def add_line(dialect: str) -> Insert:
    """Adds `units` of `item` to `cart` at today's price; touches no row if the product is not on sale."""
    more = {"quantity": cart_lines.c.quantity + bindparam("units")}
    if dialect == "sqlite":
        made = sqlite.insert(cart_lines).from_select(_LINE_COLUMNS, _SHOWN_NOW)
        return made.on_conflict_do_update(index_elements=["cart_id", "sku"], set_=more)
    return mysql.insert(cart_lines).from_select(_LINE_COLUMNS, _SHOWN_NOW).on_duplicate_key_update(**more)


class Turn:
    """Lines up the writers of one SQLite file, over threads and processes, in the kernel's queue.

    SQLite's own busy handler polls with growing sleeps, which costs a busy service a good part of its writes.
    """

    def __init__(self, path: str) -> None:
        self._threads = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Holds the turn."""
        with self._threads:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Gives the file back."""
        os.close(self._file)


class Database:
    """Two pools of one database: one for reading (each statement by itself), one for transactions."""

    def __init__(self, url: str, connections: int) -> None:
        self.dialect = "sqlite" if url.startswith("sqlite") else "mysql"
        self._turn = Turn(url.removeprefix("sqlite:///") + ".turn") if self.dialect == "sqlite" else None
        # Transactions always end here, so the pool's own rollback would only be a wasted round trip.
        pool: dict[str, Any] = {"pool_size": connections, "max_overflow": 0, "pool_reset_on_return": None}
        pool["pool_use_lifo"] = True
        if self.dialect == "sqlite":
            self.reading, self._writing = _sqlite(url, pool, None), _sqlite(url, pool, "BEGIN IMMEDIATE")
        else:
            pool["pool_recycle"] = 1800
            self.reading = create_engine(url, isolation_level="AUTOCOMMIT", **pool)
            self._writing = create_engine(url, isolation_level="READ COMMITTED", **pool)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back if it raises."""
        turn: AbstractContextManager[None] = self._turn.taken() if self._turn is not None else nullcontext()
        with turn, self._writing.begin() as connection:
            yield connection

    def create(self, tables: MetaData) -> None:
        """Creates the tables that are not there yet."""
        tables.create_all(self._writing)

    def close(self) -> None:
        """Closes all connections."""
        self.reading.dispose()
        self._writing.dispose()
        if self._turn is not None:
            self._turn.close()


def _sqlite(url: str, pool: dict[str, Any], begin: str | None) -> Engine:
    # isolation_level None: sqlite3 begins nothing by itself, so the BEGIN below is the only one.
    engine = create_engine(
        url, connect_args={"isolation_level": None, "timeout": 20, "check_same_thread": False}, **pool
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-64000", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}").close()

    if begin is not None:

        @event.listens_for(engine, "begin")
        def start(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

    return engine


def seed(database: Database, items: list[dict[str, Any]], units: int) -> None:
    """Puts products (sku, name, amount in minor units) on sale, with `units` of each in stock."""
    rows = [{**item, "status": "active"} for item in items]
    with database.transaction() as connection:
        known = set(connection.execute(select(products.c.sku)).scalars())
        new = [row for row in rows if row["sku"] not in known]
        if new:
            connection.execute(insert(products), new)
            connection.execute(insert(stock), [{"sku": row["sku"], "on_hand": units, "sold": 0} for row in new])
