"""What the orders' routes take and give. Money is in minor units of `currency`, times are UTC milliseconds."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from actors.order import NextAction, PaymentStatus, Shipment, Status, Step
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


class RefundOrder(msgspec.Struct, frozen=True):
    """Without `amount`: what `lines` cost, or all that is left if there are none. `lines`: units put back, by SKU."""

    reason: Text
    amount: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    lines: Annotated[
        dict[Annotated[str, Meta(max_length=64)], Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]], Meta(max_length=1_000)
    ] = {}


class ReceiveStock(msgspec.Struct, frozen=True):
    quantity: Annotated[int, Meta(ge=1, le=MAX_AMOUNT)]


class CorrectStock(msgspec.Struct, frozen=True):
    """`on_hand`: the units counted, those held and reserved for orders included."""

    on_hand: Annotated[int, Meta(ge=0, le=MAX_AMOUNT)]
    reason: Text


Limit = Annotated[int, Meta(ge=1, le=100)]
Cursor = Annotated[str, Meta(max_length=200, description="`next` of the page before")]


class OrdersQuery(msgspec.Struct, frozen=True):
    limit: Limit = 20
    cursor: Cursor | None = None


class AdminOrdersQuery(msgspec.Struct, frozen=True):
    limit: Limit = 20
    cursor: Cursor | None = None
    status: Status | None = None


class OrderLine(msgspec.Struct, frozen=True):
    sku: str
    name: str
    quantity: int
    unit_price: int
    total: int


class RefundBody(msgspec.Struct, frozen=True):
    id: str
    amount: int
    status: Literal["requested", "refunded", "failed"]


class Contact(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom an order goes to. `email` is None for a user who gave none: the account's is used."""

    email: str | None
    address: Address
    language: str | None = None


class OrderBody(msgspec.Struct, frozen=True):
    """`next_action`: where the shopper must go to pay. `closing`: the payment is being called off. Staff also see
    `owner` and `contact`."""

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
    history: list[Step]
    shipments: list[Shipment]
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


class OrderPage(msgspec.Struct, frozen=True):
    """Newest first. `next` is the cursor of the next page, null on the last one."""

    items: list[OrderSummary]
    next: str | None


class Tracking(msgspec.Struct, frozen=True):
    id: str
    status: Status
    shipments: list[Shipment]
    history: list[Step]


class Receipt(msgspec.Struct, frozen=True):
    """`contact` is null once it has been erased."""

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
