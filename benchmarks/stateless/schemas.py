"""What the stateless service takes in and gives out: the same bodies as the shop's own routes."""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, EmailStr, Field

Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ItemIn(_Body):
    """POST /api/cart/items."""

    sku: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]


class AddressIn(_Body):
    """Where an order goes."""

    name: Text
    line1: Text
    line2: Text | None = None
    city: Text
    postal_code: Text
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")]
    phone: Text | None = None


class PaymentIn(_Body):
    """Cards only: what else the shop takes needs a session, and this service has none."""

    method: Literal["card"]
    reference: Annotated[str, Field(max_length=64)] = "pm_card_visa"


class OrderIn(_Body):
    """POST /api/orders."""

    email: EmailStr
    address: AddressIn
    shipping_method: Literal["standard", "express", "pickup"]
    payment: PaymentIn
    expected_total: int | None = None


class Totals(NamedTuple):
    """Minor units. Tax is worked out once an order, on goods and shipping, rounded half up."""

    subtotal: int
    shipping: int
    tax: int
    total: int


def totals(subtotal: int, shipping: int, rate_bp: int, included: bool) -> Totals:
    """Adds up an order; `rate_bp` is the tax rate in basis points."""
    goods = subtotal + shipping
    if included:
        whole = 10_000 + rate_bp
        return Totals(subtotal, shipping, (2 * goods * rate_bp + whole) // (2 * whole), goods)
    tax = (goods * rate_bp + 5_000) // 10_000
    return Totals(subtotal, shipping, tax, goods + tax)


def order_body(order: dict[str, Any], lines: list[dict[str, Any]], currency: str) -> dict[str, Any]:
    """An order as the shop shows it, from its row and the rows of its lines."""
    return {
        "id": order["id"],
        "version": 1,
        "status": order["status"],
        "payment_status": order["payment_status"],
        "currency": currency,
        "lines": [
            {key: line[key] for key in ("sku", "name", "quantity", "unit_price")}
            | {"total": line["quantity"] * line["unit_price"]}
            for line in lines
        ],
        "totals": {key: order[key] for key in Totals._fields},
        "shipping_method": order["shipping_method"],
        "payment_method": order["payment_method"],
        "next_action": None,
        "placed_at": order["placed_at"],
        "deadline_at": None,
        "history": [
            {"at": order["placed_at"], "step": "placed"},
            {"at": order["confirmed_at"], "step": "confirmed"},
        ],
        "shipments": [],
        "refunds": [],
        "out_of_stock": [],
    }
