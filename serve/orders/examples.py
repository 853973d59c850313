"""One order of each body in the description of the interface: paid by card, sent in one parcel, half refunded."""

from typing import Any

from serve.orders.schemas import OrderBody, OrderPage, Receipt, StockBody, Tracking

_ID = "0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10"
_PLACED = 1_764_000_000_000
_LINES = [{"sku": "MUG-1", "name": "Stoneware mug, moss", "quantity": 2, "unit_price": 1450, "total": 2900}]
_TOTALS = {"subtotal": 2900, "shipping": 490, "tax": 565, "total": 3390}


def _step(seconds: int, step: str, who: str, about: str = "") -> dict[str, Any]:
    return {"at": _PLACED + 1_000 * seconds, "step": step, "who": who, "text": f"order.step.{step}", "about": about}


_HISTORY = [
    _step(0, "placed", "customer"),
    _step(1, "reserved", "stock"),
    _step(2, "confirmed", "shop"),
    _step(3_600, "packed", "staff"),
    _step(7_200, "shipment_added", "staff", "1"),
    _step(7_200, "shipped", "staff"),
]
_SHIPMENTS = [
    {
        "id": "1",
        "carrier": "Royal Mail",
        "tracking": "AB123456789GB",
        "url": "https://www.royalmail.com/track-your-item#/tracking-results/AB123456789GB",
        "expected_on": "2025-11-27",
        "status": "in_transit",
        "lines": {"MUG-1": 2},
        "steps": [
            {"step": "handed_over", "at": _PLACED + 7_200_000, "code": ""},
            {"step": "in_transit", "at": _PLACED + 10_800_000, "code": "DEPOT"},
        ],
    }
]
_CONTACT = {
    "email": "ada@example.com",
    "address": {
        "name": "Ada Byron",
        "line1": "12 St James's Square",
        "city": "London",
        "postal_code": "SW1Y 4JH",
        "country": "GB",
        "line2": None,
        "phone": None,
    },
}
_ORDER = {
    "id": _ID,
    "version": 14,
    "status": "shipped",
    "payment_status": "partially_refunded",
    "closing": False,
    "currency": "EUR",
    "lines": _LINES,
    "totals": _TOTALS,
    "shipping_method": "standard",
    "payment_method": "card",
    "next_action": None,
    "payment_failure": None,
    "placed_at": _PLACED,
    "deadline_at": _PLACED + 1_800_000,
    "history": _HISTORY,
    "shipments": _SHIPMENTS,
    "partially_shipped": False,
    "refunds": [{"id": "5f0c9a1fd2c7b0a4", "amount": 1450, "status": "refunded"}],
    "out_of_stock": [],
}
_SUMMARY = {
    "id": _ID,
    "placed_at": _PLACED,
    "status": "shipped",
    "total": 3390,
    "currency": "EUR",
    "payment_status": "partially_refunded",
}
_RECEIPT = {
    "order_id": _ID,
    "placed_at": _PLACED,
    "currency": "EUR",
    "lines": _LINES,
    "totals": _TOTALS,
    "tax_rate_bp": 2000,
    "prices_include_tax": True,
    "shipping": "Standard delivery",
    "payment_method": "card",
    "paid": 3390,
    "refunded": 1450,
    "contact": _CONTACT,
    "number": "0B5A4C1E7F10",
    "issued_at": _PLACED + 2_000,
    "tax_lines": [{"rate_bp": 2000, "net": 2825, "tax": 565, "gross": 3390}],
    "payment": {"method": "card", "brand": "visa", "last4": "4242"},
    "seller": {"name": "Mugs & Co", "address": ["1 Kiln Lane", "Stoke"], "tax_id": "GB 123"},
}
_STOCK = {
    "sku": "MUG-1",
    "version": 31,
    "on_hand": 42,
    "held": 1,
    "reserved": 2,
    "available": 39,
    "sold": 59,
    "returned": 1,
    "received": 100,
    "corrected": 0,
    "waiting": 0,
}

EXAMPLES: dict[type, Any] = {
    OrderBody: _ORDER,
    OrderPage: {"items": [_SUMMARY], "next": f"{_PLACED}.{_ID}"},
    Tracking: {
        "id": _ID,
        "status": "shipped",
        "shipments": _SHIPMENTS,
        "history": _HISTORY,
        "partially_shipped": False,
    },
    Receipt: _RECEIPT,
    StockBody: _STOCK,
}
