"""An order: what it asks of the stock, whether it stands, how it is paid, and where it is.

placed -> reserved -> confirmed -> packed -> shipped -> delivered, or rejected (out of stock) or cancelled. *Reserved*
is the decision that the stock's units are the order's; *confirmed* that it is paid for (or is to be paid in cash at
the door). Between the two only the payment session knows whether money moved: a deadline or a cancel asks it to close
(`closing`) and the answer decides. All money is in minor units of the order's currency, all times UTC milliseconds.
The decisions are in `order_decisions.py`.
"""

from typing import Literal, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from actors.decision import Done, Message, Refused
from actors.pricing import Line, Terms, Totals

CASH_ON_DELIVERY = "cash_on_delivery"

MAX_TRIES = 20
"""Payment methods that a shopper may choose for one order."""

MAX_REFUNDS = 50
"""Of one order, by staff."""

AUTOMATIC_REFUND = "order-ended"
"""Id (or, with a number, the start of the id) of a refund that nobody asked for: the order does not stand."""

Status: TypeAlias = Literal[
    "none", "placed", "reserved", "confirmed", "packed", "shipped", "delivered", "rejected", "cancelled"
]
PaymentStatus: TypeAlias = Literal[
    "none",
    "pending",
    "processing",
    "action_required",
    "failed",
    "paid",
    "refunded",
    "partially_refunded",
    "cash_due",
]


class NextAction(msgspec.Struct, frozen=True):
    """Where the shopper must go to finish a payment. `type` is the gateway's word for it, `redirect` mostly."""

    type: str
    url: str


class Place(Message, tag="Place/1", frozen=True):
    """From a cart: the order, whole. `deadline`: how long the shopper may take to pay, in milliseconds."""

    cart_id: str
    owner: str
    contact_id: str
    lines: tuple[Line, ...]
    terms: Terms
    totals: Totals
    method: str
    payment_reference: str
    deadline: int


class Held(Message, tag="Held/1", frozen=True):
    """From a stock item: the units are held, in `round` (one more each time that they were given back)."""

    sku: str
    round: int = 1


class Short(Message, tag="Short/1", frozen=True):
    """From a stock item: too much is reserved by others; `left` units are not."""

    sku: str
    left: int


class Waiting(Message, tag="Waiting/1", frozen=True):
    """From a stock item: neither yet; Held or Short follows."""

    sku: str


class GiveBack(Message, tag="GiveBack/1", frozen=True):
    """From a stock item: an older order waits for what is held in `round`."""

    sku: str
    round: int = 1


class AskFate(Message, tag="AskFate/1", frozen=True):
    """From a stock item: has the order decided?"""

    sku: str


class PaymentProcessing(Message, tag="PaymentProcessing/1", frozen=True):
    """From the payment session, by way of the log, like the six below."""


class PaymentActionRequired(Message, tag="PaymentActionRequired/1", frozen=True):
    url: str
    kind: str


class PaymentCaptured(Message, tag="PaymentCaptured/1", frozen=True):
    amount: int


class PaymentFailed(Message, tag="PaymentFailed/1", frozen=True):
    code: str


class PaymentClosed(Message, tag="PaymentClosed/1", frozen=True):
    """No money moved and none will."""


class PaymentRefunded(Message, tag="PaymentRefunded/1", frozen=True):
    refund_id: str
    amount: int


class RefundFailed(Message, tag="RefundFailed/1", frozen=True):
    refund_id: str


class Cancel(Message, tag="Cancel/1", frozen=True):
    """`by`: customer or staff. Answers OrderView, as the order is now: while money may be moving it is only `closing`.

    Refused: no_such_order, too_late (packed already).
    """

    by: Literal["customer", "staff"]


class PayAgain(Message, tag="PayAgain/1", frozen=True):
    """Try another method. Answers OrderView.

    Refused: no_such_order, not_awaiting_payment, method_not_allowed, too_many_attempts.
    """

    method: str
    reference: str


class Pack(Message, tag="Pack/1", frozen=True):
    """Answers OrderView. Refused, like Ship and Deliver: no_such_order, wrong_status."""


class Ship(Message, tag="Ship/1", frozen=True):
    carrier: str
    tracking: str


class Deliver(Message, tag="Deliver/1", frozen=True):
    """Cash on delivery is paid by this."""


class Refund(Message, tag="Refund/1", frozen=True):
    """Money back for an order that stands, and units (`lines`: SKU to units) back to the stock. Answers OrderView.

    Without `amount`: what the lines cost, or all that is left if there are none. Refused: no_such_order, wrong_status,
    bad_refund_lines, bad_amount, refund_too_large (about.left), too_many_refunds, bad_refund_id.
    """

    refund_id: str
    amount: int | None = None
    lines: dict[str, int] = {}
    reason: str = ""


class PaymentDeadline(Message, tag="PaymentDeadline/1", frozen=True):
    """Timer `deadline`."""


class OrderOpened(Message, tag="OrderOpened/1", frozen=True):
    """The order exists; what it needs is being asked of the stock."""

    cart_id: str
    owner: str
    contact_id: str
    lines: tuple[Line, ...]
    terms: Terms
    totals: Totals
    method: str
    payment_reference: str
    deadline: int
    at: int


class ItemHeld(Message, tag="ItemHeld/1", frozen=True):
    sku: str


class ItemWaited(Message, tag="ItemWaited/1", frozen=True):
    sku: str


class ItemShort(Message, tag="ItemShort/1", frozen=True):
    """From the first one on the order lets everything go."""

    sku: str
    left: int


class ItemGivenBack(Message, tag="ItemGivenBack/1", frozen=True):
    """The order waits for the item again, in `round`."""

    sku: str
    round: int


class FateOwed(Message, tag="FateOwed/1", frozen=True):
    """A stock item asked before the order had decided: it is told when it has."""

    sku: str


class OrderReserved(Message, tag="OrderReserved/1", frozen=True):
    """Everything is held: the decision."""

    at: int


class OrderPlaced(Message, tag="OrderPlaced/1", frozen=True):
    """The order has its units. `awaits_payment`: a payment session is to be opened; not for cash or for nothing."""

    amount: int
    currency: str
    method: str
    reference: str
    deadline_at: int
    owner: str
    contact_id: str
    awaits_payment: bool


class PaymentChanged(Message, tag="PaymentChanged/1", frozen=True):
    """The shopper's view of the payment. `code`: why it failed."""

    status: PaymentStatus
    at: int
    code: str = ""
    next_action: NextAction | None = None


class MethodChosen(Message, tag="MethodChosen/1", frozen=True):
    """The shopper's `number`th choice after the first."""

    number: int
    method: str
    reference: str
    at: int


class ClosingStarted(Message, tag="ClosingStarted/1", frozen=True):
    """The payment session is asked to close, for `reason`: deadline, customer, staff."""

    reason: str
    at: int


class OrderPaid(Message, tag="OrderPaid/1", frozen=True):
    """`amount` is the order's now, by the gateway or in cash."""

    amount: int
    at: int


class OrderConfirmed(Message, tag="OrderConfirmed/1", frozen=True):
    """The order stands. `paid` is 0 if it is paid at the door or costs nothing."""

    amount: int
    paid: int
    currency: str
    owner: str
    contact_id: str
    at: int


class OrderRejected(Message, tag="OrderRejected/1", frozen=True):
    """Out of stock."""

    skus: tuple[str, ...]
    owner: str
    contact_id: str
    at: int


class OrderCancelled(Message, tag="OrderCancelled/1", frozen=True):
    """`reason`: deadline, customer, staff, payment_closed, wrong_amount."""

    reason: str
    owner: str
    contact_id: str
    at: int


class OrderPacked(Message, tag="OrderPacked/1", frozen=True):
    at: int


class OrderShipped(Message, tag="OrderShipped/1", frozen=True):
    carrier: str
    tracking: str
    owner: str
    contact_id: str
    at: int


class OrderDelivered(Message, tag="OrderDelivered/1", frozen=True):
    at: int


class RefundRequested(Message, tag="RefundRequested/1", frozen=True):
    """Money is to go back; `lines` (SKU to units) are back in stock."""

    refund_id: str
    amount: int
    lines: dict[str, int]
    reason: str
    at: int


class OrderRefunded(Message, tag="OrderRefunded/1", frozen=True):
    """`left`: what is paid and not refunded."""

    refund_id: str
    amount: int
    left: int
    currency: str
    owner: str
    contact_id: str
    at: int


class OrderRefundFailed(Message, tag="OrderRefundFailed/1", frozen=True):
    refund_id: str
    at: int


class Step(msgspec.Struct, frozen=True):
    """A line of the order's history."""

    at: int
    step: str


class Shipment(msgspec.Struct, frozen=True):
    carrier: str
    tracking: str


class RefundRow(msgspec.Struct, frozen=True):
    id: str
    amount: int
    status: Literal["requested", "refunded", "failed"]
    reason: str = ""


class OrderView(Message, tag="OrderView/1", frozen=True):
    """Everything that a reader may need. `closing`: the payment session was asked to close and has not answered."""

    id: str
    status: Status
    payment_status: PaymentStatus
    closing: bool = False
    cart_id: str = ""
    owner: str = ""
    contact_id: str = ""
    lines: tuple[Line, ...] = ()
    terms: Terms | None = None
    totals: Totals | None = None
    currency: str = ""
    method: str = ""
    failure: str = ""
    next_action: NextAction | None = None
    placed_at: int = 0
    deadline_at: int | None = None
    paid: int = 0
    refunded: int = 0
    cancel_reason: str = ""
    history: tuple[Step, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    refunds: tuple[RefundRow, ...] = ()
    out_of_stock: tuple[str, ...] = ()


class Item(msgspec.Struct, frozen=True):
    """One SKU of the order. `stage` is what its stock item last said."""

    quantity: int
    stage: Literal["asked", "waiting", "held", "short"] = "asked"
    round: int = 1
    taken_back: int = 0


class OrderState(msgspec.Struct, frozen=True):
    """`unanswered` and `missing` count items without a first answer and without a hold. `fates`: who is owed a word."""

    id: str
    status: Status = "none"
    cart_id: str = ""
    owner: str = ""
    contact_id: str = ""
    lines: tuple[Line, ...] = ()
    terms: Terms | None = None
    totals: Totals | None = None
    method: str = ""
    reference: str = ""
    deadline: int = 0
    opened_at: int = 0
    deadline_at: int | None = None
    items: dict[str, Item] = {}
    unanswered: int = 0
    missing: int = 0
    fates: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    closing: str = ""
    cancel_reason: str = ""
    payment_status: PaymentStatus = "none"
    failure: str = ""
    next_action: NextAction | None = None
    tries: int = 0
    paid: int = 0
    refunds: dict[str, RefundRow] = {}
    shipments: tuple[Shipment, ...] = ()
    history: tuple[Step, ...] = ()

    @property
    def awaits_payment(self) -> bool:
        """The money is to be captured before the order is confirmed."""
        return self.method != CASH_ON_DELIVERY and self.total > 0

    @property
    def total(self) -> int:
        return self.totals.total if self.totals is not None else 0

    @property
    def currency(self) -> str:
        return self.terms.currency if self.terms is not None else ""

    @property
    def refunded(self) -> int:
        """What has gone back."""
        return sum(row.amount for row in self.refunds.values() if row.status == "refunded")

    @property
    def refundable(self) -> int:
        """What was paid, less what has gone back or is on its way."""
        return self.paid - sum(row.amount for row in self.refunds.values() if row.status != "failed")


COMMANDS: TypeAlias = (
    Place
    | Held
    | Short
    | Waiting
    | GiveBack
    | AskFate
    | PaymentProcessing
    | PaymentActionRequired
    | PaymentCaptured
    | PaymentFailed
    | PaymentClosed
    | PaymentRefunded
    | RefundFailed
    | Cancel
    | PayAgain
    | Pack
    | Ship
    | Deliver
    | Refund
    | PaymentDeadline
)
EVENTS: TypeAlias = (
    OrderOpened
    | ItemHeld
    | ItemWaited
    | ItemShort
    | ItemGivenBack
    | FateOwed
    | OrderReserved
    | OrderPlaced
    | PaymentChanged
    | MethodChosen
    | ClosingStarted
    | OrderPaid
    | OrderConfirmed
    | OrderRejected
    | OrderCancelled
    | OrderPacked
    | OrderShipped
    | OrderDelivered
    | RefundRequested
    | OrderRefunded
    | OrderRefundFailed
)
REPLIES: TypeAlias = OrderView | Done | Refused
EFFECTS = None
PUBLIC: tuple[type[Message], ...] = (
    OrderOpened,
    OrderPlaced,
    PaymentChanged,
    OrderPaid,
    OrderConfirmed,
    OrderRejected,
    OrderCancelled,
    OrderPacked,
    OrderShipped,
    OrderDelivered,
    RefundRequested,
    OrderRefunded,
    OrderRefundFailed,
)
"""Events that other services may read."""


def initial(entity_id: str) -> OrderState:
    return OrderState(id=entity_id)


def view(state: OrderState) -> OrderView:
    return OrderView(
        id=state.id,
        status=state.status,
        payment_status=state.payment_status,
        closing=bool(state.closing),
        cart_id=state.cart_id,
        owner=state.owner,
        contact_id=state.contact_id,
        lines=state.lines,
        terms=state.terms,
        totals=state.totals,
        currency=state.currency,
        method=state.method,
        failure=state.failure,
        next_action=state.next_action,
        placed_at=state.opened_at,
        deadline_at=state.deadline_at,
        paid=state.paid,
        refunded=state.refunded,
        cancel_reason=state.cancel_reason,
        history=state.history,
        shipments=state.shipments,
        refunds=tuple(state.refunds.values()),
        out_of_stock=state.short if state.status == "rejected" else (),
    )


def settled(state: OrderState) -> bool:
    """The order has ended, stands, or needs the shopper."""
    if state.status in ("none", "placed"):
        return False
    if state.status != "reserved":
        return True
    return not state.closing and (state.next_action is not None or state.payment_status == "failed")


def apply(state: OrderState, event: EVENTS) -> OrderState:
    match event:
        case OrderOpened():
            return _opened(state, event)
        case ItemHeld() | ItemWaited() | ItemShort() | ItemGivenBack():
            return _apply_to_item(state, event)
        case FateOwed(sku):
            return replace(state, fates=(*state.fates, sku))
        case (
            PaymentChanged()
            | MethodChosen()
            | ClosingStarted()
            | OrderPaid()
            | RefundRequested()
            | OrderRefunded()
            | OrderRefundFailed()
        ):
            return _apply_to_payment(state, event)
        case OrderPlaced():
            return state
        case OrderReserved(at):
            if state.awaits_payment:
                payment: PaymentStatus = "pending"
            else:
                payment = "cash_due" if state.total else "none"
            placed = replace(state, deadline_at=at + state.deadline, payment_status=payment, fates=())
            return _step(placed, at, "reserved")
        case OrderConfirmed(at=at):
            return _step(replace(state, closing="", next_action=None), at, "confirmed")
        case OrderRejected(at=at):
            return _step(state, at, "rejected")
        case OrderCancelled(reason, at=at):
            payment = state.payment_status if state.paid else "none"
            ended = replace(state, cancel_reason=reason, closing="", next_action=None, payment_status=payment, fates=())
            return _step(ended, at, "cancelled")
        case OrderPacked(at):
            return _step(state, at, "packed")
        case OrderShipped(carrier, tracking, at=at):
            return _step(replace(state, shipments=(*state.shipments, Shipment(carrier, tracking))), at, "shipped")
        case OrderDelivered(at):
            return _step(state, at, "delivered")
    assert_never(event)


def _step(state: OrderState, at: int, status: Status) -> OrderState:
    return replace(state, status=status, history=(*state.history, Step(at, status)))


def _opened(state: OrderState, event: OrderOpened) -> OrderState:
    units: dict[str, int] = {}
    for line in event.lines:
        units[line.sku] = units.get(line.sku, 0) + line.quantity
    opened = replace(
        state,
        cart_id=event.cart_id,
        owner=event.owner,
        contact_id=event.contact_id,
        lines=event.lines,
        terms=event.terms,
        totals=event.totals,
        method=event.method,
        reference=event.payment_reference,
        deadline=event.deadline,
        opened_at=event.at,
        items={sku: Item(quantity) for sku, quantity in units.items()},
        unanswered=len(units),
        missing=len(units),
    )
    return _step(opened, event.at, "placed")


def _apply_to_item(state: OrderState, event: ItemHeld | ItemWaited | ItemShort | ItemGivenBack) -> OrderState:
    item = state.items[event.sku]
    unanswered = state.unanswered - (item.stage == "asked")
    missing, short = state.missing, state.short
    match event:
        case ItemHeld():
            item = replace(item, stage="held")
            missing -= 1
        case ItemWaited():
            item = replace(item, stage="waiting")
        case ItemShort(sku):
            item = replace(item, stage="short")
            short = (*short, sku)
        case ItemGivenBack(round=round_):
            item = replace(item, stage="waiting", round=round_)
            missing += 1
    items = {**state.items, event.sku: item}
    return replace(state, items=items, unanswered=unanswered, missing=missing, short=short)


PaymentEvent: TypeAlias = (
    PaymentChanged | MethodChosen | ClosingStarted | OrderPaid | RefundRequested | OrderRefunded | OrderRefundFailed
)


def _apply_to_payment(state: OrderState, event: PaymentEvent) -> OrderState:
    history = state.history
    match event:
        case PaymentChanged(status, at, code, next_action):
            history = (*history, Step(at, f"payment_{status}"))
            return replace(state, payment_status=status, failure=code, next_action=next_action, history=history)
        case MethodChosen(number, method, reference, at):
            history = (*history, Step(at, "method_chosen"))
            changed = replace(state, tries=number, method=method, reference=reference, history=history)
            return replace(changed, payment_status="pending", failure="", next_action=None)
        case ClosingStarted(reason, at):
            return replace(state, closing=reason, next_action=None, history=(*history, Step(at, "closing")))
        case OrderPaid(amount, at):
            history = (*history, Step(at, "paid"))
            paid = replace(state, paid=state.paid + amount, payment_status="paid", history=history)
            return replace(paid, failure="", next_action=None)
        case RefundRequested(refund_id, amount, lines, reason, at):
            items = dict(state.items)
            for sku, units in lines.items():
                items[sku] = replace(items[sku], taken_back=items[sku].taken_back + units)
            refunds = {**state.refunds, refund_id: RefundRow(refund_id, amount, "requested", reason)}
            return replace(state, items=items, refunds=refunds, history=(*history, Step(at, "refund_requested")))
        case OrderRefunded(refund_id, amount, at=at):
            reason = state.refunds[refund_id].reason if refund_id in state.refunds else ""
            refunds = {**state.refunds, refund_id: RefundRow(refund_id, amount, "refunded", reason)}
            back = replace(state, refunds=refunds, history=(*history, Step(at, "refunded")))
            whole = back.refunded >= back.paid
            return replace(back, payment_status="refunded" if whole else "partially_refunded")
        case OrderRefundFailed(refund_id, at):
            refunds = {**state.refunds, refund_id: replace(state.refunds[refund_id], status="failed")}
            return replace(state, refunds=refunds, history=(*history, Step(at, "refund_failed")))
    assert_never(event)
