"""The tables of the catalogue's database, and how it is opened."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Engine, Index, Integer, String, Table, create_engine

from pipelines.log.outbox import outbox_table
from pipelines.sql.mysql import open_mysql
from pipelines.sql.revisions import metadata_of, prepare
from pipelines.sql.words import JSON, LONG_TEXT, insert_missing
from serve.databases import set_up_sqlite

metadata = metadata_of("catalog")

# `sku` is the product's key, and with one variant usually that variant's SKU too. The columns from `id` on came later:
# they may be null only until `migrating.py` has filled them. `price` to `for_sale` say of the variants what lists need.
products = Table(
    "products",
    metadata,
    Column("sku", String(64), primary_key=True),
    Column("slug", String(120), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    # What lists sort by: folded here, since databases disagree about case.
    Column("sort_name", String(600), nullable=False),
    Column("description", LONG_TEXT, nullable=False),
    Column("category", String(200), nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("tax_class", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("specifications", JSON, nullable=False),
    Column("image", String(120)),
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False, unique=True),
    Column("id", String(36)),
    Column("attributes", JSON),
    Column("related", JSON),
    Column("price_max", BigInteger),
    Column("variant_sku", String(64)),
    Column("variant_count", Integer),
    Column("for_sale", Integer),
    Index("products_by_category", "category"),
    Index("products_by_name", "sort_name", "sku"),
    Index("products_by_price", "price", "sku"),
    Index("products_by_age", "created_at", "sku"),
)

variants = Table(
    "variants",
    metadata,
    Column("sku", String(64), primary_key=True),
    Column("product", String(64), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("options", JSON, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("image", String(120)),
    Column("price_version", Integer, nullable=False),
)

# SKUs that are no variant's any more: should one come back, its price version goes on growing.
removed_skus = Table(
    "removed_skus",
    metadata,
    Column("sku", String(64), primary_key=True),
    Column("price_version", Integer, nullable=False),
)

categories = Table(
    "categories",
    metadata,
    Column("path", String(200), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("parent", String(200), index=True),
    Column("position", Integer, nullable=False),
)

availability = Table(
    "availability",
    metadata,
    Column("sku", String(64), primary_key=True),
    Column("available", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
)

images = Table(
    "images",
    metadata,
    Column("name", String(120), primary_key=True),
    Column("svg", LONG_TEXT, nullable=False),
    Column("digest", String(32), nullable=False),
)

# One row. Every writer of products takes it first, so numbers are handed out in the order of commits.
changes = Table(
    "changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)

loads = Table(
    "loads",
    metadata,
    Column("name", String(120), primary_key=True),
    Column("at", BigInteger, nullable=False),
)

outbox = outbox_table(metadata)


def open_engine(url: str, connections: int, catch_up: Callable[[Connection], Any] | None = None) -> Engine:
    """The engine for a database URL. On SQLite: its tables made, WAL, a busy timeout, real transactions.

    `catch_up`: see `prepare`. Raises SchemaBehind.
    """
    if url.startswith("mysql"):
        engine = open_mysql(url, connections)
    else:
        engine = create_engine(url, pool_size=connections, max_overflow=0, pool_timeout=10, hide_parameters=True)
        set_up_sqlite(engine, writes=False)
    prepare(engine, metadata, catch_up)
    with engine.execution_options(writes=True).begin() as connection:
        insert_missing(connection, changes, [{"id": 1, "number": 0}])
    return engine
