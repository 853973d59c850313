"""What must be true of the shop once all is quiet (section 3 of the design), held against the gateway's truth."""

from collections.abc import Iterator

from actors.cart import CartState
from actors.order import CASH_ON_DELIVERY, OrderState
from actors.payment import PaymentState
from actors.stock import StockState
from tests.simulation.checks import Entities, state_at
from tests.simulation.gateway import Intent
from tests.simulation.shoppers import Shop

STANDS = ("confirmed", "packed", "shipped", "delivered")


def check_shop(entities: Entities, shop: Shop, intents: dict[str, Intent]) -> Iterator[str]:
    states = {key: state_at(*key, entities) for key in entities}
    orders = {name: state for (kind, name), state in states.items() if kind == "order"}
    payments = {name: state for (kind, name), state in states.items() if kind == "payment"}
    for order_id in shop.checked_out:
        if order_id not in orders:
            yield f"order {order_id} was acknowledged and is not there"
    for (kind, name), state in states.items():
        if kind == "stock":
            yield from _check_stock(name, state, orders)
        elif kind == "cart":
            yield from _check_cart(name, state, orders)
    for name, order in orders.items():
        yield from _check_order(name, order, payments.get(name), intents.get(name))
    for session in intents:
        if session not in orders:
            yield f"the gateway has an intent for {session}, which is no order"


def _check_stock(sku: str, item: StockState, orders: dict[str, OrderState]) -> Iterator[str]:
    if item.on_hand + item.sold - item.returned != item.received + item.corrected:
        yield f"stock {sku} does not add up: {item}"
    if item.on_hand < 0 or item.available < 0:
        yield f"stock {sku} was sold twice: {item}"
    if item.holds or item.waiting or item.reservations or item.held or item.reserved:
        yield f"stock {sku} still holds units: {item}"
    bought = [order for order in orders.values() if sku in order.items and _was_confirmed(order)]
    if item.sold != sum(order.items[sku].quantity for order in bought):
        yield f"stock {sku} sold {item.sold}, orders bought {sum(o.items[sku].quantity for o in bought)}"
    if item.returned != sum(order.items[sku].taken_back for order in bought if order.status in STANDS) + sum(
        order.items[sku].quantity - order.items[sku].discarded for order in bought if order.status == "cancelled"
    ):
        yield f"stock {sku} took {item.returned} back, which is not what orders gave back"


def _was_confirmed(order: OrderState) -> bool:
    return any(step.step == "confirmed" for step in order.history)


def _check_cart(name: str, cart: CartState, orders: dict[str, OrderState]) -> Iterator[str]:
    if cart.slots:
        yield f"cart {name} still has slots for {list(cart.slots)}"
    if cart.merged_into is not None and cart.lines:
        yield f"cart {name} was merged and has lines"


def _check_order(name: str, order: OrderState, session: PaymentState | None, intent: Intent | None) -> Iterator[str]:
    if order.status not in (*STANDS, "rejected", "cancelled"):
        yield f"order {name} is still {order.status} ({order.payment_status}, closing: {order.closing!r})"
        return
    captures = list(intent.captures) if intent is not None else []
    net = intent.net if intent is not None else 0
    if intent is not None and intent.status in ("action", "processing"):
        yield f"order {name} has ended, its intent is still {intent.status}"
    set_aside = intent is not None and intent.status == "authorised"
    if set_aside and (order.status, order.payment_status) != ("confirmed", "authorised"):
        yield f"order {name} is {order.status} ({order.payment_status}) and its money is still set aside"
    if order.status == "confirmed" and order.payment_status == "authorised":
        told = session is not None and session.attempt_state == "authorised"
        # The bank may have let go of it with nobody told: that comes out when the order is packed.
        if captures or not told or (not set_aside and intent is not None and intent.status != "canceled"):
            yield f"order {name} counts on money that is not set aside: {intent}"
    elif order.status in STANDS and order.awaits_payment:
        if captures != [order.total]:
            yield f"order {name} over {order.total} stands with captures {captures}"
        if net != order.paid - order.refunded:
            yield f"order {name}: paid {order.paid}, refunded {order.refunded}, the gateway has {net}"
    elif order.status in STANDS:
        if captures:
            yield f"order {name} is not to be paid at the gateway and was: {captures}"
        cash = session is not None and session.cash
        due = order.method == CASH_ON_DELIVERY and order.status == "delivered" and order.total > 0
        if cash != due:
            yield f"order {name} ({order.status}): cash recorded: {cash}"
    elif net:
        yield f"order {name} is {order.status} and {net} of its money is gone"
    if session is not None and not session.cash and session.captured != sum(captures):
        yield f"session {name} captured {session.captured}, the gateway {captures}"
    if any(row.status == "requested" for row in order.refunds.values()):
        yield f"order {name} waits for a refund: {order.refunds}"
