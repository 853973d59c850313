"""What the orders' routes take and give. Money is in minor units of `currency`, times are UTC milliseconds."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from actors.order import NextAction, PaymentStatus, ShipmentStep, Status
from actors.order_shipments import ShipmentStepName
from actors.pricing import MAX_AMOUNT, MAX_QUANTITY, Totals

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Method = Literal["card", "bank_redirect", "wallet", "cash_on_delivery"]
Reference = Annotated[
    str,
    Meta(
        max_length=200,
        # Something that is all digits could be a card's number, which must never come here.
        pattern=r"^([A-Za-z0-9_\-]*[A-Za-z_][A-Za-z0-9_\-]*)?$",
        description="The payment gateway's reference to a method of payment; never a card's number",
    ),
]


class Address(msgspec.Struct, frozen=True):
    name: Text
    line1: Text
    city: Text
    postal_code: Annotated[str, Meta(min_length=1, max_length=20)]
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$", description="ISO 3166-1, two letters")]
    line2: Annotated[str, Meta(max_length=200)] | None = None
    phone: Annotated[str, Meta(max_length=40, pattern=r"^[0-9+() ./\-]*$")] | None = None


class Payment(msgspec.Struct, frozen=True):
    """Without `reference` the gateway asks for the means on a page of its own: `next_action` leads there, also without
    JavaScript. The test gateway has none for cards, and names its own means for the others."""

    method: Method
    reference: Reference = ""


class PlaceOrder(msgspec.Struct, frozen=True):
    """`email` is where a guest is written to, and must be given by one. With `expected_total` nothing is bought at
    another total. `language`: of the mails about the order, a language tag."""

    address: Address
    shipping_method: Text
    payment: Payment
    email: Annotated[str, Meta(min_length=3, max_length=254)] | None = None
    expected_total: Annotated[int, Meta(ge=0)] | None = None
    language: Annotated[str, Meta(pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)] | None = None


class ShipOrder(msgspec.Struct, frozen=True):
    carrier: Text
    tracking: Text


Units = Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
Sku = Annotated[str, Meta(min_length=1, max_length=64)]
UnitsBySku = Annotated[dict[Sku, Units], Meta(max_length=1_000)]


class NewShipment(msgspec.Struct, frozen=True):
    """A parcel with `lines` (units by SKU; none: all that has yet to leave). `url`: where the carrier shows it; for
    well-known carriers it need not be given."""

    carrier: Text
    tracking: Text
    lines: UnitsBySku = {}
    url: Annotated[str, Meta(max_length=500, pattern=r"^https?://[^\s<>\"]+$")] | None = None
    expected_on: date | None = None


Moment = Annotated[int, Meta(ge=0, le=2**53, description="UTC, milliseconds")]
StepCode = Annotated[str, Meta(max_length=40, pattern="^[A-Za-z0-9_.-]*$", description="The carrier's word for it")]


class NewStep(msgspec.Struct, frozen=True):
    """News of a parcel. `at`: when it happened; now, if it is not said."""

    step: ShipmentStepName
    at: Moment | None = None
    code: StepCode = ""


class CarrierEvent(msgspec.Struct, frozen=True):
    """`id` is the carrier's, the same in every copy."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    tracking: Text
    step: ShipmentStepName
    at: Moment
    code: StepCode = ""


class RefundLine(msgspec.Struct, frozen=True):
    """Units paid back; with `restock` they are put back in stock.

    `shipped`: whether they had left; if no line of a SKU says so, as many as can be of those put back had not, and of
    the others had. What has not left is not shipped any more.
    """

    sku: Sku
    quantity: Units
    restock: bool = True
    shipped: bool | None = None


class RefundOrder(msgspec.Struct, frozen=True):
    """Without `amount`: what `lines` cost, or all that is left if there are none.

    `lines` as units by SKU are all put back in stock; as a list, each says whether it is.
    """

    reason: Text
    amount: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    lines: UnitsBySku | Annotated[list[RefundLine], Meta(max_length=1_000)] = {}

    def units(self, *, restock: bool) -> dict[str, int]:
        """By SKU: those that are put back in stock, or those that are not."""
        if isinstance(self.lines, dict):
            return dict(self.lines) if restock else {}
        found: dict[str, int] = {}
        for line in self.lines:
            if line.restock is restock:
                found[line.sku] = found.get(line.sku, 0) + line.quantity
        return found

    def shipped(self) -> dict[str, int]:
        """By SKU: those that are said to have left; without SKUs of which no line says it."""
        found: dict[str, int] = {}
        for line in self.lines if isinstance(self.lines, list) else ():
            if line.shipped is not None:
                found[line.sku] = found.get(line.sku, 0) + line.quantity * line.shipped
        return found


class ReceiveStock(msgspec.Struct, frozen=True):
    quantity: Annotated[int, Meta(ge=1, le=MAX_AMOUNT)]


class CorrectStock(msgspec.Struct, frozen=True):
    """`on_hand`: the units counted, those held and reserved for orders included."""

    on_hand: Annotated[int, Meta(ge=0, le=MAX_AMOUNT)]
    reason: Text


Limit = Annotated[int, Meta(ge=1, le=100)]
Cursor = Annotated[str, Meta(max_length=200, description="`next` of the page before")]


class OrdersQuery(msgspec.Struct, frozen=True):
    """`from` and before `to`: when the order was placed. `q`: the beginning of its id, or a SKU that it has."""

    limit: Limit = 20
    cursor: Cursor | None = None
    status: Status | None = None
    payment_status: PaymentStatus | None = None
    since: Moment | None = msgspec.field(default=None, name="from")
    until: Moment | None = msgspec.field(default=None, name="to")
    q: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class AccessQuery(msgspec.Struct, frozen=True):
    access: Annotated[str, Meta(max_length=100, description="From the link in a mail: opens this order")] | None = None


class OrderLine(msgspec.Struct, frozen=True):
    sku: str
    name: str
    quantity: int
    unit_price: int
    total: int


class RefundBody(msgspec.Struct, frozen=True):
    """Staff also see the `reason`."""

    id: str
    amount: int
    status: Literal["requested", "refunded", "failed"]
    reason: str | UnsetType = UNSET


class HistoryStep(msgspec.Struct, frozen=True):
    """`who`: customer, staff, shop, stock, payment or carrier. `text`: the key of a text that tells it.

    `about`: the shipment's id, if it is about one.
    """

    at: int
    step: str
    who: str
    text: str
    about: str = ""


class ShipmentBody(msgspec.Struct, frozen=True):
    """`status`: the last of its steps, or delivered. `lines`: its units by SKU. `expected_on`: an ISO date."""

    id: str
    carrier: str
    tracking: str
    url: str | None
    expected_on: str | None
    status: ShipmentStepName
    lines: dict[str, int]
    steps: list[ShipmentStep]


class Contact(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom an order goes to. `email` is None for a user who gave none: the account's is used."""

    email: str | None
    address: Address
    language: str | None = None


class OrderBody(msgspec.Struct, frozen=True):
    """`next_action`: where the shopper must go to pay. `closing`: the payment is being called off.
    `partially_shipped`: some of it has left. Staff also see `owner` and `contact`."""

    id: str
    version: int
    status: Status
    payment_status: PaymentStatus
    closing: bool
    currency: str
    lines: list[OrderLine]
    totals: Totals
    shipping_method: str
    payment_method: str
    next_action: NextAction | None
    payment_failure: str | None
    placed_at: int
    deadline_at: int | None
    history: list[HistoryStep]
    shipments: list[ShipmentBody]
    partially_shipped: bool
    refunds: list[RefundBody]
    out_of_stock: list[str]
    owner: str | UnsetType = UNSET
    contact: Contact | UnsetType | None = UNSET


class OrderSummary(msgspec.Struct, frozen=True):
    id: str
    placed_at: int
    status: str
    total: int
    currency: str
    payment_status: str = "none"


class OrderPage(msgspec.Struct, frozen=True):
    """Newest first. `next` is the cursor of the next page, null on the last one."""

    items: list[OrderSummary]
    next: str | None


class Tracking(msgspec.Struct, frozen=True):
    id: str
    status: Status
    shipments: list[ShipmentBody]
    history: list[HistoryStep]
    partially_shipped: bool


class TaxLine(msgspec.Struct, frozen=True):
    """What is taxed at one rate: `gross` is `net` and `tax`."""

    rate_bp: int
    net: int
    tax: int
    gross: int


class PaidBy(msgspec.Struct, frozen=True):
    """`brand` and `last4` are a card's, if the payment gateway told."""

    method: str
    brand: str | None
    last4: str | None


class Seller(msgspec.Struct, frozen=True):
    """Who sells, as the settings say: `address` line by line, `tax_id` perhaps empty."""

    name: str = "Troupe"
    address: list[str] = []
    tax_id: str = ""


class Receipt(msgspec.Struct, frozen=True):
    """`contact` is null once it has been erased. `issued_at`: when the order was confirmed."""

    order_id: str
    placed_at: int
    currency: str
    lines: list[OrderLine]
    totals: Totals
    tax_rate_bp: int
    prices_include_tax: bool
    shipping: str
    payment_method: str
    paid: int
    refunded: int
    contact: Contact | None
    number: str
    issued_at: int
    tax_lines: list[TaxLine]
    payment: PaidBy
    seller: Seller


class StockBody(msgspec.Struct, frozen=True):
    """Units. `on_hand` counts those held and reserved; on_hand + sold - returned = received + corrected."""

    sku: str
    version: int
    on_hand: int
    held: int
    reserved: int
    available: int
    sold: int
    returned: int
    received: int
    corrected: int
    waiting: int
