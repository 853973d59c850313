"""Shoppers who go on while servers fail, and remember every answer that they got and all that they were promised."""

import asyncio
import itertools
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import NamedTuple

import httpx

from tests.api.shopping import Json, Staff, bearer, body, order_form
from tests.crowds import Crowd
from tests.running import RunningShop

SHOPPERS = 8
PRODUCTS = 8
PLENTY = 100_000
PAUSE = 0.2
NORMAL_SECONDS = 5.0
"""A journey through the shop that takes no longer, and in which nothing is refused, is a normal one."""
FINE = ("200", "201", "202")
REFUSED = "503"
"""With a problem that says so, and when to come again."""
PAYMENTS = (("card", "pm_card_visa"), ("card", "pm_webhook_never"), ("cash_on_delivery", ""))


class Seen(NamedTuple):
    """One answer: when (monotonic seconds), to what, its status or the error instead of it, after how many seconds."""

    at: float
    what: str
    told: str
    seconds: float


class Bought(NamedTuple):
    token: str
    skus: tuple[str, ...]
    answer: httpx.Response


class Load(Crowd):
    """Buys, fills carts and looks around, from `start` to `stop`. What is refused with 503 is asked for again."""

    def __init__(self, url: str, goods: list[str]) -> None:
        super().__init__(url, 4 * SHOPPERS)
        self.seen: list[Seen] = []
        self.bought: list[Bought] = []
        self.carts: dict[str, Counter[str]] = {}
        """What was put into carts, by token, so far as that was acknowledged."""
        self.versions: dict[str, int] = {}
        """Of those carts, as they were last seen: who names it is not shown an older one."""
        self._goods = goods
        self._numbers = itertools.count()
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        begun = [*(self._buys() for _ in range(SHOPPERS)), self._hoards(), self._hoards(), self._looks()]
        self._tasks = [asyncio.create_task(one) for one in begun]

    async def stop(self) -> None:
        """Everybody ends what they have begun."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().__aexit__(kind, error, trace)

    async def normal(self, within: float) -> float:
        """Seconds until somebody went all the way through the shop as on any day. AssertionError after `within`."""
        began = time.monotonic()
        while True:
            told = await self._journey()
            if told == "normal":
                return time.monotonic() - began
            assert time.monotonic() - began < within, f"the shop did not become normal again: {told}"
            await asyncio.sleep(PAUSE)

    async def _send(self, method: str, path: str, headers: dict[str, str], json: Json | None) -> httpx.Response:
        began = time.monotonic()
        told = "nothing"
        try:
            answer = await super()._send(method, path, headers, json)
            told = _told(answer)
        except httpx.TransportError as error:
            told = type(error).__name__
            raise
        finally:
            self.seen.append(
                Seen(began, _what(method, path, "Authorization" in headers), told, time.monotonic() - began)
            )
        return answer

    async def _buys(self) -> None:
        async for number in self._until_stopped():
            skus = tuple(self._goods[(number * step) % PRODUCTS] for step in ((1,) if number % 2 else (1, 3)))
            token = await self.fill(*skus)
            method, reference = PAYMENTS[number % len(PAYMENTS)]
            answer = await self.ask("POST", "/api/orders", token, order_form(reference, method))
            self.bought.append(Bought(token, skus, answer))

    async def _hoards(self) -> None:
        """One cart, and never a checkout."""
        token = await self.fill(self._goods[0])
        mine = self.carts[token] = Counter({self._goods[0]: 1})
        async for number in self._until_stopped():
            sku = self._goods[number % PRODUCTS]
            answer = await self.ask("POST", "/api/cart/items", token, {"sku": sku, "quantity": 1})
            self.versions[token] = body(answer)["version"]
            mine[sku] += 1

    async def _looks(self) -> None:
        """Once each, whatever comes of it: it is in `seen`."""
        async for number in self._until_stopped():
            sku = self._goods[number % PRODUCTS]
            wanted = ["/api/catalog/categories", f"/api/catalog/products/{sku.lower()}", f"/api/catalog/search?q={sku}"]
            if self.bought:
                wanted.append("/api/orders")
            token = self.bought[-1].token if self.bought else ""
            for path in wanted:
                try:
                    await self._send("GET", path, bearer(token) if path == "/api/orders" else {}, None)
                except httpx.TransportError:
                    continue

    def _until_stopped(self) -> "Turns":
        return Turns(self._numbers, self._stopping)

    async def _journey(self) -> str:
        """ "normal", or what was not."""
        began = time.monotonic()
        item = {"sku": self._goods[0], "quantity": 1}
        try:
            filled = await self._send("POST", "/api/cart/items", _key(), item)
            if filled.status_code != 200:
                return f"cart {filled.status_code}"
            token = filled.json()["guest_token"]
            placed = await self._send("POST", "/api/orders", _key() | bearer(token), order_form())
            if placed.status_code not in (201, 202):
                return f"checkout {placed.status_code}"
            self.bought.append(Bought(token, (self._goods[0],), placed))
            while time.monotonic() - began < NORMAL_SECONDS:
                order = await self._send("GET", f"/api/orders/{placed.json()['id']}", bearer(token), None)
                if order.status_code != 200:
                    return f"order {order.status_code}"
                if order.json()["status"] == "confirmed":
                    return "normal"
                await asyncio.sleep(PAUSE)
        except httpx.TransportError as error:
            return type(error).__name__
        return "slow"


class Turns:
    """Numbers, with a pause between, until it is over."""

    def __init__(self, numbers: Iterator[int], stopping: asyncio.Event) -> None:
        self._numbers = numbers
        self._stopping = stopping

    def __aiter__(self) -> "Turns":
        return self

    async def __anext__(self) -> int:
        await asyncio.sleep(PAUSE)
        if self._stopping.is_set():
            raise StopAsyncIteration
        return next(self._numbers)


def goods(shop: RunningShop) -> list[str]:
    """Products of which there is enough for everybody."""
    skus = [f"F-{secrets.token_hex(5)}" for _ in range(PRODUCTS)]
    with shop.client() as web:
        staff = Staff(web, shop.staff_token())
        for sku in skus:
            staff.put_product(sku, 1000, name=sku)
            staff.receive(sku, PLENTY)
    return skus


def counted(some: Iterable[str]) -> dict[str, int]:
    """How often there was each, the most frequent first."""
    return dict(Counter(some).most_common())


def longest(seen: Iterable[Seen]) -> dict[str, float]:
    """The longest wait of each sort of request, in seconds."""
    found: dict[str, float] = {}
    for one in seen:
        found[one.what] = round(max(found.get(one.what, 0.0), one.seconds), 2)
    return dict(sorted(found.items()))


def _key() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(8)}


def _told(answer: httpx.Response) -> str:
    status = answer.status_code
    if status < 500:
        return str(status)
    if status == 503 and "retry-after" in answer.headers and "problem+json" in answer.headers["content-type"]:
        return REFUSED
    code = answer.json()["code"] if "problem+json" in answer.headers["content-type"] else "without a problem"
    return f"{status} {code}"


def _what(method: str, path: str, known: bool) -> str:
    if method == "POST":
        return "checkout" if path == "/api/orders" else "cart" if known else "new cart"
    for beginning, name in (
        ("/api/catalog/categories", "categories"),
        ("/api/catalog/products", "product"),
        ("/api/catalog/search", "search"),
        ("/api/orders/", "order"),
    ):
        if path.startswith(beginning):
            return name
    return "orders"
