"""What the cart's routes take and give. Money is in minor units of `currency`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from actors.cart import MAX_LINES
from actors.pricing import MAX_AMOUNT, MAX_QUANTITY, Totals

Sku = Annotated[str, Meta(min_length=1, max_length=64, description="The product's stock keeping unit")]
Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY, description="Units")]


class AddItem(msgspec.Struct, frozen=True):
    """`agreed_price` (staff only) is a quotation: the line keeps it whatever the catalogue says."""

    sku: Sku
    quantity: Quantity = 1
    agreed_price: Annotated[int, Meta(ge=0, le=MAX_AMOUNT)] | None = None


class AddItems(msgspec.Struct, frozen=True):
    """All are taken or none; each becomes a line of its own."""

    items: Annotated[list[AddItem], Meta(min_length=1, max_length=MAX_LINES)]


class ChangeItem(msgspec.Struct, frozen=True):
    quantity: Quantity


class MergeCart(msgspec.Struct, frozen=True):
    guest_token: Annotated[str, Meta(min_length=1, max_length=2_000)]


class CartQuery(msgspec.Struct, frozen=True):
    version: Annotated[
        int, Meta(ge=0, le=2**53, description="A version that you have seen: the answer is at least that new")
    ] = 0


class LineBody(msgspec.Struct, frozen=True):
    """`unit_price` is charged now; `changed_from` was shown when the line was added, if that differs.

    A line that is `gone` is no longer sold and keeps the cart from being checked out.
    """

    id: str
    sku: str
    name: str
    quantity: int
    unit_price: int
    changed_from: int | None
    gone: bool
    agreed: bool
    total: int


class CartBody(msgspec.Struct, frozen=True):
    """`totals` leave out lines that are gone. `guest_token`, only when the cart was just made: send it from now on."""

    id: str
    version: int
    currency: str
    lines: list[LineBody]
    totals: Totals
    pending_orders: list[str]
    last_order: str | None
    guest_token: str | msgspec.UnsetType = msgspec.UNSET
