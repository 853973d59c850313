"""What things cost: prices, lines, terms, and the one rule that turns them into totals.

All money is a whole number of minor units (cents) of the terms' currency.

The rule: goods are summed line by line, shipping is added unless the goods reach `free_from`, and tax is worked out
once per order, on goods and shipping together, rounded half up to a whole minor unit. Nothing else is ever rounded.
Directive 2006/112/EC, article 78(b), counts transport in the taxable amount; the Court of Justice (C-484/06, Ahold,
2008) leaves the method and the level of rounding to national law. Once per document, half up, is what a reader of
an invoice can check.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

MAX_QUANTITY = 1_000_000
"""The most units of one line; real invoices have had 74,215."""

MAX_AMOUNT = 1_000_000_000
"""The highest price of a unit, in minor units: 1,000 lines of a million such units still fit 64 bits, tax included."""


class Price(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What the catalogue asks for one unit of a SKU, at `version` of the product."""

    sku: str
    name: str
    amount: int
    tax_class: str = "standard"
    status: Literal["active", "gone"] = "active"
    version: int = 0


class Line(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Some units of one SKU. An agreed price (a quotation) is charged as it is; any other is as last shown."""

    id: str
    sku: str
    name: str
    quantity: int
    unit_price: int
    agreed: bool = False
    tax_class: str = "standard"
    price_version: int = 0

    @property
    def total(self) -> int:
        """Minor units, before shipping and before any tax that the price leaves out."""
        return self.quantity * self.unit_price


class Shipping(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A way to ship and what it costs; free once the goods come to `free_from` (never, if None)."""

    method: str
    label: str
    price: int
    free_from: int | None = None


class Terms(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What an order is priced under. The rate is in basis points: 2000 is 20 %."""

    currency: str
    tax_rate_bp: int
    prices_include_tax: bool
    shipping: Shipping


class Totals(msgspec.Struct, frozen=True, gc=False):
    """`tax` is part of `total` either way; where prices include tax it is also part of `subtotal` and `shipping`."""

    subtotal: int
    shipping: int
    tax: int
    total: int


def totals(lines: Iterable[Line], terms: Terms) -> Totals:
    """What `lines` come to under `terms`. An order without lines costs nothing, shipping neither."""
    chosen = tuple(lines)
    if not chosen:
        return Totals(0, 0, 0, 0)
    subtotal = sum(line.quantity * line.unit_price for line in chosen)
    free_from = terms.shipping.free_from
    shipping = 0 if free_from is not None and subtotal >= free_from else terms.shipping.price
    sum_before = subtotal + shipping
    if terms.prices_include_tax:
        tax = _half_up(sum_before * terms.tax_rate_bp, 10_000 + terms.tax_rate_bp)
        return Totals(subtotal, shipping, tax, sum_before)
    tax = _half_up(sum_before * terms.tax_rate_bp, 10_000)
    return Totals(subtotal, shipping, tax, sum_before + tax)


def _half_up(numerator: int, denominator: int) -> int:
    """The nearest whole number to a quotient that is not negative; a half goes up."""
    return (2 * numerator + denominator) // (2 * denominator)
