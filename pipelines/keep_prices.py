"""Carts learn from the catalogue's events what each SKU costs: a projection in the memory of each replica.

It has no position of its own to keep: it begins with an empty memory, reads the log from its start, and follows it. A
SKU takes about half a kilobyte.
"""

import asyncio
import logging
from collections.abc import Mapping

from msgspec.structs import replace

from actors.pricing import Price
from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from actors.runtime.tasks import Tasks
from pipelines import metrics
from pipelines.events import catalog
from pipelines.log.base import EventLog, Happened
from pipelines.wanted import Types

NAME = "keep_prices"
READS = {catalog.KIND: catalog.Event.__args__}
BATCH = 500
LOOK_SECONDS = 1.0
FILL_SECONDS = 20.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

log = logging.getLogger("troupe.flows")


def line_name(name: str, options: Mapping[str, str]) -> str:
    """What a line of a cart is called: the product, and what was chosen of it."""
    return f"{name} ({', '.join(options.values())})" if options else name


class KeptPrices:
    """Prices by SKU. What is gone from sale, or was removed, stays known as gone."""

    def __init__(self, events: EventLog, *, clock: Clock | None = None) -> None:
        self._log = events
        self._clock = clock or SystemClock()
        self._types = Types(READS)
        self._tasks = Tasks()
        self._kept: dict[str, Price] = {}
        self._of_product: dict[str, tuple[Price, ...]] = {}
        self._position = 0
        self._reading = asyncio.Lock()
        self._filled = asyncio.Event()
        self._whole_at = self._clock.monotonic()

    async def start(self) -> None:
        """Fills the memory and follows the log from then on; not for long, if the log cannot be read."""
        metrics.PRICES_BEHIND.set_function(lambda: self._clock.monotonic() - self._whole_at)
        self._tasks.start(self._follow(), NAME)
        try:
            await asyncio.wait_for(self._filled.wait(), FILL_SECONDS)
        except TimeoutError:
            log.warning("prices are not filled yet: carts ask the catalogue meanwhile")

    async def close(self) -> None:
        await self._tasks.close()

    def get(self, sku: str) -> Price | None:
        """None if no event that was read tells of it."""
        return self._kept.get(sku)

    def learn(self, price: Price) -> Price:
        """Keeps a price that the catalogue was asked for, unless one as new is known; returns the newer."""
        known = self._kept.get(price.sku)
        if known is not None and known.version >= price.version:
            return known
        self._kept[price.sku] = price
        return price

    async def catch_up(self) -> None:
        """Reads the log to its end. Raises what the log raises."""
        async with self._reading:
            while True:
                began = self._clock.monotonic()
                happened = await self._log.read(self._position, BATCH)
                if not happened:
                    self._whole_at = began
                    return
                for one, event in await asyncio.to_thread(self._decoded, happened):
                    self._take(one, event)
                self._position = happened[-1].position
                metrics.HANDLED.labels(NAME).inc(len(happened))

    async def _follow(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self.catch_up()
                self._filled.set()
                pause = FIRST_PAUSE
                await self._log.wait(self._position, LOOK_SECONDS)
            except Exception:
                log.warning("%s waits", NAME, exc_info=True)
                await self._clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _decoded(self, happened: list[Happened]) -> list[tuple[Happened, catalog.Event]]:
        decoded = []
        for one in happened:
            event = self._types.decode(one)
            if isinstance(event, Exception):
                log.error("%s cannot read %s: %s", NAME, one.id, event)
            elif event is not None:
                decoded.append((one, event))
        return decoded

    def _take(self, happened: Happened, event: catalog.Event) -> None:
        before = self._of_product.pop(happened.entity, ())
        now = _prices(event.product) if isinstance(event, catalog.ProductChanged) else ()
        if now:
            self._of_product[happened.entity] = now
        for price in now:
            known = self._kept.get(price.sku)
            if known is None or known.version <= price.version:
                self._kept[price.sku] = price
        left = {price.sku for price in now}
        for price in before:
            # Unless it has become another product's meanwhile: that has put a newer price in this one's place.
            if price.sku not in left and self._kept.get(price.sku) is price:
                self._kept[price.sku] = replace(price, status="gone", version=price.version + 1)


def _prices(product: catalog.ProductFacts) -> tuple[Price, ...]:
    return tuple(
        Price(
            sku=variant.sku,
            name=line_name(product.name, variant.options),
            amount=variant.price,
            tax_class=variant.tax_class,
            status=variant.status,
            version=variant.price_version,
        )
        for variant in product.variants
    )
