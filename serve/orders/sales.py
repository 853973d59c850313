"""The sales among the orders' tables: how they are kept, and what reports ask of them.

Days are UTC's. Sums are of orders that stand; those that were cancelled after they were sold are counted apart.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, case, func, select

from pipelines.report_sales import Sale
from pipelines.sql.words import Said
from serve.orders.tables import sale_lines, sales

DAY = 86_400_000
"""Milliseconds."""


class Row(NamedTuple):
    """A sale as its table has it."""

    order_id: str
    version: int
    currency: str | None
    subtotal: int | None
    shipping: int | None
    tax: int | None
    total: int | None
    units: int | None
    sold_at: int | None
    cancelled_at: int | None
    left_over: int | None


_COLUMNS = Row._fields
_WHOLE = tuple(name for name in _COLUMNS if name not in ("order_id", "version", "left_over"))
"""What is told of an order once and never otherwise."""


def _noting(new: str, greatest: str, clause: str, value: str) -> str:
    """`new`: how the clause names what was to be inserted."""
    filled = ", ".join(f"{name} = COALESCE(sales.{name}, {new.format(name)})" for name in _WHOLE)
    version, left = new.format("version"), new.format("left_over")
    values = ", ".join([value] * len(_COLUMNS))
    # On MySQL assignments see those before them: the version comes last, and what is compared with it before.
    return f"""INSERT INTO sales ({", ".join(_COLUMNS)}) VALUES ({values}) {clause} {filled},
        left_over = CASE WHEN {version} > sales.version THEN COALESCE({left}, sales.left_over)
            ELSE COALESCE(sales.left_over, {left}) END,
        version = {greatest}(sales.version, {version})"""


_NOTE = Said(
    _noting("excluded.{}", "MAX", "ON CONFLICT (order_id) DO UPDATE SET", "?"),
    _noting("VALUES({})", "GREATEST", "ON DUPLICATE KEY UPDATE", "%s"),
)
_NOTE_LINE = Said(
    "INSERT INTO sale_lines (order_id, sku, name, units, amount) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    "INSERT INTO sale_lines (order_id, sku, name, units, amount) VALUES (%s, %s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE sku = VALUES(sku)",
)


class SalesOfDay(msgspec.Struct, frozen=True):
    """`day`: an ISO date. `cancelled`: orders sold on it that stand no longer; they are in no sum.

    `total` has tax and shipping in it, `refunded` is what of it went back, whenever it did.
    """

    day: str
    currency: str
    orders: int
    cancelled: int
    units: int
    subtotal: int
    shipping: int
    tax: int
    total: int
    refunded: int


class SalesOfProduct(msgspec.Struct, frozen=True):
    """`amount`: what its lines came to. Refunds are of orders, and not in it."""

    sku: str
    name: str
    currency: str
    orders: int
    units: int
    amount: int


def row_of(sale: Sale) -> Row:
    told, totals = sale.told, sale.told.totals
    return Row(
        order_id=sale.order_id,
        version=sale.version,
        currency=told.currency,
        subtotal=None if totals is None else totals.subtotal,
        shipping=None if totals is None else totals.shipping,
        tax=None if totals is None else totals.tax,
        total=None if totals is None else totals.total,
        units=None if told.lines is None else sum(line.units for line in told.lines),
        sold_at=told.sold_at,
        cancelled_at=told.cancelled_at,
        left_over=told.left,
    )


def note_sales(connection: Connection, noted: Sequence[Sale]) -> None:
    """A version not above the one noted before changes nothing but fills gaps."""
    _NOTE(connection, [tuple(row_of(sale)) for sale in noted])
    lines = [(sale.order_id, *line) for sale in noted for line in sale.told.lines or ()]
    if lines:
        _NOTE_LINE(connection, lines)


def sales_by_day(connection: Connection, since: int, until: int) -> list[SalesOfDay]:
    """Of orders sold from `since` on and before `until` (UTC, milliseconds), in order of days and currencies."""
    columns = sales.c
    # Its first millisecond. Not a division: to MySQL that of whole numbers is none.
    day = (columns.sold_at - columns.sold_at % DAY).label("day")
    stands = case((columns.cancelled_at.is_(None), 1), else_=0)
    summed = (columns.units, columns.subtotal, columns.shipping, columns.tax, columns.total, _refunded())
    sums = [func.sum(stands), func.sum(1 - stands), *(func.sum(stands * part) for part in summed)]
    query = select(day, columns.currency, *sums).where(columns.sold_at >= since, columns.sold_at < until)
    query = query.group_by(day, columns.currency).order_by(day, columns.currency)
    return [SalesOfDay(_iso(row[0]), row[1], *map(int, row[2:])) for row in connection.execute(query)]


def sales_by_product(connection: Connection, since: int, until: int, limit: int) -> list[SalesOfProduct]:
    """Of orders sold in that time which stand, at most `limit`, what was sold for most first."""
    columns, lines = sales.c, sale_lines.c
    amount = func.sum(lines.amount)
    sums = (func.count(), func.sum(lines.units), amount)
    query = select(lines.sku, func.max(lines.name), columns.currency, *sums)
    query = query.join_from(sales, sale_lines, lines.order_id == columns.order_id)
    query = query.where(columns.sold_at >= since, columns.sold_at < until, columns.cancelled_at.is_(None))
    query = query.group_by(lines.sku, columns.currency).order_by(amount.desc(), lines.sku).limit(limit)
    return [SalesOfProduct(*row[:3], *map(int, row[3:])) for row in connection.execute(query)]


def _refunded() -> ColumnElement[Any]:
    return sales.c.total - func.coalesce(sales.c.left_over, sales.c.total)


def _iso(day: Any) -> str:
    return datetime.fromtimestamp(int(day) / 1000, UTC).date().isoformat()
