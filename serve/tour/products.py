"""Products as they stand in Elasticsearch, asked there and not by way of the shop."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from serve.catalog.search.analysis import folded
from serve.catalog.search.choosing import access_of, names_of
from serve.catalog.search.elastic_client import SECONDS, Access, client_of
from serve.settings import Settings


class Indexed(NamedTuple):
    """A document: which index is its home, of which product, as of which version of the product's."""

    home: str
    product: str
    version: int


def products_in(settings: Settings, skus: Sequence[str]) -> list[Indexed]:
    """The products with these SKUs that are for sale, in the order of their ids. Raises what the client raises."""
    access = access_of(settings)
    if access is None or not skus:
        return []
    return asyncio.run(_found(access, names_of(settings).products, skus))


async def _found(access: Access, index: str, skus: Sequence[str]) -> list[Indexed]:
    client = client_of(access, SECONDS)
    with_these = [{"terms": {"sku": [folded(sku) for sku in skus]}}, {"term": {"live": True}}]
    try:
        answer = await client.search(
            index=index, query={"bool": {"filter": with_these}}, size=len(skus), source_includes=["version"]
        )
    finally:
        await client.close()
    return sorted(Indexed(hit["_index"], hit["_id"], int(hit["_source"]["version"])) for hit in answer["hits"]["hits"])
