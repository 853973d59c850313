"""Many documents written in one request, each by its version."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from elasticsearch import AsyncElasticsearch

from serve.catalog.search.elastic_client import WRITING_SECONDS

RETRIES = 8

log = logging.getLogger("troupe.search")


class NotWritten(Exception):
    """A part was not; to be written again."""


class IndexGone(NotWritten):
    """There is no such index any more."""


class Bulk:
    """Raises NotWritten, and what the client raises; then some of it may be written."""

    def __init__(self, client: AsyncElasticsearch) -> None:
        self._client = client.options(request_timeout=WRITING_SECONDS)

    async def update(
        self, index: str, updates: Iterable[tuple[str, str, Mapping[str, Any]]], *, refresh: bool = False
    ) -> list[dict[str, Any] | None]:
        """Each (id, script, parameters), made if it is not there; what each document says now.

        None: one that the server will never take, which is logged and passed over.
        """
        operations: list[Mapping[str, Any]] = []
        for id, script, params in updates:
            operations.append({"update": {"_id": id, "retry_on_conflict": RETRIES}})
            operations.append(
                {"scripted_upsert": True, "upsert": {}, "script": {"source": script, "params": params}, "_source": True}
            )
        if not operations:
            return []
        # Only what is asked for: documents are larger than what is sent about them.
        wanted = ["items.*.error", "items.*.status", "items.*._id", "items.*.get._source"]
        if refresh:
            wanted = wanted[:3]
        answer = await self._client.bulk(index=index, operations=operations, refresh=refresh, filter_path=wanted)
        # Where the index goes while it is written to, what failed has another name than what was asked for.
        return [self._written(next(iter(item.values()))) for item in answer["items"]]

    def _written(self, item: Mapping[str, Any]) -> dict[str, Any] | None:
        error = item.get("error")
        if error is None:
            found: dict[str, Any] | None = item.get("get", {}).get("_source")
            return found
        if item["status"] == 400:
            log.error("the document %s cannot be indexed, and is not found: %s", item["_id"], error["type"])
            return None
        kind = IndexGone if item["status"] == 404 else NotWritten
        raise kind(f"{error['type']} ({item['status']})")

    async def put(self, index: str, id: str, version: int, document: Mapping[str, Any]) -> None:
        """The document, unless one of a higher version is there."""
        # Versions begin at 1 there.
        operation = {"index": {"_id": id, "version": version + 1, "version_type": "external_gte"}}
        answer = await self._client.bulk(index=index, operations=[operation, document])
        [item] = answer["items"]
        if item["index"]["status"] not in (200, 201, 409):
            raise NotWritten(f"{item['index']['error']['type']} ({item['index']['status']})")
