"""The half of search that is written to, in Elasticsearch.

<prefix>-products-2-en            the alias of the index that answers
<prefix>-products-2-en-fed        the alias of all that are fed: of the one that answers and of the one being built
<prefix>-products-2-en-9f86d081   an index, of recipe 2 in English
<prefix>-stock                    of each SKU how its stock stands and which products have it
<prefix>-state                    how far each index has come; what is wanted
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from secrets import token_hex
from typing import Any

from elasticsearch import AsyncElasticsearch, BadRequestError, NotFoundError

from pipelines.events.catalog import ProductFacts
from pipelines.index_products import Change, ProductIndex
from serve.catalog.search.analysis import Analysis, folded
from serve.catalog.search.elastic_bulk import Bulk
from serve.catalog.search.elastic_client import WRITING_SECONDS
from serve.catalog.search.elastic_documents import (
    LINK,
    LONGEST_ID,
    MAPPINGS,
    MERGE,
    SCHEMA,
    SETTINGS,
    STOCK_MAPPINGS,
    facts_in,
    gone,
    source,
)

AT_ONCE = 500
MOST_PRODUCTS = 10_000

log = logging.getLogger("troupe.search")


class Names:
    """What everything is called. `prefix` keeps shops that share a server apart."""

    def __init__(self, language: str, prefix: str) -> None:
        self.prefix = prefix
        self.recipe = f"{SCHEMA}-{language}"
        self.products = f"{prefix}-products-{self.recipe}"
        self.fed = f"{self.products}-fed"
        self.stock = f"{prefix}-stock"
        self.state = f"{prefix}-state"
        self.wanted = f"rebuild-{self.recipe}"


async def setup(client: AsyncElasticsearch, names: Names) -> None:
    """The template of all indexes of products, and the two small indexes beside them. May be run again."""
    client = client.options(request_timeout=WRITING_SECONDS)
    await client.indices.put_index_template(
        name=f"{names.prefix}-products",
        index_patterns=[f"{names.prefix}-products-*"],
        template={"settings": SETTINGS, "mappings": MAPPINGS},
        # What is written late to an index that was given up must not make it anew.
        allow_auto_create=False,
        priority=200,
    )
    small = {"number_of_shards": 1, "auto_expand_replicas": "0-1", "refresh_interval": "30s"}
    for name, mappings in ((names.stock, STOCK_MAPPINGS), (names.state, STOCK_MAPPINGS)):
        try:
            await client.indices.create(index=name, settings=small, mappings=mappings)
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise


async def ask_for_rebuild(client: AsyncElasticsearch, names: Names) -> None:
    """Whoever runs the indexer begins within a second, or when it is started."""
    await setup(client, names)
    await client.index(index=names.state, id=names.wanted, document={})


async def is_rebuild_wanted(client: AsyncElasticsearch, names: Names) -> bool:
    """Whether somebody asked, and no new one answers yet."""
    return bool(await client.exists(index=names.state, id=names.wanted))


class ElasticIndex:
    """Implements `ProductIndex`. What it is given late changes nothing, so several may write to one index."""

    def __init__(
        self, client: AsyncElasticsearch, names: Names, name: str, analysis: Analysis, position: int, live: bool
    ) -> None:
        self.name = name
        self.live = live
        self._client = client
        self._names = names
        self._analysis = analysis
        self._position = position
        self._bulk = Bulk(client)

    @property
    def position(self) -> int:
        """See `ProductIndex`."""
        return self._position

    async def write(self, changes: Sequence[Change], position: int) -> None:
        """See `ProductIndex`; a part of it may be found before the rest."""
        for at in range(0, len(changes), AT_ONCE):
            await self._write(changes[at : at + AT_ONCE])
        await self.keep(position)

    async def _write(self, changes: Sequence[Change]) -> None:
        sources = await asyncio.to_thread(self._sources, changes)
        links = [(sku, change.product) for change, made in sources for sku in made["skus"]]
        # First: whoever notes stock from now on knows the product, and what was noted before is told here.
        told = await self._bulk.update(self._names.stock, [(sku, LINK, {"product": id}) for sku, id in links])
        stock: dict[str, dict[str, list[Any]]] = {}
        for (sku, id), doc in zip(links, told, strict=True):
            if doc is not None and "version" in doc:
                stock.setdefault(id, {})[sku] = [doc["version"], doc["there"]]
        merges = [
            (
                change.product,
                MERGE,
                {"product": made, "version": change.version, "stock": stock.get(change.product, {})},
            )
            for change, made in sources
        ]
        await self._bulk.update(self.name, merges, refresh=self.live)

    def _sources(self, changes: Sequence[Change]) -> list[tuple[Change, dict[str, Any]]]:
        made: list[tuple[Change, dict[str, Any]]] = []
        for change in changes:
            try:
                if len(change.product.encode()) > LONGEST_ID:
                    raise ValueError("its id is too long")
                product = None if change.facts is None else source(change.facts, self._analysis)
            except Exception:
                log.exception("the product %s cannot be indexed, and is not found", change.product)
                continue
            made.append((change, product or gone()))
        return made

    async def keep(self, position: int) -> None:
        """Notes how far the index has come; it never goes back."""
        await self._bulk.put(self._names.state, self.name, position, {"position": position})
        self._position = max(self._position, position)

    async def of_skus(self, skus: Iterable[str]) -> list[ProductFacts]:
        """See `ProductIndex`."""
        if not self.live:
            await self._client.indices.refresh(index=self.name)
        found = await self._client.search(
            index=self.name,
            query={"bool": {"filter": [{"terms": {"sku": [folded(sku) for sku in skus]}}, {"term": {"live": True}}]}},
            source_includes=["kept"],
            size=MOST_PRODUCTS,
        )
        return [facts_in(hit["_source"]["kept"]) for hit in found["hits"]["hits"]]

    async def close(self) -> None:
        """See `ProductIndex`."""


class ElasticIndexes:
    """Implements `ProductIndexes`."""

    def __init__(self, client: AsyncElasticsearch, names: Names, analysis: Analysis) -> None:
        self._client = client.options(request_timeout=WRITING_SECONDS)
        self._names = names
        self._analysis = analysis
        self._is_set_up = False

    async def current(self) -> ElasticIndex | None:
        """See `ProductIndexes`."""
        await self._set_up()
        for name in await self._aliased(self._names.products):
            try:
                state = await self._client.get(index=self._names.state, id=name)
            except NotFoundError:
                log.warning("the index of products cannot be used and is built anew: nobody knows how far it is")
                return None
            position = int(state["_source"]["position"])
            return ElasticIndex(self._client, self._names, name, self._analysis, position, live=True)
        return None

    async def begin(self) -> ElasticIndex:
        """See `ProductIndexes`."""
        await self._set_up()
        answers = await self._aliased(self._names.products)
        there = await self._client.indices.get(index=f"{self._names.products}-*", expand_wildcards="all")
        for name in set(there.body) - set(answers):
            await self._drop(name)
        name = f"{self._names.products}-{token_hex(4)}"
        # Fed from the first on: a note of stock that this index does not read, it is told.
        await self._client.indices.create(index=name, aliases={self._names.fed: {}}, settings={"refresh_interval": -1})
        made = ElasticIndex(self._client, self._names, name, self._analysis, 0, live=False)
        await made.keep(0)
        return made

    async def switch_to(self, index: ProductIndex) -> None:
        """See `ProductIndexes`."""
        assert isinstance(index, ElasticIndex)
        before = await self._aliased(self._names.products)
        await self._client.indices.forcemerge(index=index.name, max_num_segments=1)
        await self._client.indices.put_settings(index=index.name, settings=SETTINGS_LIVE)
        await self._client.indices.refresh(index=index.name)
        # One step: at no time does none answer, or two.
        await self._client.indices.update_aliases(
            actions=[
                {"add": {"index": index.name, "alias": self._names.products}},
                *({"remove_index": {"index": name}} for name in before if name != index.name),
            ]
        )
        index.live = True
        # What was written between the two.
        await self._client.indices.refresh(index=index.name)
        for name in before:
            await self._forget(name)
        await self._client.options(ignore_status=404).delete(index=self._names.state, id=self._names.wanted)

    async def rebuild_wanted(self) -> bool:
        """See `ProductIndexes`."""
        return await is_rebuild_wanted(self._client, self._names)

    async def close(self) -> None:
        """The client is its owner's to close."""

    async def _set_up(self) -> None:
        if not self._is_set_up:
            await setup(self._client, self._names)
            self._is_set_up = True

    async def _aliased(self, alias: str) -> list[str]:
        return await aliased(self._client, alias)

    async def _drop(self, name: str) -> None:
        await self._client.options(ignore_status=404).indices.delete(index=name)
        await self._forget(name)

    async def _forget(self, name: str) -> None:
        await self._client.options(ignore_status=404).delete(index=self._names.state, id=name)


SETTINGS_LIVE: Mapping[str, Any] = {"refresh_interval": SETTINGS["refresh_interval"]}


async def aliased(client: AsyncElasticsearch, alias: str) -> list[str]:
    """The indexes that have an alias."""
    try:
        found = await client.indices.get_alias(name=alias)
    except NotFoundError:
        return []
    return sorted(found.body)
