"""Orders as readers get them."""

from msgspec import UNSET, UnsetType

from actors.order import OrderView, RefundRow, Shipment, Step
from actors.pricing import Line, Terms, Totals
from serve.orders.schemas import Contact, HistoryStep, OrderBody, OrderLine, RefundBody, ShipmentBody

_WHO = {
    "placed": "customer",
    "method_chosen": "customer",
    "packed": "staff",
    "shipment_added": "staff",
    "shipped": "staff",
    "delivered": "staff",
    "refund_requested": "staff",
    "reserved": "stock",
    "rejected": "stock",
    "paid": "payment",
    "refunded": "payment",
    "refund_failed": "payment",
}
"""Who brings a step about where the order does not say; all others are the shop's doing, or the payment's."""

_REASONS = {"payment_closed": "payment", "deadline": "shop", "wrong_amount": "shop"}


def order_body(
    view: OrderView,
    version: int,
    *,
    owner: str | UnsetType = UNSET,
    contact: Contact | UnsetType | None = UNSET,
) -> OrderBody:
    """With `owner`, for the staff."""
    return OrderBody(
        id=view.id,
        version=version,
        status=view.status,
        payment_status=view.payment_status,
        closing=view.closing,
        currency=view.currency,
        lines=order_lines(view.lines),
        totals=view.totals or Totals(0, 0, 0, 0),
        shipping_method=view.terms.shipping.method if view.terms is not None else "",
        payment_method=view.method,
        next_action=view.next_action,
        payment_failure=view.failure or None,
        placed_at=view.placed_at,
        deadline_at=view.deadline_at,
        history=history_of(view),
        shipments=shipments_of(view),
        partially_shipped=view.partially_shipped,
        refunds=[_refund(refund, owner is not UNSET) for refund in view.refunds],
        out_of_stock=list(view.out_of_stock),
        owner=owner,
        contact=contact,
    )


def pending_body(order_id: str, terms: Terms) -> OrderBody:
    """An order that is on its way from the cart."""
    return order_body(OrderView(order_id, "placed", "none", terms=terms, currency=terms.currency), 0)


def order_lines(lines: tuple[Line, ...]) -> list[OrderLine]:
    return [OrderLine(line.sku, line.name, line.quantity, line.unit_price, line.total) for line in lines]


def history_of(view: OrderView) -> list[HistoryStep]:
    return [history_step(step) for step in view.history]


def history_step(step: Step) -> HistoryStep:
    known = _WHO.get(step.step, "payment" if step.step.startswith("payment_") else "shop")
    who = _REASONS.get(step.who, step.who) or known
    return HistoryStep(step.at, step.step, who, f"order.step.{step.step}", step.about)


def shipments_of(view: OrderView) -> list[ShipmentBody]:
    return [_shipment(number, shipment, view) for number, shipment in enumerate(view.shipments, 1)]


def _shipment(number: int, shipment: Shipment, view: OrderView) -> ShipmentBody:
    lines = shipment.lines
    if not shipment.id:  # from before there could be several
        lines = {}
        for line in view.lines:
            lines[line.sku] = lines.get(line.sku, 0) + line.quantity
    return ShipmentBody(
        id=shipment.id or str(number),
        carrier=shipment.carrier,
        tracking=shipment.tracking,
        url=shipment.url or None,
        expected_on=shipment.expected_on or None,
        status=shipment.status,
        lines=lines,
        steps=list(shipment.steps),
    )


def _refund(row: RefundRow, for_staff: bool) -> RefundBody:
    return RefundBody(row.id, row.amount, row.status, row.reason if for_staff else UNSET)
