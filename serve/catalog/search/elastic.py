"""Search in Elasticsearch: the half that answers. The words, their order and what is marked are those of every engine;
one question is one request, unless its words are found too seldom as they stand.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar

from elasticsearch import AsyncElasticsearch, NotFoundError

from actors.runtime.ports import Overloaded, Unavailable
from serve.catalog.search import elastic_facets
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.answers import ENOUGH, Cursor, categories_named, hit, longer, product, sealed, unsealed
from serve.catalog.search.base import DEEPEST, Asked, Facets, Found, Matched, SearchRebuilding, Sort, Suggestion
from serve.catalog.search.elastic_client import SECONDS, Access, Asking, client_of
from serve.catalog.search.elastic_documents import facts_in
from serve.catalog.search.elastic_forms import ElasticForms, Query, literally, within
from serve.catalog.search.elastic_indexes import Names
from serve.catalog.search.facet_counts import MOST_ATTRIBUTES, Ends
from serve.catalog.search.highlights import Marker
from serve.catalog.search.queries import Texts, Words, words_of
from serve.catalog.search.synonyms import Groups, Synonyms

_LIVE: Query = {"term": {"live": True}}
_KEPT = ["kept", "available"]
_MOST_LONGER = 8

Made = TypeVar("Made")


class _Order(NamedTuple):
    by: list[dict[str, str]]
    key: bool


_ORDERS: dict[Sort, _Order] = {
    # Between equals the older one, as an index that products were written to one after the other has it.
    "relevance": _Order([{"_score": "desc"}, {"by_age": "asc"}], False),
    "price": _Order([{"by_price": "asc"}], True),
    "-price": _Order([{"by_price": "desc"}], True),
    "newest": _Order([{"by_age": "desc"}], True),
    "name": _Order([{"by_name": "asc"}], False),
}


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
                typed = await self._made(partial(self._typed, asked.text))
                chosen = elastic_facets.filters(asked)
                if cursor is not None:
                    answer = await self._page(typed, asked, chosen, cursor)
                else:
                    answer = await self._first_page(typed, asked, chosen)
                counted = await self._facets(typed, answer, asked, chosen) if cursor is None else None
                return await self._made(partial(self._found, typed, answer, asked, cursor, counted))

    async def suggest(self, text: str, limit: int) -> list[Suggestion]:
        """See `ProductSearch`."""
        with self:
            async with asyncio.timeout(2 * self._seconds):
                typed = await self._made(partial(self._typed, text))
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

    def _typed(self, text: str) -> _Typed:
        """In a thread: the file of synonyms is looked at."""
        words, groups = words_of(text, self._analysis), self._synonyms.groups()
        return _Typed(not text.strip(), words, Texts(words, self._analysis, groups, self._forms), groups)

    # What is asked

    def _body(self, text: Query, sort: Sort, limit: int, cursor: Cursor | None = None) -> dict[str, Any]:
        order = _ORDERS[sort]
        body: dict[str, Any] = {"query": text, "size": limit + 1, "sort": order.by, "_source": _KEPT}
        body["track_total_hits"] = True
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
            body["aggs"] = elastic_facets.counts(chosen, self._numbers)
            if chosen:
                body["post_filter"] = within(list(chosen.values()))
            answer = await self._ask(body)
            text = answer["aggregations"][elastic_facets.TEXT]["doc_count"] if chosen else _total(answer)
            return _Answer(matched, answer, text)

        if typed.blank:
            return await read("all_words")
        return await self._strictest(read, ENOUGH)

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

    async def _facets(self, typed: _Typed, answer: _Answer, asked: Asked, chosen: dict[str, Query]) -> Facets:
        counted = answer.body["aggregations"]
        known = elastic_facets.ends_in(counted)
        lacking: list[str] = []

        def made() -> Facets | None:
            try:
                return elastic_facets.facets(counted, known, chosen, asked)
            except KeyError as error:
                lacking.extend(error.args)
                return None

        found = await self._made(made)
        if found is None:
            known |= await self._ends(typed, answer.matched, chosen, lacking)
            found = await self._made(made)
        assert found is not None
        return found

    async def _ends(
        self, typed: _Typed, matched: Matched, chosen: dict[str, Query], names: list[str]
    ) -> dict[str, Ends]:
        """Of attributes not seen before."""
        aggs = elastic_facets.ends_query(names, chosen)
        answer = await self._ask({"query": self._query(typed, matched, []), "size": 0, "aggs": aggs})
        for name in names:
            self._numbers[name] = None
            if len(self._numbers) > MOST_ATTRIBUTES:
                del self._numbers[next(iter(self._numbers))]
        return elastic_facets.ends_in(answer["aggregations"])

    async def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._asking.ask(
                lambda: self._client.search(
                    index=self._names.products, allow_partial_search_results=False, request_cache=False, body=body
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
        self, typed: _Typed, answer: _Answer, asked: Asked, cursor: Cursor | None, counted: Facets | None
    ) -> Found:
        """In a thread: marking takes its time."""
        hits = answer.body["hits"]["hits"]
        marker = Marker(typed.words, answer.matched, self._analysis, typed.groups)
        after = self._after(hits, asked, typed, cursor)
        return Found(
            hits=[
                hit(facts_in(one["_source"]["kept"]), one["_source"]["available"], typed.words, marker)
                for one in hits[: asked.limit]
            ],
            total=_total(answer.body),
            matched=answer.matched,
            facets=counted,
            next=None if after is None else sealed(Cursor(asked.sort, answer.matched, after)),
        )

    def _after(self, hits: list[dict[str, Any]], asked: Asked, typed: _Typed, cursor: Cursor | None) -> int | None:
        if len(hits) <= asked.limit:
            return None
        if _ORDERS[_sorted(asked, typed)].key:
            return int(hits[asked.limit - 1]["sort"][0])
        after = asked.limit + (0 if cursor is None else cursor.after)
        return after if after < DEEPEST else None

    async def _suggest(self, typed: _Typed, text: str, limit: int) -> list[Suggestion]:
        async def read(matched: Matched) -> _Answer:
            answer = await self._ask(self._body(self._query(typed, matched, []), "relevance", limit))
            return _Answer(matched, answer, _total(answer))

        answer, terms = await asyncio.gather(self._strictest(read, 1), self._longer(typed))
        hits = [] if answer.matched == "some_words" else answer.body["hits"]["hits"][:limit]
        found = [facts_in(one["_source"]["kept"]) for one in hits]
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


def _total(answer: dict[str, Any]) -> int:
    return int(answer["hits"]["total"]["value"])
