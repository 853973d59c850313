"""A replay against a shop that the test plays: requests, repetitions, and what is compared."""

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from serve.catalog.service import Catalog
from serve.replay.calling import Calls, GaveUp
from serve.replay.comparing import Comparison, Order, Refused, differences, pounds
from serve.replay.invoices import Invoice, InvoiceLine
from serve.replay.replaying import Options, Replay, Replayed, WrongShop
from serve.replay.report import rows_of, show
from serve.replay.selling import concurrently
from tests.unit.test_invoices import written

SALE = Invoice("1", 0, "17850", "EIRE", (InvoiceLine("A", "a", 2, 150), InvoiceLine("B", "b", 1, 1)))
GOOD = Order("o-1", "confirmed", 301, "GBP", 3, 10)


def test_an_equal_order_differs_in_nothing() -> None:
    assert differences(SALE, GOOD) == []


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"total": 302}, "comes to 3.02, not 3.01"),
        ({"units": 2}, "has 2 units, not 3"),
        ({"currency": "EUR"}, "is in EUR, not GBP"),
        ({"status": "cancelled"}, "is cancelled, not confirmed"),
    ],
)
def test_every_penny_and_unit_counts(changed: dict[str, Any], what: str) -> None:
    assert differences(SALE, GOOD._replace(**changed)) == [what]


@pytest.mark.parametrize(("amount", "text"), [(0, "0.00"), (7, "0.07"), (123_456_789, "1,234,567.89"), (-5, "-0.05")])
def test_pounds(amount: int, text: str) -> None:
    assert pounds(amount) == text


def test_a_comparison_counts_each_invoice_once() -> None:
    comparison = Comparison()
    comparison.take_order(SALE, GOOD, began=10)
    comparison.take_order(SALE._replace(number="2"), GOOD, began=11)
    assert (comparison.replayed, comparison.equal, comparison.before, comparison.clean) == (2, 2, 1, True)
    comparison.take_order(SALE._replace(number="3"), GOOD._replace(total=1, units=1), began=0)
    comparison.take_order(SALE._replace(number="4"), Refused("out_of_stock: Not enough."), began=0)
    comparison.compare_refunds("1", GOOD._replace(refunded=100), 100)
    comparison.compare_refunds("2", GOOD._replace(refunded=100), 99)
    assert (comparison.replayed, comparison.equal, comparison.refused) == (3, 2, {"out_of_stock": 1})
    assert [(found.number, found.what) for found in comparison.different] == [
        ("3", "comes to 0.01, not 3.01"),
        ("3", "has 1 units, not 3"),
        ("2", "has 1.00 refunded, not 0.99"),
    ]
    assert not comparison.clean


class Shop:
    """Answers as the shop does, from what it was asked; `stumbles`: answers that come first, by path."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.stumbles: dict[str, list[Callable[[httpx.Request], httpx.Response]]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.carts: dict[str, list[dict[str, Any]]] = {}
        self.currency = "GBP"
        self.overcharge = 0
        self.slow = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path
        if self.stumbles.get(path):
            return self.stumbles[path].pop(0)(request)
        body = httpx.Response(200, content=request.content).json() if request.content else {}
        if path == "/api/cart":
            return httpx.Response(200, json={"currency": self.currency})
        if path.startswith("/api/admin/stock/"):
            return httpx.Response(200, json={})
        if path == "/api/admin/carts":
            token = f"guest-{request.headers['idempotency-key']}"
            self.carts[token] = body["items"]
            return httpx.Response(201, json={"guest_token": token})
        if path == "/api/orders":
            return self._place(request.headers["authorization"].removeprefix("Bearer "))
        if path.endswith("/refunds"):
            order = self.orders[path.split("/")[4]]
            order["refunds"].append({"amount": body["amount"], "status": "requested"})
            return httpx.Response(200, json=order)
        order = self.orders[path.split("/")[-1]]
        order["status"] = "confirmed"
        for refund in order["refunds"]:
            refund["status"] = "refunded"
        return httpx.Response(200, json=order)

    def _place(self, token: str) -> httpx.Response:
        lines = self.carts[token]
        order_id = f"o-{token.rpartition('/')[2]}"
        total = sum(line["quantity"] * line["agreed_price"] for line in lines) + self.overcharge
        status = "placed" if self.slow else "confirmed"
        self.orders[order_id] = {
            "id": order_id,
            "status": status,
            "totals": {"total": total},
            "currency": self.currency,
            "lines": lines,
            "placed_at": 2**42,
            "refunds": [],
        }
        return httpx.Response(202 if self.slow else 201, json=self.orders[order_id])

    def sent(self, path: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.path == path]


class Silent:
    def begin(self, what: str, total: int | None) -> None: ...

    def advance(self) -> None: ...


async def replay(shop: Shop, folder: Path, options: Options = Options(seconds=5.0)) -> Replayed:  # noqa: B008
    catalog = Catalog(f"sqlite:///{folder / 'catalog.db'}", currency="GBP")
    transport = httpx.MockTransport(shop.answer)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://shop", auth=("staff", "x")) as client:
            return await Replay(client, catalog, options, Silent()).run(written(folder / "invoices.csv"))
    finally:
        await catalog.close()


async def test_a_whole_replay(tmp_path: Path) -> None:
    shop = Shop()
    replayed = await replay(shop, tmp_path)
    comparison = replayed.comparison
    assert (comparison.replayed, comparison.equal, comparison.refunds, comparison.clean) == (2, 2, 1, True)
    received = {r.url.path.split("/")[4] for r in shop.requests if r.url.path.endswith("/receipts")}
    assert received == {"85123A", "71053", "BANK-CHARGES"}
    (cart, _) = shop.sent("/api/admin/carts")
    assert cart.headers["authorization"].startswith("Basic ")
    orders = shop.sent("/api/orders")
    assert {order.headers["authorization"] for order in orders} == {f"Bearer {token}" for token in shop.carts}
    assert b'"country":"GB"' in orders[0].content.replace(b": ", b":")
    assert shop.orders["o-536365"]["refunds"] == [{"amount": 510, "status": "refunded"}]
    rows = dict(rows_of(replayed))
    assert (rows["replayed"], rows["sold in all"], rows["lines that were not sales"]) == ("2", "77,219.34 GBP", "5")
    printed = io.StringIO()
    show(replayed, Console(file=printed, width=100))
    assert "equal to the penny" in printed.getvalue()


async def test_the_keys_are_the_same_each_time(tmp_path: Path) -> None:
    keys = []
    for _ in range(2):
        shop = Shop()
        await replay(shop, tmp_path)
        keys.append(sorted(r.headers["idempotency-key"] for r in shop.requests if "idempotency-key" in r.headers))
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 6  # three receipts, two sales (a cart and an order have one key), one refund


async def test_orders_under_way_are_waited_for(tmp_path: Path) -> None:
    shop = Shop()
    shop.slow = 1
    replayed = await replay(shop, tmp_path)
    assert (replayed.comparison.equal, replayed.comparison.clean) == (2, True)
    (looked,) = shop.sent("/api/orders/o-536369")
    assert looked.headers["authorization"].startswith("Bearer guest-")


async def test_a_penny_too_much_is_a_difference(tmp_path: Path) -> None:
    shop = Shop()
    shop.overcharge = 1
    comparison = (await replay(shop, tmp_path)).comparison
    assert (comparison.equal, comparison.clean) == (0, False)
    assert {found.what for found in comparison.different} == {
        "comes to 77,219.25, not 77,219.24",
        "comes to 0.11, not 0.10",
    }


async def test_refusals_are_counted_with_their_reason(tmp_path: Path) -> None:
    shop = Shop()
    problem = {"code": "out_of_stock", "detail": "Not enough."}
    shop.stumbles["/api/orders"] = [lambda _: httpx.Response(409, json=problem)] * 2
    comparison = (await replay(shop, tmp_path)).comparison
    assert comparison.refused == {"out_of_stock": 2, "no_order": 1}
    assert ("536365", "out_of_stock: Not enough.") in comparison.refused_because


async def test_a_shop_of_another_currency_is_told_apart(tmp_path: Path) -> None:
    shop = Shop()
    shop.currency = "EUR"
    with pytest.raises(WrongShop, match="TROUPE_CURRENCY"):
        await replay(shop, tmp_path)
    assert len(shop.requests) == 1


def broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("the connection is gone", request=request)


async def test_a_busy_or_broken_shop_is_asked_again_under_the_same_key() -> None:
    shop = Shop()
    busy = httpx.Response(503, headers={"Retry-After": "0"})
    shop.stumbles["/api/cart"] = [lambda _: busy, broken, lambda _: httpx.Response(429)]
    async with httpx.AsyncClient(transport=httpx.MockTransport(shop.answer), base_url="http://shop") as client:
        calls = Calls(client)
        answer = await calls.send("GET", "/api/cart", key="a key")
    assert (answer.status_code, calls.count, calls.repeated) == (200, 4, 3)
    assert {request.headers["idempotency-key"] for request in shop.requests} == {"a%20key"}


async def test_patience_ends() -> None:
    shop = Shop()
    shop.stumbles["/api/cart"] = [broken] * 3
    async with httpx.AsyncClient(transport=httpx.MockTransport(shop.answer), base_url="http://shop") as client:
        with pytest.raises(GaveUp, match="ReadError the connection is gone"):
            await Calls(client, patience=0.05).send("GET", "/api/cart")


async def test_so_many_at_once_and_no_more() -> None:
    running = most = 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        if item == 99:
            raise ValueError("no")
        return item * 2

    assert {pair async for pair in concurrently(range(10), work, 3)} == {(n, 2 * n) for n in range(10)}
    assert (running, most) == (0, 3)
    with pytest.raises(ValueError, match="no"):
        _ = [each async for each in concurrently([1, 99, 2], work, 2)]
    nothing: list[int] = []
    assert [pair async for pair in concurrently(nothing, work, 2)] == []
