"""The tables of the catalogue's database, and how it is opened."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    insert,
    select,
)

from pipelines.log.outbox import outbox_table
from serve.databases import set_up_sqlite

metadata = MetaData()

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
    Column("description", Text, nullable=False),
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
    Column("svg", Text, nullable=False),
    Column("digest", String(32), nullable=False),
)

# One row. Every writer of products takes it first, so numbers are handed out in the order of commits.
changes = Table(
    "changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

loads = Table(
    "loads",
    metadata,
    Column("name", String(120), primary_key=True),
    Column("at", BigInteger, nullable=False),
)

outbox = outbox_table(metadata)


def open_engine(url: str, connections: int) -> Engine:
    """The engine for a database URL, its tables made. On SQLite: WAL, a busy timeout, real transactions."""
    engine = create_engine(url, pool_size=connections, max_overflow=0, pool_timeout=10, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        set_up_sqlite(engine, writes=False)
    with engine.execution_options(writes=True).begin() as connection:
        metadata.create_all(connection)
        if connection.scalar(select(changes.c.number)) is None:
            connection.execute(insert(changes).values(id=1, number=0))
    return engine
