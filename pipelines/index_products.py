"""Products can be found: what the catalogue tells of them goes into a search index, with what of them is in stock.

How far an index has come stands in the index itself, so the two never differ. Another index can be built from the
first event on beside the one that answers, and takes its place once it has caught up.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from actors.runtime.tasks import Tasks
from pipelines import metrics
from pipelines.events.catalog import KIND, ProductChanged, ProductFacts, ProductRemoved
from pipelines.log.base import EventLog
from pipelines.projection import Projection, Versioned
from pipelines.show_availability import Event as StockEvent
from pipelines.wanted import Types

NAME = "index_products"
READS = {KIND: (ProductChanged, ProductRemoved)}
STOCK_NAME = "index_stock"

BATCH = 500
REBUILDING_BATCH = 2000
COMMIT_EVERY = 0.25
LOOK_SECONDS = 0.5
STOCK_SECONDS = 0.1
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

log = logging.getLogger("troupe.flows")


class Change(NamedTuple):
    """What an index is to know of a product from now on. `facts` None: it is not there any more.

    `in_stock`: those of its SKUs of which units are left; an index that is told of the stock by itself passes it over.
    `version`: the product's.
    """

    product: str
    facts: ProductFacts | None
    in_stock: frozenset[str] = frozenset()
    version: int = 0


class ProductIndex(Protocol):
    """One index that is written to, by nobody else."""

    @property
    def position(self) -> int:
        """Every event up to here is in it."""
        ...

    async def write(self, changes: Sequence[Change], position: int) -> None:
        """All of it and the position, or nothing; durable when it returns, and found soon after. Idempotent."""
        ...

    async def of_skus(self, skus: Iterable[str]) -> list[ProductFacts]:
        """The products in it that have one of these SKUs."""
        ...

    async def close(self) -> None: ...


class ProductIndexes(Protocol):
    """The index that answers, and the one that is to take its place."""

    async def current(self) -> ProductIndex | None:
        """The one that answers, to be written to; None if there is none that can be used. Raises if not now."""
        ...

    async def begin(self) -> ProductIndex:
        """A new, empty one that does not answer yet; one that was begun before is given up."""
        ...

    async def switch_to(self, index: ProductIndex) -> None:
        """It answers from now on, and what was wanted is done. The old one is closed, and deleted."""
        ...

    async def rebuild_wanted(self) -> bool:
        """Whether somebody asked for a new index, or found the current one damaged."""
        ...


class NotesStock(Protocol):
    """Indexes that are told of the stock by itself, by whoever hears of it and in any order."""

    async def note_stock(self, left: Mapping[str, Versioned[int]]) -> None:
        """How many units of each SKU are left at a version; returns once it is found so. The newest version counts."""
        ...


class KnowsStock(Protocol):
    """What is in stock, as far as the index knows it."""

    async def in_stock(self, skus: Iterable[str]) -> frozenset[str]:
        """Those of the SKUs of which units are left."""
        ...

    async def doubt(self, skus: Iterable[str]) -> None:
        """The index may say another thing of these than what is kept, until something is kept; durable."""
        ...

    async def doubted(self) -> frozenset[str]:
        """Those of which nothing was kept since."""
        ...

    async def keep(self, changed: Mapping[str, bool]) -> None:
        """Of each SKU whether units are left, from now on."""
        ...


class _Feed:
    """An index and what is still to be looked at again in it because its stock changed."""

    def __init__(self, index: ProductIndex, stock: Iterable[str] = ()) -> None:
        self.index = index
        self.stock = set(stock)
        self.stocked = 0  # how many notes of stock are in it


class ProductIndexer:
    """Feeds the index from where it stands, until stopped, and builds another when one is wanted or none is usable."""

    def __init__(
        self, events: EventLog, indexes: ProductIndexes, stock: KnowsStock, *, clock: Clock | None = None
    ) -> None:
        self._log = events
        self._indexes = indexes
        self._stock = stock
        self._clock = clock or SystemClock()
        self._types = Types(READS)
        self._tasks = Tasks()
        self._current: _Feed | None = None
        self._next: _Feed | None = None
        self._fresh: dict[str, bool] = {}  # what changed of the stock, until the index has it and it is kept
        self._doubted: set[str] = set()  # what the index says of these may be another thing than what is kept
        self._notes = 0
        self._noted = asyncio.Event()
        self._moved = asyncio.Event()
        self._committed_at = float("-inf")
        self._handled = metrics.HANDLED.labels(NAME)

    async def start(self) -> None:
        """Raises what asking for the doubted stock raises."""
        self._doubted.update(await self._stock.doubted())
        self._tasks.start(self._run(), NAME)

    async def stop(self) -> None:
        """What was read and not written is read again after the next start."""
        await self._tasks.close()
        await self._close()

    @property
    def position(self) -> int:
        """Every event up to here is in the index that answers; 0 while there is none."""
        return self._current.index.position if self._current is not None else 0

    async def reached(self, position: int) -> None:
        """Returns once an index with every event up to `position` answers; the caller sets the deadline."""
        while self._current is None or self.position < position:
            self._moved.clear()
            await self._moved.wait()

    async def note_stock(self, left: Mapping[str, Versioned[int]]) -> None:
        """See `NotesStock`, told in order by one; returns once the index that answers knows it, if there is one."""
        before = await self._stock.in_stock(left)
        changed = {
            sku: units > 0 for sku, (_, units) in left.items() if (units > 0) != (sku in before) or sku in self._doubted
        }
        if not changed:
            return
        # First of all: a crash may come when the index knows it and nothing is kept. The events are read again then,
        # with later ones, and what they tell in the end may be just what was kept before.
        self._doubted.update(changed)
        await self._stock.doubt(changed)
        self._fresh |= changed
        for feed in (self._current, self._next):
            if feed is not None:
                feed.stock.update(changed)
        self._notes += 1
        mine = self._notes
        self._noted.set()
        while not self._shows(mine):
            self._moved.clear()
            await self._moved.wait()
        # Only now: what a crash takes away before it is told again, since these events are read again.
        await self._stock.keep(changed)
        self._doubted.difference_update(changed)
        for sku in changed:
            self._fresh.pop(sku, None)

    def _shows(self, note: int) -> bool:
        if self._current is not None:
            return self._current.stocked >= note
        return self._next is not None  # nothing answers, and what is built is given up if it does not come to answer

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._open()
                if not await self._step():
                    pause = FIRST_PAUSE
                    await self._wait()
            except Exception:
                # Whatever it is: the index is opened again, and goes on from where it stands.
                log.warning("the index of products waits", exc_info=True)
                await self._close()
                await self._clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _open(self) -> None:
        if self._current is None and self._next is None and (found := await self._indexes.current()) is not None:
            self._current = _Feed(found, self._fresh)
            self._moved.set()
        if self._next is None and (self._current is None or await self._indexes.rebuild_wanted()):
            log.info("an index of products is built from the first event on")
            self._next = _Feed(await self._indexes.begin())
            self._moved.set()

    async def _close(self) -> None:
        feeds = [feed for feed in (self._current, self._next) if feed is not None]
        self._current = self._next = None
        self._moved.set()
        for feed in feeds:
            try:
                await feed.index.close()
            except Exception:
                log.warning("an index of products could not be closed", exc_info=True)

    async def _step(self) -> bool:
        """Whether there was anything to do."""
        worked = False
        if self._current is not None:
            if self._next is None:
                await self._clock.sleep(max(0.0, self._committed_at + COMMIT_EVERY - self._clock.monotonic()))
            worked = await self._advance(self._current, BATCH)
            self._moved.set()
        if self._next is not None:
            if await self._advance(self._next, REBUILDING_BATCH):
                return True
            await self._switch(self._next)
            return True
        return worked

    async def _switch(self, feed: _Feed) -> None:
        """`feed` has just read the log to its end."""
        await self._indexes.switch_to(feed.index)
        log.info("a new index of products answers, built up to event %s", feed.index.position)
        self._current, self._next = feed, None
        self._moved.set()

    async def _advance(self, feed: _Feed, limit: int) -> bool:
        notes, stock, feed.stock = self._notes, feed.stock, set()
        try:
            events = await self._log.read(feed.index.position, limit)
            facts: dict[str, Versioned[ProductFacts | None]] = {}
            for happened in events:
                event = self._types.decode(happened)
                if isinstance(event, Exception):
                    log.error("%s cannot read %s: %s", NAME, happened.id, event)
                elif event is not None:
                    # Events of one product come in the order of its versions; the last says it all.
                    told = event.product if isinstance(event, ProductChanged) else None
                    facts[happened.entity] = Versioned(happened.version, told)
                    self._handled.inc()
            if stock:
                for product in await feed.index.of_skus(stock):
                    facts.setdefault(product.id, Versioned(0, product))
            if facts or events:
                position = events[-1].position if events else feed.index.position
                await feed.index.write(await self._changes(facts), position)
                self._committed_at = self._clock.monotonic()
        except BaseException:
            feed.stock |= stock
            raise
        feed.stocked = notes
        return bool(facts or events)

    async def _changes(self, facts: dict[str, Versioned[ProductFacts | None]]) -> list[Change]:
        told = [note.value for note in facts.values() if note.value is not None]
        skus = {variant.sku for product in told for variant in product.variants}
        fresh = dict(self._fresh)  # before the look: what is kept meanwhile is in one of the two
        left = set(await self._stock.in_stock(skus))
        left.update(sku for sku, there in fresh.items() if there)
        left.difference_update(sku for sku, there in fresh.items() if not there)
        return [
            Change(
                id, product, frozenset(left.intersection(v.sku for v in product.variants) if product else ()), version
            )
            for id, (version, product) in facts.items()
        ]

    async def _wait(self) -> None:
        """Until something may have happened, or it is time to look whether a rebuild is wanted."""
        position = self._current.index.position if self._current is not None else 0
        self._noted.clear()
        if self._current is not None and self._current.stock:
            return
        waits = [
            asyncio.ensure_future(self._log.wait(position, LOOK_SECONDS)),
            asyncio.ensure_future(self._noted.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


def index_stock(stock: NotesStock) -> Projection[int]:
    """Stock events -> what the index says is available. Noted as read only once the index knows it."""

    async def write(batch: Mapping[str, Versioned[int]]) -> None:
        await stock.note_stock(batch)

    return Projection(STOCK_NAME, {"stock": StockEvent.__args__}, _available, write, seconds=STOCK_SECONDS)


def _available(event: StockEvent) -> int:
    return event.available
