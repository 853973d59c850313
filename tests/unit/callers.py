"""Who calls in the tests of the HTTP services: their tokens, and prices from a dictionary."""

from collections.abc import Iterable

from actors.pricing import Price
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem

MUG = Price("MUG", "Mug", 1_200, version=3)
TEA = Price("TEA", "Tea", 450, version=1)
OLD = Price("OLD", "Old thing", 900, status="gone")


class PlainTokens:
    """A guest's token is ``guest:<cart id>``, a user's ``user:<id>``, the staff's ``staff:<id>``."""

    def known(self, token: str) -> Principal | None:
        kind, _, name = token.partition(":")
        if kind == "guest":
            return Principal("guest", name)
        if kind in ("user", "staff"):
            return Principal("user", name, frozenset({"staff"}) if kind == "staff" else frozenset(), "session")
        return None

    async def verify(self, token: str) -> Principal:
        found = self.known(token)
        if found is None:
            raise Problem("invalid_token", "This is not a token.")
        return found

    async def guest(self, cart_id: str) -> str:
        return f"guest:{cart_id}"


class PlainPrices:
    def __init__(self, *prices: Price) -> None:
        self.known = {price.sku: price for price in prices}
        self.asked: list[list[str]] = []

    async def prices(self, skus: Iterable[str]) -> dict[str, Price | None]:
        wanted = sorted(skus)
        self.asked.append(wanted)
        return {sku: self.known.get(sku) for sku in wanted}

    def change(self, price: Price) -> None:
        self.known[price.sku] = price


def bearer(token: str, **headers: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"authorization": f"Bearer {token}", **named}
