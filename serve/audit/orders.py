"""What follows from orders: their place in the list, their contacts, and the slots of carts."""

from typing import Any

from sqlalchemy import Connection, select

from actors import cart, order
from pipelines import list_orders
from serve.audit.findings import Findings
from serve.audit.flows import Flows
from serve.audit.replayed import Replayed
from serve.audit.sources import Beside, stream
from serve.audit.stock import RUNNING
from serve.orders.store import contacts, listed

_LISTED = ("owner", "time", "status", "total", "currency", "payment status")


class Listed:
    """The list of orders beside the orders, in order of id."""

    def __init__(self, db: Connection | None, flows: Flows, findings: Findings) -> None:
        self._flows = flows
        self._findings = findings
        rows = stream(db, select(listed).order_by(listed.c.id)) if db is not None else iter(())
        self._rows: Beside[Any] = Beside(rows, lambda row: str(row.id), self._stray)

    def check(self, one: Replayed) -> None:
        """That the list shows the order as it is, if the flow has handled all that happened to it."""
        row = next(iter(self._rows.at(one.id)), None)
        if not self._flows.handled_of(list_orders.NAME, one.events):
            return
        state: order.OrderState = one.state
        wanted = (state.owner, state.opened_at, state.status, state.total, state.currency, state.payment_status)
        if row is None:
            self._findings.broken(f"Order {one.id} is not in the list of orders.")
            return
        shown = (row.owner, row.placed_at, row.status, row.total, row.currency, row.payment_status)
        for name, there, expected in zip(_LISTED, shown, wanted, strict=True):
            if there != expected:
                self._findings.broken(f"The list of orders has the {name} {there!r} of order {one.id}: {expected!r}.")

    def end(self) -> None:
        self._rows.end()

    def _stray(self, row: Any) -> None:
        self._findings.broken(f"The list of orders has order {row.id}, which never was.")


class Contacts:
    """The rows of whom orders go to; each order has one, erased or not, and had it first.

    `since`: when their snapshot was taken (UTC, milliseconds); orders may have been placed after it.
    """

    def __init__(self, db: Connection | None, since: int, findings: Findings) -> None:
        self._findings = findings
        self._since = since
        columns = (contacts.c.order_id, contacts.c.id)
        rows = stream(db, select(*columns).order_by(contacts.c.order_id)) if db is not None else iter(())
        # One without an order is of a checkout that came to nothing, and is cleared away later.
        self._rows: Beside[Any] = Beside(rows, lambda row: str(row.order_id), lambda _: None)

    def check(self, one: Replayed) -> None:
        known = {row.id for row in self._rows.at(one.id)}
        state: order.OrderState = one.state
        if state.contact_id and state.contact_id not in known and state.opened_at < self._since:
            self._findings.broken(f"Order {one.id} goes to contact {state.contact_id}, which is not there.")


class Slots:
    """Carts that keep lines for orders; a slot must be for an order that runs or has yet to tell its cart."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._carts: dict[str, str] = {}

    def add(self, one: Replayed) -> None:
        """A cart: what it keeps, and that it is whole."""
        state: cart.CartState = one.state
        for order_id in state.slots:
            self._carts[order_id] = one.id
        if state.merged_into is not None and state.lines:
            self._findings.broken(f"Cart {one.id} has become part of {state.merged_into}, and still has lines.")

    def check(self, one: Replayed) -> None:
        """An order: whether its cart may still keep its lines."""
        state: order.OrderState = one.state
        cart_id = self._carts.pop(one.id, None)
        if cart_id is None:
            if state.status in RUNNING and not state.short and not one.busy:
                self._findings.broken(f"Order {one.id} is {state.status}, and cart {state.cart_id} has no slot for it.")
            return
        tells = any((sent.kind, sent.entity) == ("cart", cart_id) for sent in one.open_sends)
        if state.status in RUNNING or tells:
            self._findings.waits("lines that carts keep for their orders", f"cart {cart_id}, order {one.id}")
        elif state.status != "none":
            self._findings.broken(f"Cart {cart_id} still keeps the lines of order {one.id}, which is {state.status}.")

    def end(self, open_checkouts: set[str]) -> None:
        """Slots whose order has no records. `open_checkouts`: orders whose carts' messages are still on their way."""
        for order_id, cart_id in self._carts.items():
            if order_id in open_checkouts:
                self._findings.waits("lines that carts keep for their orders", f"cart {cart_id}, order {order_id}")
            else:
                self._findings.broken(f"Cart {cart_id} keeps the lines of order {order_id}, which never was.")
