"""What an order is told and asked: by its cart, its stock items, its payment session, its shopper and the staff."""

from typing import Literal, TypeAlias

from actors.decision import Message
from actors.order_shipments import ShipmentStepName
from actors.pricing import Line, Terms, Totals

CASH_ON_DELIVERY = "cash_on_delivery"

CaptureMethod: TypeAlias = Literal["automatic", "manual"]
"""When money is taken: at once, or (manual) set aside until the order is packed, where the way to pay allows it."""

MAX_REFUNDS = 50
"""Of one order, by staff."""

MAX_TRIES = 20
"""Payment methods that a shopper may choose for one order."""


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
    capture_method: CaptureMethod = "automatic"


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
    """From the payment session, by way of the log, like the seven below."""


class PaymentActionRequired(Message, tag="PaymentActionRequired/1", frozen=True):
    url: str
    kind: str


class PaymentAuthorised(Message, tag="PaymentAuthorised/1", frozen=True):
    """The money is set aside for the shop, which takes it when it packs."""

    amount: int


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
    """Money that is only authorised is captured now. Answers OrderView.

    Refused, like Ship and Deliver: no_such_order, wrong_status.
    """


class Ship(Message, tag="Ship/1", frozen=True):
    """Everything that has yet to leave, in one parcel. Refused like AddShipment."""

    carrier: str
    tracking: str
    url: str = ""


class AddShipment(Message, tag="AddShipment/1", frozen=True):
    """A parcel with these `lines` (SKU to units; none: all that has yet to leave). Answers OrderView.

    Refused: no_such_order, wrong_status, not_captured (the money is not the shop's yet), bad_shipment_lines
    (about.left), too_many_shipments.
    """

    carrier: str
    tracking: str
    lines: dict[str, int] = {}
    url: str = ""
    expected_on: str = ""


class NoteShipment(Message, tag="NoteShipment/1", frozen=True):
    """News of a parcel; `at` is when it happened. Answers OrderView. The same news again changes nothing.

    Refused: no_such_order, no_such_shipment, too_many_steps.
    """

    shipment_id: str
    step: ShipmentStepName
    at: int
    code: str = ""
    by: Literal["staff", "carrier"] = "staff"


class Deliver(Message, tag="Deliver/1", frozen=True):
    """Cash on delivery is paid by this."""


class Refund(Message, tag="Refund/1", frozen=True):
    """Money back for an order that stands, and units (`lines`: SKU to units) back to the stock. Answers OrderView.

    `discarded`: units that are paid back and not put back, broken ones for example. Without `amount`: what both
    cost, or all that is left if there are none. `shipped`: how many units of a SKU, of both, had left; they stay
    shipped, and only the others are not to be shipped any more. Of a SKU that is not in it, as many as can be of
    `lines` had not left, and of `discarded` had. Refused: no_such_order, wrong_status,
    not_captured, bad_refund_lines, bad_amount, refund_too_large (about.left), too_many_refunds, bad_refund_id.
    """

    refund_id: str
    amount: int | None = None
    lines: dict[str, int] = {}
    reason: str = ""
    discarded: dict[str, int] = {}
    shipped: dict[str, int] = {}


class Adopt(Message, tag="Adopt/1", frozen=True):
    """From a flow: the guest who ordered turned out to be the account `owner`. Answers OrderView.

    Refused: no_such_order, not_a_guests (it is another account's).
    """

    owner: str


class PaymentDeadline(Message, tag="PaymentDeadline/1", frozen=True):
    """Timer `deadline`."""
