"""What happens to an order. Amounts are minor units of its currency, times UTC milliseconds."""

from typing import Literal, TypeAlias

import msgspec

from actors.decision import Message
from actors.order_commands import CaptureMethod
from actors.order_shipments import ShipmentStepName
from actors.pricing import Line, Terms, Totals

PaymentStatus: TypeAlias = Literal[
    "none",
    "pending",
    "processing",
    "action_required",
    "failed",
    "authorised",
    "paid",
    "refunded",
    "partially_refunded",
    "cash_due",
]


class NextAction(msgspec.Struct, frozen=True):
    """Where the shopper must go to finish a payment. `type` is the gateway's word for it, `redirect` mostly."""

    type: str
    url: str


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
    capture_method: CaptureMethod = "automatic"


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
    capture_method: CaptureMethod = "automatic"


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
    """`amount` is the order's now, by the gateway or in cash. `stood`: the order did already, with money set aside."""

    amount: int
    at: int
    stood: bool = False


class OrderConfirmed(Message, tag="OrderConfirmed/1", frozen=True):
    """The order stands. `paid` is 0 if it is paid at the door or when packed, or costs nothing."""

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


class OrderAdopted(Message, tag="OrderAdopted/1", frozen=True):
    """A guest's order (`guest`, as its owner was named) is an account's from now on. `status` is what it was and is.

    `contact_id` is empty in old records.
    """

    owner: str
    guest: str
    status: str
    at: int
    contact_id: str = ""


class OrderPacked(Message, tag="OrderPacked/1", frozen=True):
    at: int


class ShipmentAdded(Message, tag="ShipmentAdded/1", frozen=True):
    """A parcel left. `lines`: its units by SKU; `url` and `expected_on` (an ISO date) are empty if nobody said."""

    shipment_id: str
    carrier: str
    tracking: str
    lines: dict[str, int]
    owner: str
    contact_id: str
    at: int
    url: str = ""
    expected_on: str = ""


class ShipmentMoved(Message, tag="ShipmentMoved/1", frozen=True):
    """News of a parcel. `at`: when it happened; `noted_at`: when it was told; `by`: staff or carrier."""

    shipment_id: str
    step: ShipmentStepName
    at: int
    noted_at: int
    code: str = ""
    by: str = "staff"


class OrderShipped(Message, tag="OrderShipped/1", frozen=True):
    """All of the order has left. `shipment_id`: the parcel with the last of it.

    It is empty in records from before there could be several: then this event is the one parcel.
    """

    carrier: str
    tracking: str
    owner: str
    contact_id: str
    at: int
    shipment_id: str = ""


class OrderDelivered(Message, tag="OrderDelivered/1", frozen=True):
    """All of the order has arrived. `by`: who said so, staff or carrier; empty (staff) in old records."""

    at: int
    by: str = ""


class RefundRequested(Message, tag="RefundRequested/1", frozen=True):
    """Money is to go back; `lines` (SKU to units) are back in stock, `discarded` are not.

    `shipped`: units of both that had left. In old records none had.
    """

    refund_id: str
    amount: int
    lines: dict[str, int]
    reason: str
    at: int
    discarded: dict[str, int] = {}
    shipped: dict[str, int] = {}


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
    """It was refused, or (after OrderRefunded) the gateway had taken it and could not pay it back after all.

    `payment_status` is the order's after it, `left` what is paid and not refunded then; None in old records.
    """

    refund_id: str
    at: int
    payment_status: PaymentStatus | None = None
    left: int | None = None
