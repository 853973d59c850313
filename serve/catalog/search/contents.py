"""All that an index says of products, for who compares it with what the catalogue and the stock told."""

import asyncio

from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_scan
from tantivy import Occur, Query

from serve.catalog.search.analysis import Analysis
from serve.catalog.search.choosing import elasticsearch_of, names_of
from serve.catalog.search.documents import STATE, Kept, active, kept_in, schema
from serve.catalog.search.elastic_client import WRITING_SECONDS
from serve.catalog.search.elastic_documents import facts_in
from serve.catalog.search.elastic_indexes import Names, aliased
from serve.catalog.search.reading import Reader
from serve.settings import Settings

PAGE = 1_000

Contents = dict[str, Kept]
"""By id; what is in stock, of the variants that are for sale, in the order of the variants."""


async def contents_of(settings: Settings) -> Contents:
    """Of the index that answers. Raises SearchRebuilding if none does, and what Elasticsearch raises."""
    async with elasticsearch_of(settings) as client:
        if client is None:
            return await asyncio.to_thread(_on_disk, settings)
        return await in_elasticsearch(client, names_of(settings))


def _on_disk(settings: Settings) -> Contents:
    searcher = Reader(settings.search_dir, Analysis(settings.language)).searcher()
    products = Query.boolean_query(
        [(Occur.Must, Query.all_query()), (Occur.MustNot, Query.term_query(schema(), "id", STATE))]
    )
    found = (kept_in(searcher.doc(at)) for _, at in searcher.search(products, max(1, searcher.num_docs)).hits)
    return {kept.facts.id: told(kept) for kept in found}


async def in_elasticsearch(client: AsyncElasticsearch, names: Names) -> Contents:
    """See `contents_of`; nothing, while no index has the alias."""
    found: Contents = {}
    if not await aliased(client, names.products):
        return found
    live = {"query": {"term": {"live": True}}, "_source": ["kept", "stock"]}
    async for hit in async_scan(client, query=live, index=names.products, size=PAGE, request_timeout=WRITING_SECONDS):
        facts, stock = facts_in(hit["_source"]["kept"]), hit["_source"].get("stock") or {}
        found[facts.id] = told(Kept(facts, tuple(sku for sku, (_, there) in stock.items() if there)))
    return found


def told(kept: Kept) -> Kept:
    """The same of a product, whatever else was noted of its SKUs."""
    there = frozenset(kept.in_stock)
    return Kept(kept.facts, tuple(one.sku for one in active(kept.facts) if one.sku in there))
