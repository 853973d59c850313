"""Rebuilds the index of products: compared with what the log tells, and built anew by whoever runs the indexer.

That builds it beside the one that answers, which goes on until the new one is whole.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from pipelines import index_products
from pipelines.events.catalog import KIND, ProductChanged, ProductFacts
from pipelines.log.base import Happened
from pipelines.log.history import History
from pipelines.show_availability import Event as StockEvent
from pipelines.wanted import Types
from serve.catalog.search.base import SearchRebuilding
from serve.catalog.search.choosing import ask_for_rebuild, is_rebuild_wanted
from serve.catalog.search.contents import Contents, contents_of, told
from serve.catalog.search.documents import Kept, active
from serve.rebuilding.beside import AT_ONCE, Tell
from serve.rebuilding.comparing import LOOK_SECONDS, Difference, What
from serve.rebuilding.rows import Digests, checksum
from serve.rebuilding.tables import PATIENCE, Mode, Rebuilt
from serve.settings import Settings

NAME = index_products.NAME
WHAT = "the index that products are found in, with what is in stock"
READS = {**index_products.READS, "stock": StockEvent.__args__}
STEADY_SECONDS = 5.0
"""What differs for so long, while the log tells nothing new of it, is not on its way any more."""
BUILDING_SECONDS = 600.0

_encode = msgspec.msgpack.Encoder(order="sorted").encode


class Told:
    """What the log tells of all products, as far as it is read. Some kilobytes a product."""

    def __init__(self, products: History, stock: History) -> None:
        self._histories = (products, stock)
        self._reached: list[dict[str, int]] = [{}, {}]
        self._types = Types(READS)
        self._facts: dict[str, ProductFacts | None] = {}
        self._there: dict[str, bool] = {}
        self.events = 0
        self.unreadable: list[str] = []

    async def read_on(self, tell: Tell = lambda done, of: None) -> None:
        """Up to where the log ends now. Raises what the log raises."""
        ends = [await history.ends() for history in self._histories]
        whole = sum(end for one in ends for end in one.values())
        for history, reached, wanted in zip(self._histories, self._reached, ends, strict=True):
            for place, end in wanted.items():
                while reached.get(place, 0) < end:
                    piece = await history.read(place, reached.get(place, 0), end, AT_ONCE)
                    for happened in piece.events:
                        self._take(happened)
                    reached[place] = max(piece.reached, reached.get(place, 0))
                    tell(sum(sum(one.values()) for one in self._reached), whole)

    def _take(self, happened: Happened) -> None:
        event = self._types.decode(happened)
        if event is None:
            return
        if isinstance(event, Exception):
            self.unreadable.append(happened.id)
            return
        self.events += 1
        if happened.kind == KIND:
            self._facts[happened.entity] = event.product if isinstance(event, ProductChanged) else None
        else:
            self._there[happened.entity] = event.available > 0

    def contents(self) -> Contents:
        """What an index of all this says."""
        there = tuple(sku for sku, left in self._there.items() if left)
        return {id: told(Kept(facts, there)) for id, facts in self._facts.items() if facts and active(facts)}


class _Seen(NamedTuple):
    made: int | None
    there: int | None


class IndexComparison:
    """Of an index and what the log tells; see `serve.rebuilding.comparing.Comparison`."""

    def __init__(self, told: Told, look: Callable[[], Awaitable[Contents]]) -> None:
        self._told = told
        self._look = look
        self.there: Digests = {}
        self.made: Digests = {}
        self.moving: frozenset[str] = frozenset()

    async def settle(self, seconds: float) -> None:
        """Until nothing is under way; what is so after `seconds` is `moving`."""
        until = time.monotonic() + seconds
        since: dict[str, tuple[_Seen, float]] = {}
        while True:
            self.there = await asyncio.to_thread(_digests, await self._look())
            await self._told.read_on()
            self.made = await asyncio.to_thread(_digests, self._told.contents())
            now, before, since = time.monotonic(), since, {}
            for key in self._differing():
                seen = _Seen(self.made.get(key), self.there.get(key))
                earlier = before.get(key)
                since[key] = earlier if earlier is not None and earlier[0] == seen else (seen, now)
            self.moving = frozenset(key for key, (_, at) in since.items() if now - at < STEADY_SECONDS)
            if not self.moving or now >= until:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def differences(self) -> list[Difference]:
        return [Difference(key, self._what(key)) for key in sorted(self._differing()) if key not in self.moving]

    def _differing(self) -> list[str]:
        return [key for key in {*self.there, *self.made} if self.there.get(key) != self.made.get(key)]

    def _what(self, key: str) -> What:
        if key not in self.made:
            return "unknown"
        return "different" if key in self.there else "missing"


async def rebuild_index(
    settings: Settings,
    products: History,
    stock: History,
    mode: Mode,
    tell: Tell = lambda done, of: None,
    *,
    building_seconds: float = BUILDING_SECONDS,
) -> Rebuilt:
    """`building_seconds`: how long a new index is waited for; nobody builds it while the shop is closed.

    Raises what the log, the databases and Elasticsearch raise.
    """

    async def look() -> Contents:
        try:
            return await contents_of(settings)
        except SearchRebuilding:
            return {}

    told = Told(products, stock)
    await told.read_on(tell)
    comparison = IndexComparison(told, look)
    await comparison.settle(PATIENCE)
    there, made = checksum(comparison.there), checksum(comparison.made)
    found = left = comparison.differences()
    stays = mode != "drop" and any(one.what == "unknown" for one in found)
    if found and mode != "check" and not stays:
        await ask_for_rebuild(settings)
        until = time.monotonic() + building_seconds
        while await is_rebuild_wanted(settings) and time.monotonic() < until:  # noqa: ASYNC110  # another builds it
            await asyncio.sleep(LOOK_SECONDS)
        await comparison.settle(PATIENCE)
        left = comparison.differences()
    now, keys = checksum(comparison.there), len(comparison.made)
    return Rebuilt(told.events, keys, there, made, found, now, left, comparison.moving, told.unreadable)


def _digests(contents: Contents) -> Digests:
    return {id: int.from_bytes(blake2b(_encode(kept), digest_size=16).digest(), "big") for id, kept in contents.items()}
