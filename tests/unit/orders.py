"""An order as flows and mails see one."""

from typing import Any

from actors.order import OrderView
from actors.pricing import Line, Shipping, Terms, Totals


def order_view(**changed: Any) -> OrderView:
    """A confirmed, paid order of two mugs and a <b>pot</b>."""
    known: dict[str, Any] = {
        "id": "0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10",
        "status": "confirmed",
        "payment_status": "paid",
        "owner": "user:ada",
        "contact_id": "c1",
        "lines": (Line("l1", "MUG-1", "Mug", 2, 500), Line("l2", "POT-1", "<b>Pot</b> & lid", 1, 1500)),
        "terms": Terms("EUR", 2000, True, Shipping("standard", "Standard", 499)),
        "totals": Totals(2500, 499, 500, 2999),
        "currency": "EUR",
        "method": "card",
        "paid": 2999,
    }
    return OrderView(**{**known, **changed})
