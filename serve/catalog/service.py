"""What the catalogue does: answers about products and categories, and takes in changes of them.

The database is worked in threads of its own, so nothing here holds up the event loop.
"""

import asyncio
import base64
import binascii
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import msgspec

from serve.catalog.images import Image, checked_image, get_image, put_images
from serve.catalog.schemas import (
    CatalogRefused,
    Category,
    CategoryNode,
    CategoryTree,
    Product,
    ProductBody,
    ProductChange,
    ProductDraft,
    ProductPage,
    Sort,
    body,
    checked_sku,
    summary,
)
from serve.catalog.store import Saved, Store, sort_value

THREADS = 4
MAX_PAGE = 100
Answer = TypeVar("Answer")


def wall_clock() -> int:
    """UTC, milliseconds."""
    return time.time_ns() // 1_000_000


class Catalog:
    """The catalogue on one database. Raises `CatalogRefused` where it says no.

    `generation` is another object after every write that went through here: who keeps something in memory compares it.
    """

    def __init__(self, url: str, *, currency: str = "EUR", clock: Callable[[], int] = wall_clock) -> None:
        self.currency = currency
        self.generation = object()
        self._store = Store(url, THREADS)
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="catalog")

    async def close(self) -> None:
        """Waits for what is under way, then closes the database."""
        await asyncio.to_thread(self._threads.shutdown)
        self._store.close()

    # For shoppers

    async def categories(self) -> CategoryTree:
        """The tree, each category with the number of active products in it and below."""
        found, counts = await self._run(lambda: (self._store.categories(), self._store.counts()))
        return CategoryTree(_tree(found, counts))

    async def products(
        self, *, category: str | None = None, sort: Sort = "name", cursor: str | None = None, limit: int = 24
    ) -> ProductPage:
        """A page of active products of a category (a path of slugs) and all below it, or of all.

        Raises ``no_such_category``, and ``bad_cursor`` if the cursor is none of this order.
        """
        after = None if cursor is None else _opened(cursor, sort)
        limit = max(1, min(limit, MAX_PAGE))
        found = await self._run(partial(self._store.page, category, sort, after, limit + 1))
        if not found and category is not None and not await self._run(partial(self._store.trail, category)):
            raise CatalogRefused("no_such_category", f"There is no category {category[:200]!r}.")
        page = found[:limit]
        following = _sealed(sort, sort_value(page[-1], sort), page[-1].sku) if len(found) > limit else None
        return ProductPage([summary(product, self.currency) for product in page], following)

    async def product(self, slug: str) -> ProductBody:
        """Everything about one product, also one that is gone. Raises ``no_such_product``."""
        return await self._run(lambda: self._body(self._store.product(slug=slug), slug))

    async def image(self, name: str) -> Image:
        """The drawing of this name. Raises ``no_such_image``."""
        found = await self._run(partial(get_image, self._store, name))
        if found is None:
            raise CatalogRefused("no_such_image", f"There is no image {name[:80]!r}.")
        return found

    # For staff and imports

    async def product_of_sku(self, sku: str) -> ProductBody:
        """Everything about one product. Raises ``no_such_product``."""
        return await self._run(lambda: self._body(self._store.product(sku=sku), sku))

    async def put_product(self, sku: str, draft: ProductDraft) -> tuple[ProductBody, bool]:
        """Creates or replaces a product; the second says whether it is new. The same again changes nothing.

        Raises ``bad_sku``, ``bad_category`` or ``slug_taken``.
        """
        (outcome,) = await self.put_products([(checked_sku(sku), draft)])
        if isinstance(outcome, CatalogRefused):
            raise outcome
        return await self._run(lambda: self._body(outcome.product, sku)), outcome.created

    async def put_products(self, drafts: Sequence[tuple[str, ProductDraft]]) -> list[Saved | CatalogRefused]:
        """Creates or replaces many products in one transaction, and says of each what came of it."""
        return await self._write(partial(self._store.put, drafts, self._clock()))

    async def patch_product(self, sku: str, change: ProductChange) -> ProductBody:
        """Changes what is named of a product. Raises ``no_such_product``, ``version_changed`` or as `put_product`."""
        saved = await self._write(partial(self._store.patch, sku, change, self._clock()))
        return await self._run(lambda: self._body(saved.product, sku))

    async def put_images(self, drawings: Sequence[tuple[str, str]]) -> None:
        """Keeps (name, SVG text), replacing what has the name. Raises ``bad_image``, and then keeps none."""
        await self._write(lambda: put_images(self._store, [checked_image(name, svg) for name, svg in drawings]))

    async def products_after(self, sku: str, limit: int = 500) -> list[Product]:
        """Products of every status in the order of their SKUs, behind `sku` ("" for the first)."""
        return await self._run(partial(self._store.after_sku, sku, limit))

    async def all_categories(self) -> list[Category]:
        """Every category, parents before children."""
        return await self._run(self._store.categories)

    async def loaded(self, name: str) -> bool:
        """Whether a data set of this name was noted as loaded."""
        return await self._run(partial(self._store.loaded, name))

    async def note_loaded(self, name: str) -> None:
        """Notes a data set as loaded."""
        await self._run(partial(self._store.note_loaded, name, self._clock()))

    # For flows and projections

    async def note_availability(self, sku: str, available: int, version: int) -> None:
        """Keeps how many units of a SKU are left, unless as new a `version` of its stock was noted before."""
        await self.note_availabilities([(sku, available, version)])

    async def note_availabilities(self, notes: Sequence[tuple[str, int, int]]) -> None:
        """`note_availability` for many (sku, available, version), in one transaction."""
        # Not a write that makes others forget: it comes all the time, and prices do not depend on it.
        await self._run(partial(self._store.note_availability, notes))

    async def changed_since(self, number: int, limit: int = 500) -> tuple[int, list[Product]]:
        """Products changed after change `number`, oldest change first, and the number of the last change of all.

        Each product comes once, as it is now; a reader goes on from the `changed` of the last that it got.
        """
        return await self._run(partial(self._store.changed_since, number, limit))

    async def of_skus(self, skus: Sequence[str]) -> tuple[int, list[Product]]:
        """Those of the SKUs that exist, and the number of the last change that they show."""
        return await self._run(partial(self._store.of_skus, skus))

    def _body(self, product: Product | None, asked: str) -> ProductBody:
        if product is None:
            raise CatalogRefused("no_such_product", f"There is no product {asked[:120]!r}.")
        return body(product, self._store.trail(product.category), self.currency)

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _write(self, work: Callable[[], Answer]) -> Answer:
        def written() -> Answer:
            # In the thread: when the caller hangs up the write goes on, and what memory holds must still be given up.
            try:
                return work()
            finally:
                self.generation = object()

        return await self._run(written)


def _tree(found: Sequence[Category], counts: dict[str, int]) -> list[CategoryNode]:
    below: dict[str | None, list[Category]] = {}
    for category in found:
        below.setdefault(category.parent, []).append(category)

    def nodes(parent: str | None) -> list[CategoryNode]:
        made = []
        for category in below.get(parent, ()):
            children = nodes(category.path)
            count = counts.get(category.path, 0) + sum(child.count for child in children)
            made.append(CategoryNode(category.path, category.name, count, children))
        return made

    return nodes(None)


def _sealed(sort: Sort, value: str | int, sku: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([sort, value, sku])).decode().rstrip("=")


def _opened(cursor: str, sort: Sort) -> tuple[str | int, str]:
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        order, value, sku = msgspec.json.decode(raw, type=tuple[Sort, str | int, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        order, value, sku = sort, None, ""
    if (
        order != sort
        or not isinstance(value, str if sort == "name" else int)
        or (isinstance(value, int) and abs(value) >= 2**63)
    ):
        raise CatalogRefused("bad_cursor", "The cursor does not belong to this list.")
    return value, sku
