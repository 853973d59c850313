"""How an order ends or goes on, and what everyone concerned is told of it."""

from actors import cart, payment, stock
from actors.decision import Context
from actors.draft import Draft
from actors.order import (
    AUTOMATIC_REFUND,
    EVENTS,
    ClosingStarted,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderReserved,
    OrderState,
    PaymentDeadline,
    RefundRequested,
    apply,
)


class OrderDraft(Draft[OrderState, EVENTS]):
    def __init__(self, state: OrderState, context: Context) -> None:
        super().__init__(state, apply)
        self.now = context.now


def to_all_stock(draft: OrderDraft, message: stock.Release | stock.Sell) -> None:
    """An item that is short knows nothing of the order any more."""
    for sku, item in draft.state.items.items():
        if item.stage != "short":
            draft.send("stock", sku, message)


def reject(draft: OrderDraft) -> None:
    state = draft.state
    draft.add(OrderRejected(tuple(sorted(state.short)), state.owner, state.contact_id, draft.now))
    draft.send("cart", state.cart_id, cart.Returned(state.id))


def reserve(draft: OrderDraft) -> None:
    owed = draft.state.fates
    draft.add(OrderReserved(draft.now))
    state = draft.state
    assert state.deadline_at is not None
    draft.add(
        OrderPlaced(
            amount=state.total,
            currency=state.currency,
            method=state.method,
            reference=state.reference,
            deadline_at=state.deadline_at,
            owner=state.owner,
            contact_id=state.contact_id,
            awaits_payment=state.awaits_payment,
            capture_method=state.capture_method,
        )
    )
    if not state.awaits_payment:
        confirm(draft)
        return
    draft.set_timer("deadline", state.deadline_at, PaymentDeadline())
    for sku in owed:
        draft.send("stock", sku, stock.Reserve(state.id))


def confirm(draft: OrderDraft) -> None:
    state = draft.state
    draft.add(OrderConfirmed(state.total, state.paid, state.currency, state.owner, state.contact_id, draft.now))
    to_all_stock(draft, stock.Sell(state.id))
    draft.send("cart", state.cart_id, cart.Confirmed(state.id))
    draft.clear_timer("deadline")


def cancel(draft: OrderDraft, reason: str) -> None:
    """Before it is confirmed: everything is let go, the lines go back to the cart, and so does money that came."""
    state = draft.state
    draft.add(OrderCancelled(reason, state.owner, state.contact_id, draft.now))
    if not state.short:
        to_all_stock(draft, stock.Release(state.id))
    draft.send("cart", state.cart_id, cart.Returned(state.id))
    if state.status == "reserved":
        draft.clear_timer("deadline")
    give_all_back(draft, {})


def call_off(draft: OrderDraft, reason: str) -> None:
    """After it was confirmed: what was sold comes back, and so does money that came."""
    state = draft.state
    draft.add(OrderCancelled(reason, state.owner, state.contact_id, draft.now))
    units = {sku: item.kept for sku, item in state.items.items()}
    give_all_back(draft, {sku: left for sku, left in units.items() if left})


def give_all_back(draft: OrderDraft, lines: dict[str, int]) -> None:
    """Of an order that does not stand: what was paid and is not on its way back yet."""
    state = draft.state
    for sku, units in lines.items():
        draft.send("stock", sku, stock.TakeBack(state.id, units))
    amount = state.refundable
    if amount <= 0:
        return
    earlier = sum(refund_id.startswith(AUTOMATIC_REFUND) for refund_id in state.refunds)
    refund_id = f"{AUTOMATIC_REFUND}-{earlier + 1}" if earlier else AUTOMATIC_REFUND
    draft.add(RefundRequested(refund_id, amount, lines, state.cancel_reason, draft.now))
    draft.send("payment", state.id, payment.Refund(refund_id, amount, must=True))


def close(draft: OrderDraft, reason: str) -> None:
    if not draft.state.closing:
        draft.send("payment", draft.state.id, payment.Close(reason))
    draft.add(ClosingStarted(reason, draft.now))
