"""The kinds of entity that the shop has: each one's rules and stored types, as the runtime wants them."""

from actors import cart, cart_decisions, order, order_decisions, payment, payment_decisions, stock, stock_decisions
from actors.runtime.kind import Kind

CART = Kind(
    name="cart",
    state=cart.CartState,
    commands=cart.COMMANDS,
    events=cart.EVENTS,
    replies=cart.REPLIES,
    initial=cart.initial,
    decide=cart_decisions.decide,
    apply=cart.apply,
    view=cart.view,
    settled=cart.settled,
    follows=cart.follows,
)

ORDER = Kind(
    name="order",
    state=order.OrderState,
    commands=order.COMMANDS,
    events=order.EVENTS,
    replies=order.REPLIES,
    initial=order.initial,
    decide=order_decisions.decide,
    apply=order.apply,
    view=order.view,
    settled=order.settled,
)

PAYMENT = Kind(
    name="payment",
    state=payment.PaymentState,
    commands=payment.COMMANDS,
    events=payment.EVENTS,
    replies=payment.REPLIES,
    effects=payment.EFFECTS,
    initial=payment.initial,
    decide=payment_decisions.decide,
    apply=payment.apply,
    view=payment.view,
    settled=payment.settled,
)

STOCK = Kind(
    name="stock",
    state=stock.StockState,
    commands=stock.COMMANDS,
    events=stock.EVENTS,
    replies=stock.REPLIES,
    initial=stock.initial,
    decide=stock_decisions.decide,
    apply=stock.apply,
    view=stock.view,
    settled=stock.settled,
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in (CART, ORDER, PAYMENT, STOCK)}
"""By name. A name is stored in every record and never changes."""
