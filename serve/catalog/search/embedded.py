"""Search in an index on this machine's disk, with tantivy: the half that answers.

One process writes (`generations.py`), any number read (`reading.py`).
"""

import asyncio
import base64
import binascii
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from tantivy import DocAddress, FieldType, Occur, Order, Query, Searcher

from actors.runtime.ports import Overloaded
from serve.catalog.search import facets
from serve.catalog.search.analysis import Analysis, folded
from serve.catalog.search.base import (
    DEEPEST,
    Asked,
    BadCursor,
    Found,
    Hit,
    Matched,
    Sort,
    Suggestion,
)
from serve.catalog.search.documents import (
    HIGHEST_KEY,
    STATE,
    Kept,
    active,
    category_paths,
    kept_in,
    schema,
)
from serve.catalog.search.engine import without_panic
from serve.catalog.search.highlights import Marker
from serve.catalog.search.queries import Texts, Words, words_of
from serve.catalog.search.reading import LOOK_SECONDS, Reader
from serve.catalog.search.synonyms import Synonyms

# Fewer products than this, and words that are nearly right are looked for too.
ENOUGH = 3

Answer = TypeVar("Answer")


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """`after`: the last key, or for relevance and names how many came before."""

    sort: Sort
    matched: Matched
    after: int


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
        cursor = None if asked.cursor is None else _unsealed(asked.cursor, asked.sort)
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
        texts = Texts(typed, self._analysis, groups, self._schema)
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
            hits=[_hit(kept, typed, marker) for kept in found],
            total=total,
            matched=matched,
            facets=facets.counted(searcher, text, chosen, asked) if cursor is None else None,
            next=None if following is None else _sealed(Cursor(asked.sort, matched, following)),
        )

    def _everything(self) -> Query:
        state = Query.term_query(self._schema, "id", STATE)
        return Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, state)])

    def _found_words(self, searcher: Searcher, texts: Texts, enough: int = ENOUGH) -> tuple[Query, Matched]:
        """The strictest reading of the words that finds enough. Filters do not change how words are read."""
        exact, bent = texts.query("all_words"), texts.query("typos")
        strictly = _count(searcher, exact)
        if strictly >= enough:
            return exact, "all_words"
        if (loosely := _count(searcher, bent)) > strictly:
            return bent, "typos"
        return (exact, "all_words") if loosely else (texts.query("some_words"), "some_words")

    def _page(
        self, searcher: Searcher, query: Query, sort: Sort, cursor: Cursor | None, limit: int
    ) -> tuple[list[Kept], int, int | None]:
        """What is on the page, how many there are on all, and where the next page begins."""
        after = 0 if cursor is None else cursor.after
        order = _ORDERS[sort]
        total = _count(searcher, query)
        if order is None or not order.key:
            field, way = (None, Order.Desc) if order is None else (order.field, order.order)
            hits = searcher.search(query, limit + 1, count=False, order_by_field=field, offset=after, order=way).hits
            more = len(hits) > limit and after + limit < DEEPEST
            return self._kept(searcher, [at for _, at in hits[:limit]]), total, after + limit if more else None
        if cursor is not None:
            low, high = (None, after - 1) if order.order == Order.Desc else (after + 1, None)
            beyond = Query.range_query(self._schema, order.field, FieldType.Integer, low, high)
            query = Query.boolean_query([(Occur.Must, query), (Occur.Must, beyond)])
        hits = searcher.search(query, limit + 1, count=False, order_by_field=order.field, order=order.order).hits
        following = int(hits[limit - 1][0]) if len(hits) > limit else None
        return self._kept(searcher, [at for _, at in hits[:limit]]), total, following

    def _kept(self, searcher: Searcher, addresses: list[DocAddress]) -> list[Kept]:
        return [kept_in(searcher.doc(address)) for address in addresses]

    def _suggest(self, text: str, limit: int) -> list[Suggestion]:
        searcher = self._reader.searcher()
        typed = words_of(text, self._analysis)
        if not typed.words:
            return []
        texts = Texts(typed, self._analysis, self._synonyms.groups(), self._schema)
        query, matched = self._found_words(searcher, texts, enough=1)
        found = [] if matched == "some_words" else self._page(searcher, query, "relevance", None, limit)[0]
        suggested = [
            *self._longer(searcher, typed, text)[: max(1, limit // 3)],
            *self._categories(found, typed)[: max(1, limit // 4)],
        ]
        products = [
            Suggestion(kind="product", text=kept.facts.name, target=kept.facts.slug, image=kept.facts.image)
            for kept in found
        ]
        return [*suggested, *products][:limit]

    def _longer(self, searcher: Searcher, typed: Words, text: str) -> list[Suggestion]:
        """What was typed with its last word finished, most frequent first, where other words are in names too."""
        if not typed.open:
            return []
        others = [Query.term_query(self._schema, "name", self._analysis.stem(word)) for word in typed.words[:-1]]
        together = Query.boolean_query([(Occur.Must, one) for one in others]) if others else Query.all_query()
        last = typed.words[-1]
        terms = searcher.terms_with_prefix("name_words", last, together, 8)
        before = " ".join(text.split()[:-1])
        return [Suggestion(kind="words", text=f"{before} {term}".strip()) for term, _ in terms if term != last]

    def _categories(self, found: list[Kept], typed: Words) -> list[Suggestion]:
        """Of what was found, those whose own name has the last word or begins with it."""
        named: dict[str, str] = {}
        for kept in found:
            for path, name in category_paths(kept.facts):
                words = self._analysis.words(name)
                stem = self._analysis.stem(typed.words[-1])
                if any(word.startswith(typed.words[-1]) or self._analysis.stem(word) == stem for word in words):
                    named.setdefault(path, name)
        return [Suggestion(kind="category", text=name, target=path) for path, name in named.items()]


def _count(searcher: Searcher, query: Query) -> int:
    return int(searcher.search(query, 1).count)  # type: ignore[attr-defined]  # the stub forgets it


def _call_soon(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(what)
    except RuntimeError:
        return  # the loop is closed, and nobody counts any more


def _hit(kept: Kept, typed: Words, marker: Marker) -> Hit:
    product, variants = kept.facts, active(kept.facts)
    prices = [variant.price for variant in variants]
    meant = [variant.sku for variant in variants if folded(variant.sku) == typed.whole]
    paths = category_paths(product)
    return Hit(
        id=product.id,
        sku=(meant or [variants[0].sku])[0],
        slug=product.slug,
        name=product.name,
        category=paths[-1][0] if paths else "",
        price=min(prices),
        price_max=max(prices),
        image=product.image,
        available=any(variant.sku in kept.in_stock for variant in variants),
        highlights=marker.highlights(product.name, product.description),
    )


def _sealed(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).rstrip(b"=").decode()


def _unsealed(text: str, sort: Sort) -> Cursor:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(raw, type=Cursor)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise BadCursor from None
    top = DEEPEST if sort in ("relevance", "name") else HIGHEST_KEY
    if cursor.sort != sort or not 0 <= cursor.after < top:
        raise BadCursor
    return cursor
