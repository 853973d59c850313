"""What is in stock, told to the documents of the products that have it.

The SKU's own document is first: its versions decide which of two notes is the newer, and it names the products. These
are written only if what they say may have changed.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from elasticsearch import AsyncElasticsearch

from pipelines.projection import Versioned
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.elastic_bulk import Bulk, IndexGone
from serve.catalog.search.elastic_client import WRITING_SECONDS, Access, client_of
from serve.catalog.search.elastic_documents import MERGE, NOTE
from serve.catalog.search.elastic_indexes import ElasticIndexes, Names, aliased, setup

MOST_KNOWN = 200_000


class _Told(NamedTuple):
    version: int
    there: bool


class ElasticStock:
    """Implements `NotesStock`. Any number of them may be told the same, in any order."""

    def __init__(self, client: AsyncElasticsearch, names: Names) -> None:
        self._client = client
        self._names = names
        self._bulk = Bulk(client)
        # What the products were told by this writer, as of which version.
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self._is_set_up = False

    async def note_stock(self, left: Mapping[str, Versioned[int]]) -> None:
        """See `NotesStock`."""
        if not self._is_set_up:
            await setup(self._client, self._names)
            self._is_set_up = True
        notes = {sku: _Told(version, units > 0) for sku, (version, units) in left.items()}
        said = await self._bulk.update(
            self._names.stock, [(sku, NOTE, {"version": n.version, "there": n.there}) for sku, n in notes.items()]
        )
        newest = {
            sku: doc
            for (sku, note), doc in zip(notes.items(), said, strict=True)
            if doc is not None and doc["version"] == note.version
        }
        updates = [update for sku, doc in newest.items() if self._may_differ(sku, doc) for update in _of(sku, doc)]
        if updates:
            await self._tell(_joined(updates))
        for sku in newest:
            self._told[sku] = notes[sku]
            self._told.move_to_end(sku)
        while len(self._told) > MOST_KNOWN:
            self._told.popitem(last=False)

    async def _tell(self, updates: list[tuple[str, str, dict[str, Any]]]) -> None:
        """Every index that is fed. Looked up only now: one that is begun later reads what was just noted."""
        for last in (False, False, True):
            try:
                for index in await aliased(self._client, self._names.fed):
                    await self._bulk.update(index, updates, refresh=True)
                return
            except IndexGone:
                if last:
                    raise  # again and again another one has taken its place

    def _may_differ(self, sku: str, doc: Mapping[str, Any]) -> bool:
        """Not if nobody noted anything between what this writer told the products last and now, and it is the same."""
        told = self._told.get(sku)
        return told is None or told.version not in (doc.get("before"), doc["version"]) or told.there != doc["there"]


def _of(sku: str, doc: Mapping[str, Any]) -> Iterable[tuple[str, str, list[Any]]]:
    for product in doc.get("products", ()):
        yield product, sku, [doc["version"], doc["there"]]


def _joined(updates: Iterable[tuple[str, str, list[Any]]]) -> list[tuple[str, str, dict[str, Any]]]:
    """One update a product."""
    stock: dict[str, dict[str, list[Any]]] = {}
    for product, sku, note in updates:
        stock.setdefault(product, {})[sku] = note
    return [(id, MERGE, {"product": None, "version": 0, "stock": notes}) for id, notes in stock.items()]


class StockInIndex:
    """Implements `KnowsStock` for indexes that are told of the stock by themselves: nothing is known beside them."""

    async def in_stock(self, skus: Iterable[str]) -> frozenset[str]:
        """See `KnowsStock`."""
        return frozenset()

    async def doubt(self, skus: Iterable[str]) -> None:
        """See `KnowsStock`."""

    async def doubted(self) -> frozenset[str]:
        """See `KnowsStock`."""
        return frozenset()

    async def keep(self, changed: Mapping[str, bool]) -> None:
        """See `KnowsStock`."""


class ElasticWritten:
    """All that is written to at one server, over one client."""

    def __init__(self, access: Access, analysis: Analysis, names: Names) -> None:
        self._client = client_of(access, WRITING_SECONDS)
        self.indexes = ElasticIndexes(self._client, names, analysis)
        self.stock = ElasticStock(self._client, names)

    async def close(self) -> None:
        await self._client.close()
