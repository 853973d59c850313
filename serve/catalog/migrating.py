"""Brings a catalogue's file of an earlier shop up to date: what is new is added, nothing is taken away.

Products from before there were variants get one each, and the event that tells of them. Any number of processes may do
this at once, and one that breaks off leaves the rest to the next start.
"""

from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, insert, inspect, select, update

from pipelines.events import catalog as events
from pipelines.log.outbox import put
from serve.catalog import loading
from serve.catalog.records import Product, Variant
from serve.catalog.tables import outbox, products, variants
from serve.catalog.telling import changed_event

BATCH = 500
"""Products a transaction, so that nobody waits long for the writer's lock."""


def migrate(engine: Engine, now: int) -> None:
    """`engine` begins as a writer and has the tables. `now`: UTC in milliseconds, the time of the events."""
    filled = BATCH
    while filled == BATCH and engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            filled = _fill(connection, now)


def add_columns(connection: Connection) -> None:
    there = {column["name"] for column in inspect(connection).get_columns("products")}
    if "price_to" in there:
        connection.exec_driver_sql("ALTER TABLE products RENAME COLUMN price_to TO price_max")
        there.add("price_max")
    for column in products.columns:
        if column.name not in there:
            kind = column.type.compile(connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE products ADD COLUMN {column.name} {kind}")


def _fill(connection: Connection, now: int) -> int:
    rows = connection.execute(select(products).where(products.c.id.is_(None)).limit(BATCH)).mappings().all()
    if not rows:
        return 0
    names = loading.category_names(connection)
    for row in rows:
        variant = Variant(
            sku=row["sku"],
            options={},
            price=row["price"],
            status="active",
            image=None,
            price_version=row["version"],  # what carts knew of it before
        )
        kept = {name: row[name] for name in ("slug", "name", "description", "category", "tax_class", "status", "image")}
        product = Product(
            key=row["sku"],
            id=str(uuid4()),
            specifications=row["specifications"],
            attributes={},
            related=[],
            version=row["version"],
            created_at=row["created_at"],
            variants=(variant,),
            **kept,
        )
        _write(connection, product, variant)
        put(connection, outbox, events.KIND, product.id, product.version, (changed_event(product, names, now),), now)
    return len(rows)


def _write(connection: Connection, product: Product, variant: Variant) -> None:
    connection.execute(insert(variants).values(variant_values(product, variant, 0)))
    added = {"id": product.id, "attributes": {}, "related": [], **listed_values(product)}
    connection.execute(update(products).where(products.c.sku == product.key).values(added))


def variant_values(product: Product, variant: Variant, position: int) -> dict[str, Any]:
    """A variant's row."""
    return {
        "sku": variant.sku,
        "product": product.key,
        "position": position,
        "options": variant.options,
        "price": variant.price,
        "status": variant.status,
        "image": variant.image,
        "price_version": variant.price_version,
    }


def listed_values(product: Product) -> dict[str, Any]:
    """What a product's row says of its variants."""
    prices = [variant.price for variant in product.shown]
    return {
        "price": min(prices),
        "price_max": max(prices),
        "variant_sku": product.shown[0].sku,
        "variant_count": len(product.variants),
        "for_sale": int(product.for_sale),
    }
