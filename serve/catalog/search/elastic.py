"""Search in Elasticsearch: the half that answers. The words, their order and what is marked are those of every engine;
one question is one request, unless its words are found too seldom as they stand, or there are none.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar

from elasticsearch import AsyncElasticsearch, NotFoundError

from actors.runtime.ports import Overloaded, Unavailable
from pipelines.events.catalog import ProductFacts
from serve.catalog.search import elastic_facets
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.answers import ENOUGH, Cursor, categories_named, hit, longer, product, sealed, unsealed
from serve.catalog.search.base import DEEPEST, Asked, Found, Matched, SearchRebuilding, Sort, Suggestion
from serve.catalog.search.elastic_client import SECONDS, Access, Asking, client_of
from serve.catalog.search.elastic_documents import facts_in
from serve.catalog.search.elastic_facets import EndsUnknown
from serve.catalog.search.elastic_forms import ORDERS, ElasticForms, Query, literally, within
from serve.catalog.search.elastic_indexes import Names
from serve.catalog.search.facet_counts import MOST_ATTRIBUTES, Ends
from serve.catalog.search.highlights import Marker
from serve.catalog.search.queries import Texts, Words, words_of
from serve.catalog.search.synonyms import Groups, Synonyms

_LIVE: Query = {"term": {"live": True}}
# Without the documents themselves: to unpack them takes longer than to find them.
_FIELDS = {"_source": False, "stored_fields": "_none_", "docvalue_fields": ["kept", "available"]}
_MOST_LONGER = 8

Made = TypeVar("Made")


class _Typed(NamedTuple):
    """`blank`: nothing was typed, so everything is found."""

    blank: bool
    words: Words
    texts: Texts[Query]
    groups: Groups


class _Answer(NamedTuple):
    """`text`: how many the words find without any filter."""

    matched: Matched
    body: dict[str, Any]
    text: int


class ElasticSearch:
    """Implements `ProductSearch`; raises Unavailable while the server is away. At most `running` ask it at once.

    `seconds`: what a request to it may take. `close` when done.
    """

    def __init__(
        self,
        access: Access,
        analysis: Analysis,
        synonyms: Synonyms,
        names: Names,
        *,
        threads: int = 2,
        running: int = 64,
        seconds: float = SECONDS,
    ) -> None:
        self._client: AsyncElasticsearch = client_of(access, seconds)
        self._asking = Asking()
        self._names = names
        self._analysis = analysis
        self._synonyms = synonyms
        self._forms = ElasticForms()
        self._seconds = seconds
        self._room = running
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="search")
        # Attributes that are numbers, as far as they were seen: their ends are asked for together with all else.
        self._numbers: dict[str, None] = {}

    async def close(self) -> None:
        await self._client.close()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def search(self, asked: Asked) -> Found:
        """See `ProductSearch`."""
        cursor = None if asked.cursor is None else unsealed(asked.cursor, asked.sort)
        with self:
            async with asyncio.timeout(2 * self._seconds):
                typed = await self._typed(asked.text)
                chosen = elastic_facets.filters(asked)
                if cursor is not None:
                    answer = await self._page(typed, asked, chosen, cursor)
                else:
                    answer = await self._first_page(typed, asked, chosen)
                found = partial(self._found, typed, answer, asked, chosen, cursor)
                try:
                    return await self._made(partial(found, {}))
                except EndsUnknown as unknown:
                    return await self._made(partial(found, await self._ends(typed, answer, chosen, unknown.names)))

    async def suggest(self, text: str, limit: int) -> list[Suggestion]:
        """See `ProductSearch`."""
        with self:
            async with asyncio.timeout(2 * self._seconds):
                typed = await self._typed(text)
                if not typed.words.words:
                    return []
                return await self._suggest(typed, text, limit)

    def __enter__(self) -> None:
        if self._room <= 0:
            raise Overloaded(1.0)
        self._room -= 1

    def __exit__(self, *_: object) -> None:
        self._room += 1

    async def _made(self, work: Callable[[], Made]) -> Made:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _typed(self, text: str) -> _Typed:
        groups = self._synonyms.known()
        if groups is None:
            groups = await self._made(self._synonyms.groups)
        words = words_of(text, self._analysis)
        return _Typed(not text.strip(), words, Texts(words, self._analysis, groups, self._forms), groups)

    # What is asked

    def _body(self, text: Query, sort: Sort, limit: int, cursor: Cursor | None = None) -> dict[str, Any]:
        order = ORDERS[sort]
        body: dict[str, Any] = {"query": text, "size": limit + 1, "sort": order.by, "track_total_hits": True, **_FIELDS}
        if cursor is not None:
            body |= {"search_after": [cursor.after]} if order.key else {"from": cursor.after}
        return body

    def _query(self, typed: _Typed, matched: Matched, filters: list[Query]) -> Query:
        if typed.blank:
            return within([_LIVE, *filters])
        return {"bool": {"must": [typed.texts.query(matched)], "filter": [_LIVE, *filters]}}

    async def _page(self, typed: _Typed, asked: Asked, chosen: dict[str, Query], cursor: Cursor) -> _Answer:
        """A later page: nothing is counted, so filters come first."""
        query = self._query(typed, cursor.matched, list(chosen.values()))
        body = self._body(query, _sorted(asked, typed), asked.limit, cursor)
        return _Answer(cursor.matched, await self._ask(body), 0)

    async def _first_page(self, typed: _Typed, asked: Asked, chosen: dict[str, Query]) -> _Answer:
        """The strictest reading of the words that finds enough. Filters do not change how words are read."""

        async def read(matched: Matched) -> _Answer:
            body = self._body(self._query(typed, matched, []), _sorted(asked, typed), asked.limit)
            body["aggs"] = elastic_facets.counts(list(chosen.values()), chosen, self._numbers)
            if not chosen:
                answer = await self._ask(body)
                return _Answer(matched, answer, _total(answer))
            body["aggs"] |= elastic_facets.own_counts(chosen) | elastic_facets.text_count()
            answer = await self._ask(body | {"post_filter": within(list(chosen.values()))})
            return _Answer(matched, answer, answer["aggregations"][elastic_facets.TEXT]["doc_count"])

        return await (self._browsed(typed, asked, chosen) if typed.blank else self._strictest(read, ENOUGH))

    async def _browsed(self, typed: _Typed, asked: Asked, chosen: dict[str, Query]) -> _Answer:
        """Without words most products are counted: what is chosen of a facet and what is not in two requests at once.

        Many ask for the same without what they have chosen, so that is kept there while the index stays as it is.
        """
        page = self._body(self._query(typed, "all_words", list(chosen.values())), _sorted(asked, typed), asked.limit)
        page["aggs"] = elastic_facets.counts([], chosen, self._numbers)
        if not chosen:
            return _Answer("all_words", await self._ask(page), 0)
        own = {"query": _LIVE, "size": 0, "aggs": elastic_facets.own_counts(chosen)}
        answer, counted = await asyncio.gather(self._ask(page), self._ask(own, kept=True))
        answer["aggregations"] |= counted["aggregations"]
        return _Answer("all_words", answer, 0)

    async def _strictest(self, read: Callable[[Matched], Any], enough: int) -> _Answer:
        strictly: _Answer = await read("all_words")
        if strictly.text >= enough:
            return strictly
        loosely: _Answer = await read("typos")
        if loosely.text > strictly.text:
            return loosely
        if strictly.text:
            return strictly
        some: _Answer = await read("some_words")
        return some

    async def _ends(
        self, typed: _Typed, answer: _Answer, chosen: dict[str, Query], names: list[str]
    ) -> dict[str, Ends]:
        """Of attributes not seen before."""
        aggs = elastic_facets.ends_query(names, chosen)
        counted = await self._ask({"query": self._query(typed, answer.matched, []), "size": 0, "aggs": aggs})
        for name in names:
            self._numbers[name] = None
            if len(self._numbers) > MOST_ATTRIBUTES:
                del self._numbers[next(iter(self._numbers))]
        return elastic_facets.ends_in(counted["aggregations"])

    async def _ask(self, body: dict[str, Any], *, kept: bool = False) -> dict[str, Any]:
        try:
            answer = await self._asking.ask(
                lambda: self._client.search(
                    index=self._names.products, allow_partial_search_results=False, request_cache=kept, body=body
                )
            )
        except NotFoundError:
            raise SearchRebuilding from None
        if answer["timed_out"]:
            raise Unavailable("search took too long")
        found: dict[str, Any] = answer.body
        return found

    # What is answered

    def _found(
        self,
        typed: _Typed,
        answer: _Answer,
        asked: Asked,
        chosen: dict[str, Query],
        cursor: Cursor | None,
        ends: dict[str, Ends],
    ) -> Found:
        """In a thread: marking takes its time. Raises EndsUnknown."""
        counted = (
            None if cursor is not None else elastic_facets.facets(answer.body["aggregations"], ends, chosen, asked)
        )
        hits = answer.body["hits"]["hits"]
        marker = Marker(typed.words, answer.matched, self._analysis, typed.groups)
        after = self._after(hits, asked, typed, cursor)
        return Found(
            hits=[hit(_facts(one), one["fields"]["available"][0], typed.words, marker) for one in hits[: asked.limit]],
            total=_total(answer.body),
            matched=answer.matched,
            facets=counted,
            next=None if after is None else sealed(Cursor(asked.sort, answer.matched, after)),
        )

    def _after(self, hits: list[dict[str, Any]], asked: Asked, typed: _Typed, cursor: Cursor | None) -> int | None:
        if len(hits) <= asked.limit:
            return None
        if ORDERS[_sorted(asked, typed)].key:
            return int(hits[asked.limit - 1]["sort"][0])
        after = asked.limit + (0 if cursor is None else cursor.after)
        return after if after < DEEPEST else None

    async def _suggest(self, typed: _Typed, text: str, limit: int) -> list[Suggestion]:
        async def read(matched: Matched) -> _Answer:
            answer = await self._ask(self._body(self._query(typed, matched, []), "relevance", limit))
            return _Answer(matched, answer, _total(answer))

        answer, terms = await asyncio.gather(self._strictest(read, 1), self._longer(typed))
        hits = [] if answer.matched == "some_words" else answer.body["hits"]["hits"][:limit]
        found = [_facts(one) for one in hits]
        suggested = [
            *longer(text, typed.words, terms)[: max(1, limit // 3)],
            *categories_named(found, typed.words, self._analysis)[: max(1, limit // 4)],
        ]
        return [*suggested, *(product(facts) for facts in found)][:limit]

    async def _longer(self, typed: _Typed) -> list[str]:
        """How the last word may go on in names that have the others too, most frequent first."""
        if not typed.words.open:
            return []
        last = typed.words.words[-1]
        begins = {"prefix": {"name_words": {"value": last}}}
        terms = {"field": "name_terms", "include": f"{literally(last)}.*", "size": _MOST_LONGER}
        body = {
            "query": within([_LIVE, begins, *typed.texts.others_in_names()]),
            "size": 0,
            "aggs": {"terms": {"terms": terms}},
        }
        answer = await self._ask(body)
        return [bucket["key"] for bucket in answer["aggregations"]["terms"]["buckets"]]


def _sorted(asked: Asked, typed: _Typed) -> Sort:
    # Without words nothing is more relevant than anything else.
    return "name" if asked.sort == "relevance" and typed.blank else asked.sort


def _facts(hit: dict[str, Any]) -> ProductFacts:
    return facts_in(hit["fields"]["kept"][0])


def _total(answer: dict[str, Any]) -> int:
    return int(answer["hits"]["total"]["value"])
