"""Prices for the carts, from memory, never more than half a second behind the catalogue."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from actors.pricing import Price
from serve.catalog.schemas import Product
from serve.catalog.service import Catalog

FRESH_SECONDS = 0.5
_BATCH = 500


class Prices:
    """Current prices by SKU. At most `limit` are kept; unknown SKUs are not, since anyone can make them up.

    What is kept is compared with the catalogue's change number when it was last compared `FRESH_SECONDS` ago or longer,
    and at once after a write through the same `Catalog`.
    """

    def __init__(self, catalog: Catalog, *, limit: int = 50_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._limit = limit
        self._clock = clock
        self._kept: OrderedDict[str, Price] = OrderedDict()
        self._seen = 0
        self._compared_at = float("-inf")
        self._generation: object = None
        self._comparing = asyncio.Lock()

    async def prices(self, skus: Iterable[str]) -> dict[str, Price | None]:
        """The price of each SKU, also of one that is gone from sale; None for one that never existed."""
        wanted = list(dict.fromkeys(skus))
        if not self._fresh():
            async with self._comparing:
                if not self._fresh():
                    await self._compare()
        found: dict[str, Price | None] = {sku: self._kept.get(sku) for sku in wanted}
        missing = [sku for sku, price in found.items() if price is None]
        for start in range(0, len(missing), _BATCH):
            found.update(await self._load(missing[start : start + _BATCH]))
        for sku in found:
            if sku in self._kept:
                self._kept.move_to_end(sku)
        return found

    def _fresh(self) -> bool:
        return self._generation is self._catalog.generation and self._clock() - self._compared_at < FRESH_SECONDS

    async def _compare(self) -> None:
        # Both are taken before the database is asked: what happens meanwhile is for the next comparison.
        began, generation = self._clock(), self._catalog.generation
        last, changed = await self._catalog.changed_since(self._seen, _BATCH)
        if len(changed) == _BATCH:
            self._kept.clear()  # too much has changed to follow it row by row
        for product in changed:
            if product.sku in self._kept:
                self._kept[product.sku] = _price(product)
        self._seen, self._compared_at, self._generation = last, began, generation

    async def _load(self, skus: list[str]) -> dict[str, Price]:
        number, products = await self._catalog.of_skus(skus)
        loaded = {product.sku: _price(product) for product in products}
        # A comparison may have gone past what was read here; it would not correct what is kept only now.
        if number >= self._seen:
            self._kept.update(loaded)
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return loaded


def _price(product: Product) -> Price:
    return Price(
        sku=product.sku,
        name=product.name,
        amount=product.price,
        tax_class=product.tax_class,
        status=product.status,
        version=product.version,
    )
