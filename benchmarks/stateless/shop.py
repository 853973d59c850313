"""What the stateless service does with a request: one transaction on its database, in one thread.

A crash between the charge and the transaction leaves a charge without an order. The ordinary way has no saga, and
this one does not pretend to have one.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import uuid_utils
from pydantic_core import to_json
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from benchmarks.stateless.gateway import Declined, FakeGateway
from benchmarks.stateless.models import (
    DROP_LINES,
    EMPTY_CART,
    READ_CART,
    READ_KEY,
    TAKE_STOCK,
    Database,
    add_line,
    contacts,
    gateway_metadata,
    idempotency_keys,
    metadata,
    order_lines,
    orders,
    outbox,
    payments,
    touch_cart,
)
from benchmarks.stateless.schemas import ItemIn, OrderIn, Totals, order_body, totals
from benchmarks.stateless.settings import Settings

T = TypeVar("T")
ATTEMPTS = 8
LINES = 1_000
SHIPPING = {"standard": (499, 5_000), "express": (999, None), "pickup": (0, None)}
_TRANSIENT = (1205, 1213)  # lock wait timeout, deadlock: the victim's transaction is run again
_ADD_KEY = insert(idempotency_keys)
_ADD_EVENT = insert(outbox)
_ADD_ORDER, _ADD_ORDER_LINES = insert(orders), insert(order_lines)
_ADD_CONTACT, _ADD_PAYMENT = insert(contacts), insert(payments)


class Key(NamedTuple):
    """A client's Idempotency-Key: the hash of principal, route and key, and the hash of what was sent with it."""

    id: str
    fingerprint: str


class Refusal(Exception):
    """Answered as a problem: an HTTP status and a stable code, with what else the client needs to know."""

    def __init__(self, status: int, code: str, **about: Any) -> None:
        super().__init__(code)
        self.status, self.code, self.about = status, code, about


class CartChanged(Exception):
    """Somebody changed the cart between reading and emptying it."""


class Cart(NamedTuple):
    """Rows of a cart, read in one statement, in SKU order."""

    version: int
    last_order: str | None
    rows: Sequence[Any]


class Shop:
    """Carts and orders of one worker. Every method blocks and may be called from many threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.database = Database(settings.url, settings.pool)
        self._gateway_database = Database(settings.gateway, settings.pool)
        self._gateway = FakeGateway(self._gateway_database)
        self._touch, self._add_line = touch_cart(self.database.dialect), add_line(self.database.dialect)

    def create_tables(self) -> None:
        """Creates what is not there yet; call it once, before the workers start."""
        self.database.create(metadata)
        self._gateway_database.create(gateway_metadata)

    def close(self) -> None:
        """Closes all connections."""
        self.database.close()
        self._gateway_database.close()

    def add(self, cart: str, item: ItemIn, key: Key | None) -> tuple[str, dict[str, Any]]:
        """Adds to a cart, once a key; answers with the cart's id (the first one's at a repeat) and the cart."""

        def work(connection: Connection) -> Cart:
            connection.execute(self._touch, {"cart": cart})
            line = {"cart": cart, "item": item.sku, "units": item.quantity}
            if not connection.execute(self._add_line, line).rowcount:
                raise Refusal(422, "unknown_sku", sku=item.sku)
            found = _read(connection, cart)
            if len(found.rows) > LINES:
                raise Refusal(409, "cart_full")
            self._remember(connection, key, cart)
            event = {"type": "CartLineAdded/1", "cart_id": cart, "sku": item.sku, "quantity": item.quantity}
            connection.execute(_ADD_EVENT, {"topic": "carts", "entity": cart, "body": to_json(event).decode()})
            return found

        try:
            return cart, self._cart_body(cart, self._in_transaction(work))
        except IntegrityError:
            first = self._first(key)
            if first is None:
                raise
            return first, self.cart(first)

    def cart(self, cart: str) -> dict[str, Any]:
        """The cart as it is; an empty one if it never was."""
        with self.database.reading.connect() as connection:
            return self._cart_body(cart, _read(connection, cart))

    def order(self, owner: str, order: str) -> dict[str, Any]:
        """An order of this owner. Raises Refusal."""
        with self.database.reading.connect() as connection:
            wanted = select(orders).where(orders.c.id == order, orders.c.owner == owner)
            found = connection.execute(wanted).mappings().first()
            if found is None:
                raise Refusal(404, "no_such_order")
            lines = connection.execute(select(order_lines).where(order_lines.c.order_id == order)).mappings().all()
        return order_body(dict(found), [dict(line) for line in lines], self._settings.currency)

    def check_out(self, cart: str, wanted: OrderIn, key: Key | None) -> dict[str, Any]:
        """Charges the card and sells what is in the cart, once a key. Raises Refusal."""
        for _ in range(ATTEMPTS):
            first = self._first(key)
            if first is not None:
                return self.order(cart, first)
            with self.database.reading.connect() as connection:
                found = _read(connection, cart)
            # The same key may have bought this cart since it was looked up.
            if not found.rows and (first := self._first(key)) is not None:
                return self.order(cart, first)
            order = self._priced(cart, found, wanted)
            try:
                self._gateway.charge(order["id"], order["total"], self._settings.currency, wanted.payment.reference)
            except Declined as declined:
                raise Refusal(402, str(declined)) from None
            try:
                return self._sell(cart, found, order, wanted, key)
            except CartChanged:
                self._gateway.refund(order["id"])
            except IntegrityError:
                self._gateway.refund(order["id"])
                if key is None:
                    raise
            except Exception:
                self._gateway.refund(order["id"])
                raise
        raise Refusal(409, "cart_changed")

    def _priced(self, cart: str, found: Cart, wanted: OrderIn) -> dict[str, Any]:
        if not found.rows:
            raise Refusal(409, "nothing_to_check_out", order_id=found.last_order)
        gone = [row.sku for row in found.rows if row.status != "active"]
        if gone:
            raise Refusal(409, "sku_gone", skus=gone)
        # Seen without a lock, so only a first look: it spares the charge that would have to be given back.
        short = [row.sku for row in found.rows if row.on_hand < row.quantity]
        if short:
            raise Refusal(409, "out_of_stock", skus=short)
        sums = self._totals(found.rows, wanted.shipping_method)
        if wanted.expected_total is not None and wanted.expected_total != sums.total:
            raise Refusal(409, "total_changed", total=sums.total)
        now = _now()
        return {
            "id": str(uuid_utils.uuid7()),
            "owner": cart,
            "status": "confirmed",
            "payment_status": "paid",
            **sums._asdict(),
            "shipping_method": wanted.shipping_method,
            "payment_method": wanted.payment.method,
            "placed_at": now,
            "confirmed_at": now,
        }

    def _sell(self, cart: str, found: Cart, order: dict[str, Any], wanted: OrderIn, key: Key | None) -> dict[str, Any]:
        number, currency = order["id"], self._settings.currency
        lines = [
            {"order_id": number, "sku": row.sku, "name": row.name, "quantity": row.quantity, "unit_price": row.amount}
            for row in found.rows
        ]
        body = order_body(order, lines, currency)
        contact = {"order_id": number, "email": wanted.email, "address": wanted.address.model_dump_json()}
        payment = {"order_id": number, "charge": number, "amount": order["total"], "currency": currency}
        event = to_json({"type": "OrderConfirmed/1", "order": body}).decode()

        def work(connection: Connection) -> None:
            emptied = connection.execute(EMPTY_CART, {"cart": cart, "seen": found.version, "order": number})
            if not emptied.rowcount:
                raise CartChanged
            connection.execute(DROP_LINES, {"cart": cart})
            self._remember(connection, key, number)
            connection.execute(_ADD_ORDER, order)
            connection.execute(_ADD_ORDER_LINES, lines)
            connection.execute(_ADD_CONTACT, contact)
            connection.execute(_ADD_PAYMENT, payment | {"captured_at": _now()})
            connection.execute(_ADD_EVENT, {"topic": "orders", "entity": number, "body": event})
            # Last, so that a popular SKU's row is locked for one statement and the commit only; in SKU order (the
            # rows are sorted), so that two orders cannot wait for each other.
            taken = [{"item": line["sku"], "units": line["quantity"]} for line in lines]
            if connection.execute(TAKE_STOCK, taken).rowcount != len(taken):
                raise Refusal(409, "out_of_stock")

        self._in_transaction(work)
        return body

    def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        for attempt in range(ATTEMPTS):
            try:
                with self.database.transaction() as connection:
                    return work(connection)
            except OperationalError as error:
                arguments = getattr(error.orig, "args", ())
                if attempt + 1 == ATTEMPTS or not arguments or arguments[0] not in _TRANSIENT:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _first(self, key: Key | None) -> str | None:
        if key is None:
            return None
        with self.database.reading.connect() as connection:
            found = connection.execute(READ_KEY, {"key": key.id}).first()
        if found is None:
            return None
        if found.fingerprint != key.fingerprint:
            raise Refusal(422, "idempotency_key_reused")
        return str(found.entity)

    def _remember(self, connection: Connection, key: Key | None, entity: str) -> None:
        if key is not None:
            row = {"id": key.id, "fingerprint": key.fingerprint, "entity": entity, "created_at": _now()}
            connection.execute(_ADD_KEY, row)

    def _totals(self, rows: Sequence[Any], method: str) -> Totals:
        subtotal = sum(row.quantity * row.amount for row in rows)
        price, free_from = SHIPPING[method]
        shipping = 0 if free_from is not None and subtotal >= free_from else price
        return totals(subtotal, shipping, self._settings.tax_rate_bp, self._settings.prices_include_tax)

    def _cart_body(self, cart: str, found: Cart) -> dict[str, Any]:
        return {
            "id": cart,
            "version": found.version,
            "currency": self._settings.currency,
            "lines": [
                {
                    "id": row.sku,
                    "sku": row.sku,
                    "name": row.name,
                    "quantity": row.quantity,
                    "unit_price": row.amount,
                    "changed_from": row.shown if row.shown != row.amount else None,
                    "gone": row.status != "active",
                    "agreed": False,
                    "total": row.quantity * row.amount,
                }
                for row in found.rows
            ],
            "totals": self._totals(found.rows, "standard")._asdict(),
            "pending_orders": [],
            "last_order": found.last_order,
        }


def _read(connection: Connection, cart: str) -> Cart:
    rows = connection.execute(READ_CART, {"cart": cart}).all()
    if not rows:
        return Cart(0, None, [])
    return Cart(rows[0].version, rows[0].last_order, [row for row in rows if row.sku is not None])


def _now() -> int:
    return time.time_ns() // 1_000_000
