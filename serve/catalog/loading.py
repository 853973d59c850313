"""Products out of the database, with their variants."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, cast, func, select

from serve.catalog.records import Listed, Product, Variant
from serve.catalog.tables import availability, categories, products, removed_skus, variants

AT_ONCE = 500
"""Values in one question: databases take only so many."""

_PRODUCT = select(
    products.c.sku.label("key"),
    *products.c[
        "id",
        "slug",
        "name",
        "description",
        "category",
        "tax_class",
        "status",
        "specifications",
        "attributes",
        "related",
        "image",
        "version",
        "created_at",
    ],
)
_VARIANT = (
    select(
        *variants.c["product", "sku", "options", "price", "status", "image", "price_version"], availability.c.available
    )
    .select_from(variants.outerjoin(availability, availability.c.sku == variants.c.sku))
    .order_by(variants.c.product, variants.c.position)
)
_UNITS = (
    select(cast(func.sum(availability.c.available), BigInteger))  # on MySQL a sum is a decimal
    .where(
        variants.c.product == products.c.sku,
        variants.c.status == "active",
        availability.c.sku == variants.c.sku,
    )
    .correlate(products)
    .scalar_subquery()
)

LISTED: Select[Any] = select(
    products.c.sku.label("key"),
    *products.c["slug", "name", "category", "price", "price_max", "image", "created_at"],
    products.c.variant_sku.label("sku"),
    products.c.variant_count.label("variants"),
    _UNITS.label("available"),
)


def find(connection: Connection, where: ColumnElement[bool]) -> Product | None:
    """The product for which `where` holds, or None."""
    found = load(connection, _PRODUCT.where(where))
    return found[0] if found else None


def find_by_key(connection: Connection, key: str) -> Product | None:
    return find(connection, products.c.sku == key)


def after_key(connection: Connection, key: str, limit: int) -> list[Product]:
    """Products of every status in the order of their keys, behind `key`."""
    return load(connection, _PRODUCT.where(products.c.sku > key).order_by(products.c.sku).limit(limit))


def by_keys(connection: Connection, keys: Iterable[str]) -> dict[str, Product]:
    """Those of the products that exist."""
    found = (load(connection, _PRODUCT.where(products.c.sku.in_(some))) for some in _some(keys))
    return {product.key: product for part in found for product in part}


def load(connection: Connection, statement: Select[Any]) -> list[Product]:
    """The products that a statement of product columns finds, with their variants and what is left of them."""
    rows = connection.execute(statement).mappings().all()
    grouped: dict[str, list[Variant]] = {row["key"]: [] for row in rows}
    for some in _some(grouped):
        for product, *values in connection.execute(_VARIANT.where(variants.c.product.in_(some))):
            grouped[product].append(_variant(*values))
    return [Product(**row, variants=tuple(grouped[row["key"]])) for row in rows]


def _variant(
    sku: str, options: dict[str, str], price: int, status: Any, image: str | None, version: int, available: int | None
) -> Variant:
    return Variant(
        sku=sku,
        options=options,
        price=price,
        status=status,
        image=image,
        price_version=version,
        available=available,
    )


def listed(connection: Connection, statement: Select[Any]) -> list[Listed]:
    """What `LISTED`, with conditions, finds."""
    return [Listed(**row) for row in connection.execute(statement).mappings()]


def holders(connection: Connection, skus: Iterable[str]) -> dict[str, str]:
    """The products (their keys) that hold these SKUs as variants'."""
    return _pairs(connection, select(variants.c.sku, variants.c.product), variants.c.sku, skus)


def removed_versions(connection: Connection, skus: Iterable[str]) -> dict[str, int]:
    """The price versions with which SKUs were removed."""
    return _pairs(connection, select(removed_skus.c.sku, removed_skus.c.price_version), removed_skus.c.sku, skus)


def slug_owners(connection: Connection, slugs: Iterable[str]) -> dict[str, str]:
    """The products (their keys) that have these slugs."""
    return _pairs(connection, select(products.c.slug, products.c.sku), products.c.slug, slugs)


def category_names(connection: Connection) -> dict[str, str]:
    """Every category's name, by path."""
    return {row.path: row.name for row in connection.execute(select(*categories.c["path", "name"]))}


def _pairs(
    connection: Connection, statement: Select[Any], column: ColumnElement[str], values: Iterable[str]
) -> dict[str, Any]:
    return {
        name: value for some in _some(values) for name, value in connection.execute(statement.where(column.in_(some)))
    }


def _some(values: Iterable[str]) -> Iterator[Sequence[str]]:
    distinct = list(dict.fromkeys(values))
    for start in range(0, len(distinct), AT_ONCE):
        yield distinct[start : start + AT_ONCE]
