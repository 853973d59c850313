"""Search in an index on this machine's disk, with tantivy: the half that answers.

One process writes (`generations.py`), any number read (`reading.py`).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from tantivy import DocAddress, FieldType, Occur, Order, Query, Searcher, SearchResult

from actors.runtime.ports import Overloaded
from serve.catalog.search import facets
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.answers import ENOUGH, Cursor, categories_named, hit, longer, product, sealed, unsealed
from serve.catalog.search.base import DEEPEST, Asked, Found, Matched, Sort, Suggestion
from serve.catalog.search.documents import STATE, Kept, active, kept_in, schema
from serve.catalog.search.embedded_forms import EmbeddedForms
from serve.catalog.search.engine import without_panic
from serve.catalog.search.highlights import Marker
from serve.catalog.search.queries import Texts, Words, words_of
from serve.catalog.search.reading import LOOK_SECONDS, Reader
from serve.catalog.search.synonyms import Synonyms

Answer = TypeVar("Answer")


class _Order(NamedTuple):
    field: str
    order: Order
    key: bool


_ORDERS: dict[Sort, _Order | None] = {
    "relevance": None,
    "price": _Order("by_price", Order.Asc, True),
    "-price": _Order("by_price", Order.Desc, True),
    "newest": _Order("by_age", Order.Desc, True),
    "name": _Order("by_name", Order.Asc, False),
}


class EmbeddedSearch:
    """Implements `ProductSearch`. `threads` search at once, `waiting` may wait for one, for `seconds` in all."""

    def __init__(
        self,
        folder: Path,
        analysis: Analysis,
        synonyms: Synonyms,
        *,
        threads: int = 2,
        waiting: int = 64,
        seconds: float = 2.0,
        look_every: float = LOOK_SECONDS,
    ) -> None:
        self._reader = Reader(folder, analysis, look_every)
        self._analysis = analysis
        self._synonyms = synonyms
        self._schema = schema()
        self._seconds = seconds
        self._room = threads + waiting
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="search")

    async def close(self) -> None:
        """Waits for the searches that are running."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def search(self, asked: Asked) -> Found:
        """See `ProductSearch`."""
        cursor = None if asked.cursor is None else unsealed(asked.cursor, asked.sort)
        return await self._run(partial(self._search, asked, cursor))

    async def suggest(self, text: str, limit: int) -> list[Suggestion]:
        """See `ProductSearch`."""
        return await self._run(partial(self._suggest, text, limit))

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        if self._room <= 0:
            raise Overloaded(1.0)
        self._room -= 1
        loop = asyncio.get_running_loop()
        running = self._threads.submit(without_panic, work)
        # However the caller leaves: the room is free when the thread is, not before.
        running.add_done_callback(lambda _: _call_soon(loop, self._leave))
        async with asyncio.timeout(self._seconds):
            return await asyncio.wrap_future(running)

    def _leave(self) -> None:
        self._room += 1

    # In threads

    def _search(self, asked: Asked, cursor: Cursor | None) -> Found:
        searcher = self._reader.searcher()
        groups = self._synonyms.groups()
        typed = words_of(asked.text, self._analysis)
        texts = Texts(typed, self._analysis, groups, EmbeddedForms(self._schema))
        matched: Matched = "all_words"
        if not asked.text.strip():
            text = self._everything()
        elif cursor is not None:
            text, matched = texts.query(cursor.matched), cursor.matched
        else:
            text, matched = self._found_words(searcher, texts)
        chosen = facets.filters(asked, self._schema, searcher)
        within = facets.narrowed(text, chosen)
        # Without words nothing is more relevant than anything else.
        sort: Sort = "name" if asked.sort == "relevance" and not asked.text.strip() else asked.sort
        found, total, following = self._page(searcher, within, sort, cursor, asked.limit)
        marker = Marker(typed, matched, self._analysis, groups)
        return Found(
            hits=[hit(kept.facts, _in_stock(kept), typed, marker) for kept in found],
            total=total,
            matched=matched,
            facets=facets.counted(searcher, text, chosen, asked) if cursor is None else None,
            next=None if following is None else sealed(Cursor(asked.sort, matched, following)),
        )

    def _everything(self) -> Query:
        state = Query.term_query(self._schema, "id", STATE)
        return Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, state)])

    def _found_words(self, searcher: Searcher, texts: Texts[Query], enough: int = ENOUGH) -> tuple[Query, Matched]:
        """The strictest reading of the words that finds enough. Filters do not change how words are read."""
        exact = texts.query("all_words")
        strictly = _count(searcher, exact)
        if strictly >= enough:
            return exact, "all_words"
        bent = texts.query("typos")
        if (loosely := _count(searcher, bent)) > strictly:
            return bent, "typos"
        return (exact, "all_words") if loosely else (texts.query("some_words"), "some_words")

    def _page(
        self, searcher: Searcher, query: Query, sort: Sort, cursor: Cursor | None, limit: int
    ) -> tuple[list[Kept], int, int | None]:
        """What is on the page, how many there are on all, and where the next page begins."""
        after = 0 if cursor is None else cursor.after
        order = _ORDERS[sort]
        if order is None or not order.key:
            field, way = (None, Order.Desc) if order is None else (order.field, order.order)
            found = searcher.search(query, limit + 1, order_by_field=field, offset=after, order=way)
            total, hits = _counted(found), found.hits
            more = len(hits) > limit and after + limit < DEEPEST
            return self._kept(searcher, [at for _, at in hits[:limit]]), total, after + limit if more else None
        within = query
        if cursor is not None:
            low, high = (None, after - 1) if order.order == Order.Desc else (after + 1, None)
            beyond = Query.range_query(self._schema, order.field, FieldType.Integer, low, high)
            within = Query.boolean_query([(Occur.Must, query), (Occur.Must, beyond)])
        found = searcher.search(within, limit + 1, order_by_field=order.field, order=order.order)
        total, hits = _counted(found) if cursor is None else _count(searcher, query), found.hits
        following = int(hits[limit - 1][0]) if len(hits) > limit else None
        return self._kept(searcher, [at for _, at in hits[:limit]]), total, following

    def _kept(self, searcher: Searcher, addresses: list[DocAddress]) -> list[Kept]:
        return [kept_in(searcher.doc(address)) for address in addresses]

    def _suggest(self, text: str, limit: int) -> list[Suggestion]:
        searcher = self._reader.searcher()
        typed = words_of(text, self._analysis)
        if not typed.words:
            return []
        texts = Texts(typed, self._analysis, self._synonyms.groups(), EmbeddedForms(self._schema))
        query, matched = self._found_words(searcher, texts, enough=1)
        found = [] if matched == "some_words" else self._page(searcher, query, "relevance", None, limit)[0]
        suggested = [
            *self._longer(searcher, typed, texts, text)[: max(1, limit // 3)],
            *categories_named([kept.facts for kept in found], typed, self._analysis)[: max(1, limit // 4)],
        ]
        return [*suggested, *(product(kept.facts) for kept in found)][:limit]

    def _longer(self, searcher: Searcher, typed: Words, texts: Texts[Query], text: str) -> list[Suggestion]:
        """What was typed with its last word finished, most frequent first, where other words are in names too."""
        if not typed.open:
            return []
        others = texts.others_in_names()
        together = Query.boolean_query([(Occur.Must, one) for one in others]) if others else Query.all_query()
        return longer(
            text, typed, [term for term, _ in searcher.terms_with_prefix("name_words", typed.words[-1], together, 8)]
        )


def _count(searcher: Searcher, query: Query) -> int:
    return _counted(searcher.search(query, 1))


def _counted(found: SearchResult) -> int:
    return int(found.count)  # type: ignore[attr-defined]  # the stub forgets it


def _call_soon(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(what)
    except RuntimeError:
        return  # the loop is closed, and nobody counts any more


def _in_stock(kept: Kept) -> bool:
    return any(variant.sku in kept.in_stock for variant in active(kept.facts))
