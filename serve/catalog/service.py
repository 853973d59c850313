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

from actors.pricing import Price
from pipelines.log.outbox import OutboxLog
from serve.catalog.bodies import body, summary
from serve.catalog.images import Image, checked_image, get_image, put_images
from serve.catalog.records import Category, Product
from serve.catalog.saving import Saved
from serve.catalog.schemas import (
    CatalogRefused,
    CategoryNode,
    CategoryTree,
    ProductBody,
    ProductChange,
    ProductDraft,
    ProductPage,
    Sort,
    VariantContent,
    VariantDraft,
    checked_sku,
)
from serve.catalog.store import Store, Whole, sort_value

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
        self._store = Store(url, THREADS, clock())
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
        if not found and category is not None and not await self._run(partial(self._store.has_category, category)):
            raise CatalogRefused("no_such_category", f"There is no category {category[:200]!r}.")
        page = found[:limit]
        following = _sealed(sort, sort_value(page[-1], sort), page[-1].key) if len(found) > limit else None
        return ProductPage([summary(product, self.currency) for product in page], following)

    async def product(self, slug: str) -> ProductBody:
        """Everything about one product, also one that is gone. Raises ``no_such_product``."""
        return await self._run(lambda: self._body(self._store.by_slug(slug), slug))

    async def image(self, name: str) -> Image:
        """The drawing of this name. Raises ``no_such_image``."""
        found = await self._run(partial(get_image, self._store, name))
        if found is None:
            raise CatalogRefused("no_such_image", f"There is no image {name[:80]!r}.")
        return found

    # For staff and imports

    async def product_of_sku(self, sku: str) -> ProductBody:
        """Everything about the product with this key, or with a variant of this SKU. Raises ``no_such_product``."""
        return await self._run(lambda: self._body(self._store.by_sku(sku), sku))

    async def put_product(self, key: str, draft: ProductDraft) -> tuple[ProductBody, bool]:
        """Creates or replaces a product; the second says whether it is new. The same again changes nothing.

        Raises ``bad_sku``, ``bad_name``, ``bad_category``, ``bad_variants``, ``bad_attribute``, ``has_variants``,
        ``sku_taken`` or ``slug_taken``.
        """
        (outcome,) = await self.put_products([(checked_sku(key), draft)])
        if isinstance(outcome, CatalogRefused):
            raise outcome
        return await self.product_of_sku(key), outcome.created

    async def put_products(
        self, drafts: Sequence[tuple[str, ProductDraft]], *, keep: bool = True
    ) -> list[Saved | CatalogRefused]:
        """Creates or replaces many products in one transaction, and says of each what came of it.

        Without `keep` nothing is written: it says what would come of it.
        """
        return await self._write(partial(self._store.put, drafts, self._clock(), keep=keep))

    async def patch_product(self, key: str, change: ProductChange) -> ProductBody:
        """Changes what is named of a product. Raises ``no_such_product``, ``version_changed`` or as `put_product`."""
        await self._write(partial(self._store.patch, key, change, self._clock()))
        return await self.product_of_sku(key)

    async def remove_product(self, key: str) -> None:
        """Takes a product away with all of its variants. Raises ``no_such_product``."""
        await self._write(partial(self._store.remove, key, self._clock()))

    async def put_variant(self, key: str, sku: str, variant: VariantContent) -> tuple[ProductBody, bool]:
        """Adds a variant to a product, or replaces it; the second says whether it is new.

        Raises ``no_such_product``, ``bad_sku``, ``bad_variants`` or ``sku_taken``.
        """
        draft = VariantDraft(sku=checked_sku(sku), **msgspec.structs.asdict(variant))
        created = await self._write(partial(self._store.put_variant, key, draft, self._clock()))
        return await self.product_of_sku(key), created

    async def remove_variant(self, key: str, sku: str) -> None:
        """Takes it away. Raises ``no_such_product``, ``no_such_variant`` or, of the only one, ``last_variant``."""
        await self._write(partial(self._store.remove_variant, key, sku, self._clock()))

    async def put_images(self, drawings: Sequence[tuple[str, str]]) -> None:
        """Keeps (name, SVG text), replacing what has the name. Raises ``bad_image``, and then keeps none."""
        await self._write(lambda: put_images(self._store, [checked_image(name, svg) for name, svg in drawings]))

    async def products_after(self, key: str, limit: int = 500) -> list[Product]:
        """Products of every status in the order of their keys, behind `key` ("" for the first)."""
        return await self._run(partial(self._store.after_key, key, limit))

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

    async def prices_of(self, skus: Sequence[str]) -> dict[str, Price]:
        """What carts must know of those of the SKUs that exist, from the database."""
        return await self._run(partial(self._store.prices_of, skus))

    def outbox_log(self) -> OutboxLog:
        """What happened to products (`pipelines.events.catalog`), in the order of commits."""
        return self._store.outbox_log()

    def _body(self, found: Whole | None, asked: str) -> ProductBody:
        if found is None:
            raise CatalogRefused("no_such_product", f"There is no product {asked[:120]!r}.")
        return body(found.product, found.trail, found.related, self.currency)

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


def _sealed(sort: Sort, value: str | int, key: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([sort, value, key])).decode().rstrip("=")


def _opened(cursor: str, sort: Sort) -> tuple[str | int, str]:
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        order, value, key = msgspec.json.decode(raw, type=tuple[Sort, str | int, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        order, value, key = sort, None, ""
    if (
        order != sort
        or not isinstance(value, str if sort == "name" else int)
        or (isinstance(value, int) and abs(value) >= 2**63)
    ):
        raise CatalogRefused("bad_cursor", "The cursor does not belong to this list.")
    return value, key
