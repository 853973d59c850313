"""A cart in the description of the interface."""

from typing import Any

from serve.carts.schemas import CartBody

_CART = {
    "id": "g-6f1c8a0be6f94f0db0c6d0f0a7b1f7c2",
    "version": 1,
    "currency": "EUR",
    "lines": [
        {
            "id": "9a1fd2c7b0a4e3d5",
            "sku": "MUG-1",
            "name": "Stoneware mug, moss",
            "quantity": 2,
            "unit_price": 1450,
            "changed_from": None,
            "gone": False,
            "agreed": False,
            "total": 2900,
        }
    ],
    "totals": {"subtotal": 2900, "shipping": 490, "tax": 565, "total": 3390},
    "pending_orders": [],
    "last_order": None,
}

EXAMPLES: dict[type, Any] = {CartBody: _CART}
