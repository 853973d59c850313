"""An order: what it asks of the stock, whether it stands, how it is paid, and where it is.

placed -> reserved -> confirmed -> packed -> shipped -> delivered, or rejected (out of stock) or cancelled. *Reserved*
is the decision that the stock's units are the order's; *confirmed* that it is paid for, or that its money is set aside
and captured once it is packed (or is to be paid in cash at the door). Between the two only the payment session knows
whether money moved: a deadline or a cancel asks it to close (`closing`) and the answer decides. All money is in minor
units of the order's currency, all times UTC milliseconds. The decisions are in `order_decisions.py`.
"""

from typing import Literal, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from actors.decision import Done, Message, Refused
from actors.order_commands import CASH_ON_DELIVERY as CASH_ON_DELIVERY
from actors.order_commands import MAX_REFUNDS as MAX_REFUNDS
from actors.order_commands import MAX_TRIES as MAX_TRIES
from actors.order_commands import AddShipment as AddShipment
from actors.order_commands import Adopt as Adopt
from actors.order_commands import AskFate as AskFate
from actors.order_commands import Cancel as Cancel
from actors.order_commands import CaptureMethod as CaptureMethod
from actors.order_commands import Deliver as Deliver
from actors.order_commands import GiveBack as GiveBack
from actors.order_commands import Held as Held
from actors.order_commands import NoteShipment as NoteShipment
from actors.order_commands import Pack as Pack
from actors.order_commands import PayAgain as PayAgain
from actors.order_commands import PaymentActionRequired as PaymentActionRequired
from actors.order_commands import PaymentAuthorised as PaymentAuthorised
from actors.order_commands import PaymentCaptured as PaymentCaptured
from actors.order_commands import PaymentClosed as PaymentClosed
from actors.order_commands import PaymentDeadline as PaymentDeadline
from actors.order_commands import PaymentFailed as PaymentFailed
from actors.order_commands import PaymentProcessing as PaymentProcessing
from actors.order_commands import PaymentRefunded as PaymentRefunded
from actors.order_commands import Place as Place
from actors.order_commands import Refund as Refund
from actors.order_commands import RefundFailed as RefundFailed
from actors.order_commands import Ship as Ship
from actors.order_commands import Short as Short
from actors.order_commands import Waiting as Waiting
from actors.order_events import ClosingStarted as ClosingStarted
from actors.order_events import FateOwed as FateOwed
from actors.order_events import ItemGivenBack as ItemGivenBack
from actors.order_events import ItemHeld as ItemHeld
from actors.order_events import ItemShort as ItemShort
from actors.order_events import ItemWaited as ItemWaited
from actors.order_events import MethodChosen as MethodChosen
from actors.order_events import NextAction as NextAction
from actors.order_events import OrderAdopted as OrderAdopted
from actors.order_events import OrderCancelled as OrderCancelled
from actors.order_events import OrderConfirmed as OrderConfirmed
from actors.order_events import OrderDelivered as OrderDelivered
from actors.order_events import OrderOpened as OrderOpened
from actors.order_events import OrderPacked as OrderPacked
from actors.order_events import OrderPaid as OrderPaid
from actors.order_events import OrderPlaced as OrderPlaced
from actors.order_events import OrderRefunded as OrderRefunded
from actors.order_events import OrderRefundFailed as OrderRefundFailed
from actors.order_events import OrderRejected as OrderRejected
from actors.order_events import OrderReserved as OrderReserved
from actors.order_events import OrderShipped as OrderShipped
from actors.order_events import PaymentChanged as PaymentChanged
from actors.order_events import PaymentStatus as PaymentStatus
from actors.order_events import RefundRequested as RefundRequested
from actors.order_events import ShipmentAdded as ShipmentAdded
from actors.order_events import ShipmentMoved as ShipmentMoved
from actors.order_shipments import Shipment as Shipment
from actors.order_shipments import ShipmentStep as ShipmentStep
from actors.order_shipments import delivered_at, place_of, units_left, with_step
from actors.pricing import Line, Terms, Totals

AUTOMATIC_REFUND = "order-ended"
"""Id (or, with a number, the start of the id) of a refund that nobody asked for: the order does not stand."""

Status: TypeAlias = Literal[
    "none", "placed", "reserved", "confirmed", "packed", "shipped", "delivered", "rejected", "cancelled"
]


class Step(msgspec.Struct, frozen=True):
    """A line of the order's history. `who` brought it about, where the step does not say; `about`: which shipment."""

    at: int
    step: str
    who: str = ""
    about: str = ""


class RefundRow(msgspec.Struct, frozen=True):
    id: str
    amount: int
    status: Literal["requested", "refunded", "failed"]
    reason: str = ""


class OrderView(Message, tag="OrderView/1", frozen=True):
    """Everything that a reader may need. `closing`: the payment session was asked to close and has not answered.

    `guest`: whose it was before an account adopted it; who has the guest's token may still follow it.
    `partially_shipped`: some of it has left; the status is still packed.
    """

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
    guest: str = ""
    partially_shipped: bool = False


class Item(msgspec.Struct, frozen=True):
    """One SKU of the order. `stage` is what its stock item last said. `discarded`: refunded, and not back in stock.

    `refunded_shipped`: of all that was refunded, units that had left; they stay shipped.
    """

    quantity: int
    stage: Literal["asked", "waiting", "held", "short"] = "asked"
    round: int = 1
    taken_back: int = 0
    discarded: int = 0
    refunded_shipped: int = 0

    @property
    def kept(self) -> int:
        """Units that were not refunded."""
        return self.quantity - self.taken_back - self.discarded

    @property
    def to_leave(self) -> int:
        """Units that have left or will: all but those that were refunded before."""
        return self.kept + self.refunded_shipped


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
    guest: str = ""
    capture_method: CaptureMethod = "automatic"

    @property
    def awaits_payment(self) -> bool:
        """The money is to be captured, or set aside, before the order is confirmed."""
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

    @property
    def to_ship(self) -> dict[str, int]:
        """Units that have yet to leave, by SKU."""
        if self.status in ("shipped", "delivered"):
            return {}
        return units_left({sku: item.to_leave for sku, item in self.items.items()}, self.shipments)


COMMANDS: TypeAlias = (
    Place
    | Held
    | Short
    | Waiting
    | GiveBack
    | AskFate
    | PaymentProcessing
    | PaymentActionRequired
    | PaymentAuthorised
    | PaymentCaptured
    | PaymentFailed
    | PaymentClosed
    | PaymentRefunded
    | RefundFailed
    | Cancel
    | PayAgain
    | Pack
    | Ship
    | AddShipment
    | NoteShipment
    | Deliver
    | Refund
    | Adopt
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
    | ShipmentAdded
    | ShipmentMoved
    | OrderShipped
    | OrderDelivered
    | RefundRequested
    | OrderRefunded
    | OrderRefundFailed
    | OrderAdopted
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
    ShipmentAdded,
    ShipmentMoved,
    OrderShipped,
    OrderDelivered,
    RefundRequested,
    OrderRefunded,
    OrderRefundFailed,
    OrderAdopted,
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
        guest=state.guest,
        partially_shipped=state.status == "packed" and bool(state.shipments),
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
            return _step(ended, at, "cancelled", reason)
        case OrderPacked(at):
            return _step(state, at, "packed")
        case ShipmentAdded() | ShipmentMoved() | OrderShipped() | OrderDelivered():
            return _apply_to_shipments(state, event)
        case OrderAdopted(owner, guest):
            return replace(state, owner=owner, guest=guest)
    assert_never(event)


def _step(state: OrderState, at: int, status: Status, who: str = "") -> OrderState:
    return replace(state, status=status, history=(*state.history, Step(at, status, who)))


def _apply_to_shipments(
    state: OrderState, event: ShipmentAdded | ShipmentMoved | OrderShipped | OrderDelivered
) -> OrderState:
    match event:
        case ShipmentAdded(shipment_id, carrier, tracking, lines, at=at):
            left = (ShipmentStep("handed_over", at),)
            made = Shipment(carrier, tracking, shipment_id, event.url, event.expected_on, lines, left)
            history = (*state.history, Step(at, "shipment_added", about=shipment_id))
            return replace(state, shipments=(*state.shipments, made), history=history)
        case ShipmentMoved(shipment_id, step, at, noted_at, code, by):
            place = place_of(state.shipments, shipment_id)
            assert place is not None, "only shipments that are there move"
            shipments = list(state.shipments)
            shipments[place] = with_step(shipments[place], ShipmentStep(step, at, code))
            history = (*state.history, Step(noted_at, f"shipment_{step}", by, shipment_id))
            return replace(state, shipments=tuple(shipments), history=history)
        case OrderShipped(carrier, tracking, at=at, shipment_id=""):
            left = (ShipmentStep("handed_over", at),)
            whole = Shipment(carrier, tracking, str(len(state.shipments) + 1), lines=state.to_ship, steps=left)
            return _step(replace(state, shipments=(*state.shipments, whole)), at, "shipped")
        case OrderShipped(at=at):
            return _step(state, at, "shipped")
        case OrderDelivered(at, by):
            arrived = tuple(delivered_at(shipment, at) for shipment in state.shipments)
            return _step(replace(state, shipments=arrived), at, "delivered", by)
    assert_never(event)


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
        capture_method=event.capture_method,
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
        case RefundRequested(refund_id, amount, lines, reason, at, discarded, shipped):
            items = dict(state.items)
            for sku, units in lines.items():
                items[sku] = replace(items[sku], taken_back=items[sku].taken_back + units)
            for sku, units in discarded.items():
                items[sku] = replace(items[sku], discarded=items[sku].discarded + units)
            for sku, units in shipped.items():
                items[sku] = replace(items[sku], refunded_shipped=items[sku].refunded_shipped + units)
            refunds = {**state.refunds, refund_id: RefundRow(refund_id, amount, "requested", reason)}
            who = "shop" if refund_id.startswith(AUTOMATIC_REFUND) else "staff"
            history = (*history, Step(at, "refund_requested", who))
            return replace(state, items=items, refunds=refunds, history=history)
        case OrderRefunded(refund_id, amount, at=at):
            reason = state.refunds[refund_id].reason if refund_id in state.refunds else ""
            refunds = {**state.refunds, refund_id: RefundRow(refund_id, amount, "refunded", reason)}
            back = replace(state, refunds=refunds, history=(*history, Step(at, "refunded")))
            return replace(back, payment_status=payment_after_refunds(back.paid, back.refunded))
        case OrderRefundFailed(refund_id, at, payment_status):
            refunds = {**state.refunds, refund_id: replace(state.refunds[refund_id], status="failed")}
            failed = replace(state, refunds=refunds, history=(*history, Step(at, "refund_failed")))
            return replace(failed, payment_status=payment_status or state.payment_status)
    assert_never(event)


def payment_after_refunds(paid: int, refunded: int) -> PaymentStatus:
    if refunded <= 0:
        return "paid"
    return "refunded" if refunded >= paid else "partially_refunded"
