"""A whole replay: the catalogue, the goods, the sales, the returns, and the comparison."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import httpx

from serve.catalog.service import Catalog
from serve.gateway.clock import now_ms
from serve.replay.calling import Calls
from serve.replay.comparing import CURRENCY, Comparison, Refused
from serve.replay.importing import import_catalogue, products_of, skus_of, units_of
from serve.replay.invoices import Book, read_book
from serve.replay.returning import Refund, Unmatched, match
from serve.replay.selling import Seller, concurrently, currency_of

T = TypeVar("T")
R = TypeVar("R")


class WrongShop(Exception):
    """The shop cannot sell what the invoices say; a text for people."""


class Options(NamedTuple):
    """`first`: so many invoices only. `seconds`: how long an order or a refund may take to settle."""

    first: int | None = None
    concurrency: int = 32
    seconds: float = 60.0
    shipping: str = "pickup"


class Shows(Protocol):
    """Shows how far a replay has come."""

    def begin(self, what: str, total: int | None) -> None: ...

    def advance(self) -> None: ...


class Replayed(NamedTuple):
    """What came of it. `selling_seconds`: from the first cart to the last order."""

    book: Book
    comparison: Comparison
    unmatched: list[Unmatched]
    products: int
    requests: int
    repeated: int
    seconds: float
    selling_seconds: float


class Replay:
    """`client` has staff rights; `catalog` is the shop's own, on its data folder."""

    def __init__(self, client: httpx.AsyncClient, catalog: Catalog, options: Options, shows: Shows) -> None:
        self._calls = Calls(client)
        self._catalog = catalog
        self._options = options
        self._shows = shows

    async def run(self, file: Path) -> Replayed:
        """Raises InvoicesUnreadable, CannotImport, WrongShop, GaveUp (goods could not be received)."""
        began, began_at = time.monotonic(), now_ms()
        self._shows.begin("reading", None)
        book, digest = await asyncio.to_thread(lambda: (read_book(file, self._options.first), digest_of(file)))
        await self._check_currency()
        skus = skus_of(line.code for sale in book.sales for line in sale.lines)
        seller = Seller(self._calls, skus, f"replay/{digest}", self._options.shipping, self._options.seconds)
        products = await self._stock_up(book, skus, seller)
        comparison = Comparison()
        selling = time.monotonic()
        await self._each("selling", book.sales, seller.sell, lambda s, o: comparison.take_order(s, o, began_at))
        selling_seconds = time.monotonic() - selling
        refunds, unmatched = match(book.sales, book.returns)
        await self._return(refunds, seller, comparison)
        seconds = time.monotonic() - began
        calls = self._calls
        return Replayed(book, comparison, unmatched, products, calls.count, calls.repeated, seconds, selling_seconds)

    async def _check_currency(self) -> None:
        currency = await currency_of(self._calls)
        if currency != CURRENCY:
            raise WrongShop(
                f"The invoices are in {CURRENCY}, the shop sells in {currency}: run it with TROUPE_CURRENCY"
            )

    async def _stock_up(self, book: Book, skus: dict[str, str], seller: Seller) -> int:
        products = products_of(book.sales)
        self._shows.begin("importing", len(products))
        await import_catalogue(self._catalog, products, skus)
        # By how many invoices, too: the whole file needs more units than a part of it that was replayed before.
        key = f"units-{len(book.sales)}"
        await self._each(
            "importing",
            units_of(book.sales).items(),
            lambda item: seller.receive(item[0], item[1], key),
            lambda _, __: None,
            begin=False,
        )
        return len(products)

    async def _return(self, refunds: list[Refund], seller: Seller, comparison: Comparison) -> None:
        """Each sale's refunds, then the sale as it is after them. A sale without an order has nothing to give back."""
        by_sale: dict[str, list[Refund]] = {}
        for refund in refunds:
            if refund.sale in comparison.orders:
                by_sale.setdefault(refund.sale, []).append(refund)
            else:
                comparison.refuse(refund.number, Refused(f"no_order: invoice {refund.sale} was not sold"))

        async def give_back(sale: str) -> None:
            order = comparison.orders[sale]
            expected = 0
            for refund in by_sale[sale]:
                refused = await seller.refund(refund, order)
                if refused is not None:
                    comparison.refuse(refund.number, refused)
                    continue
                expected += refund.amount
                comparison.refunds += 1
            after = await seller.settled(order.id)
            if isinstance(after, Refused):
                comparison.refuse(sale, after)
            else:
                comparison.compare_refunds(sale, after, expected)

        await self._each("refunding", list(by_sale), give_back, lambda _, __: None)

    async def _each(
        self,
        what: str,
        items: Iterable[T],
        work: Callable[[T], Awaitable[R]],
        take: Callable[[T, R], None],
        begin: bool = True,
    ) -> None:
        listed = list(items)
        if begin:
            self._shows.begin(what, len(listed))
        async with aclosing(concurrently(listed, work, self._options.concurrency)) as outcomes:
            async for item, outcome in outcomes:
                take(item, outcome)
                self._shows.advance()


def digest_of(file: Path) -> str:
    """Tells one file's content from another's."""
    digest = blake2b(digest_size=6)
    with file.open("rb") as opened:
        while piece := opened.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
