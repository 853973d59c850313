"""Stock: units add up, and what orders bought, gave back and hold is what the stock items say."""

from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from actors import order, stock
from actors.kinds import STOCK
from pipelines import show_availability
from serve.audit.findings import Findings
from serve.audit.flows import Flows
from serve.audit.replayed import Replayed
from serve.audit.sources import Beside, stream
from serve.catalog.tables import availability

RUNNING = ("placed", "reserved")
STANDS = ("confirmed", "packed", "shipped", "delivered")


class Bought:
    """What orders did with each SKU, as far as the stock has been told; filled order by order."""

    def __init__(self) -> None:
        self.sold: Counter[str] = Counter()
        self.returned: Counter[str] = Counter()
        self.reserved: dict[str, dict[str, int]] = {}
        self.may_claim: set[tuple[str, str]] = set()

    def add(self, one: Replayed) -> None:
        """Takes in an order. What its messages have not told the stock yet does not count."""
        state: order.OrderState = one.state
        untold = [(sent.entity, _message(sent.message)) for sent in one.open_sends if sent.kind == "stock"]
        running = state.status in RUNNING
        for sku, _ in untold:
            self.may_claim.add((sku, one.id))
        for sku, item in state.items.items():
            if running:
                self.may_claim.add((sku, one.id))
            if state.status == "reserved" and not any(other == sku for other, _ in untold):
                self.reserved.setdefault(sku, {})[one.id] = item.quantity
            if any(step.step == "confirmed" for step in state.history):
                self.sold[sku] += item.quantity
                self.returned[sku] += item.quantity - item.discarded if state.status == "cancelled" else item.taken_back
        for sku, message in untold:
            if isinstance(message, stock.Sell) and sku in state.items:
                self.sold[sku] -= state.items[sku].quantity
            elif isinstance(message, stock.TakeBack):
                self.returned[sku] -= message.quantity


def _message(encoded: bytes) -> Any:
    try:
        return STOCK.command(encoded)
    except msgspec.MsgspecError:
        return None


def check_stock(one: Replayed, bought: Bought, findings: Findings) -> None:
    """One stock item against itself and against the orders."""
    state: stock.StockState = one.state
    sku = one.id
    if state.on_hand + state.sold - state.returned != state.received + state.corrected:
        findings.broken(
            f"Stock {sku} does not add up: {state.on_hand} on hand + {state.sold} sold - {state.returned} returned "
            f"is not {state.received} received + {state.corrected} corrected."
        )
    if state.on_hand < 0 or state.available < 0:
        findings.broken(f"Stock {sku} was sold twice: {state.on_hand} on hand, {state.available} available.")
    if state.sold != bought.sold[sku]:
        findings.broken(f"Stock {sku} says that {state.sold} units were sold; orders bought {bought.sold[sku]}.")
    if state.returned != bought.returned[sku]:
        findings.broken(
            f"Stock {sku} says that {state.returned} units came back; orders gave back {bought.returned[sku]}."
        )
    _check_claims(sku, state, bought, findings)


def check_missing(seen: set[str], bought: Bought, findings: Findings) -> None:
    """SKUs that orders bought and that have no stock item at all."""
    for sku in sorted((set(+bought.sold) | set(bought.reserved)) - seen):
        findings.broken(f"Orders bought {sku}, and there is no stock item of it.")


def _check_claims(sku: str, state: stock.StockState, bought: Bought, findings: Findings) -> None:
    held = sum(claim.quantity for claim in state.holds.values())
    reserved = sum(claim.quantity for claim in state.reservations.values())
    if (held, reserved) != (state.held, state.reserved):
        findings.broken(
            f"Stock {sku} counts {state.held} held and {state.reserved} reserved units; its orders have {held} and "
            f"{reserved}."
        )
    claims = {**state.holds, **state.waiting, **state.reservations}
    for order_id, claim in claims.items():
        if (sku, order_id) not in bought.may_claim:
            findings.broken(f"Stock {sku} keeps {claim.quantity} units for order {order_id}, which does not run.")
        else:
            findings.waits("units that are held, reserved or waited for", f"{claim.quantity} of {sku} for {order_id}")
    for order_id, quantity in bought.reserved.get(sku, {}).items():
        kept = state.holds.get(order_id) or state.reservations.get(order_id)
        if kept is None or kept.quantity != quantity:
            findings.broken(
                f"Order {order_id} has reserved {quantity} of {sku}; the stock keeps "
                f"{kept.quantity if kept else 'none'} for it."
            )


class Availability:
    """The catalogue's numbers beside the stock items', in order of SKU."""

    def __init__(self, db: Connection | None, flows: Flows, findings: Findings) -> None:
        self._flows = flows
        self._findings = findings
        rows = stream(db, select(availability).order_by(availability.c.sku)) if db is not None else iter(())
        self._rows: Beside[Any] = Beside(rows, lambda row: str(row.sku), self._stray)

    def check(self, one: Replayed) -> None:
        """That the catalogue shows what the stock item last told, if the flow has handled it."""
        row = next(iter(self._rows.at(one.id)), None)
        told = one.available
        if told is None or self._flows.pending(show_availability.NAME, told):
            return
        shown = None if row is None else row.available
        if shown != told.event.available and self._flows.handled(show_availability.NAME, told):
            self._findings.broken(
                f"The catalogue shows {shown if row is not None else 'nothing'} of {one.id} as available; "
                f"there are {told.event.available}."
            )

    def end(self) -> None:
        self._rows.end()

    def _stray(self, row: Any) -> None:
        self._findings.broken(f"The catalogue shows {row.available} of {row.sku} as available; it has no stock item.")
