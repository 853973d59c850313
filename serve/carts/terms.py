"""What the shop sells under: currency, tax, ways to ship. Carts show totals by it, orders are charged by it."""

import msgspec

from actors.pricing import Shipping, Terms

STANDARD_SHIPPINGS = (
    Shipping("standard", "Standard, 2 to 4 days", 490, free_from=5_000),
    Shipping("express", "Express, next working day", 1_290),
    Shipping("pickup", "Pick up at the shop", 0),
)


class ShopTerms(msgspec.Struct, frozen=True):
    """`tax_rate_bp` in basis points (2000: 20 %). The first way to ship is the one that carts show."""

    currency: str = "EUR"
    tax_rate_bp: int = 2_000
    prices_include_tax: bool = True
    shippings: tuple[Shipping, ...] = STANDARD_SHIPPINGS

    def under(self, method: str | None = None) -> Terms | None:
        """The terms with this way to ship (None: the usual one); None if the shop has no such way."""
        for shipping in self.shippings:
            if method is None or shipping.method == method:
                return Terms(self.currency, self.tax_rate_bp, self.prices_include_tax, shipping)
        return None
