"""Prices for the carts, from memory: the catalogue's events keep them.

A write of this process shows at once, unless its events first go to Kafka and back.
"""

import asyncio
from collections.abc import Iterable

from actors.pricing import Price
from pipelines.keep_prices import KeptPrices
from pipelines.log.base import EventLog
from serve.catalog.service import Catalog

_BATCH = 500


class Prices:
    """Current prices by SKU: another process's change within a moment (see `pipelines.log.outbox.LOOK_EVERY`).

    A SKU that no event told of yet is asked for in the catalogue itself, each time, since anyone can make one up.
    """

    def __init__(self, catalog: Catalog, events: EventLog | None = None) -> None:
        """`events`: what the catalogue told, if that is not read from its outbox; its owner's to close."""
        self._catalog = catalog
        self._kept = KeptPrices(events or catalog.outbox_log())
        self._own_writes_show = events is None
        self._generation: object = None
        self._catching_up = asyncio.Lock()

    async def start(self) -> None:
        """Fills the memory and follows the events from then on."""
        await self._kept.start()

    async def close(self) -> None:
        """To be called before the catalogue is closed."""
        await self._kept.close()

    async def prices(self, skus: Iterable[str]) -> dict[str, Price | None]:
        """The price of each SKU, also of one that is gone from sale; None for one that never existed."""
        if self._own_writes_show and self._generation is not self._catalog.generation:
            await self._catch_up()
        found = {sku: self._kept.get(sku) for sku in skus}
        missing = [sku for sku, price in found.items() if price is None]
        for start in range(0, len(missing), _BATCH):
            asked = await self._catalog.prices_of(missing[start : start + _BATCH])
            found.update((sku, self._kept.learn(price)) for sku, price in asked.items())
        return found

    async def _catch_up(self) -> None:
        async with self._catching_up:
            # Taken before the log is read: what is written meanwhile is for the next time.
            generation = self._catalog.generation
            if self._generation is not generation:
                await self._kept.catch_up()
                self._generation = generation
