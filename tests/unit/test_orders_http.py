"""Checking out and what follows, over HTTP, against the real rules of carts, orders and stock."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from actors.cart import CheckOut
from actors.order import Adopt, PaymentCaptured, PaymentFailed, PaymentRefunded
from actors.payment_commands import Open, TryMethod
from actors.pricing import Price
from actors.runtime.ports import Unavailable
from actors.stock import Receive
from serve.carts.api import cart_routes
from serve.carts.seen import SeenSkus
from serve.carts.service import Carts
from serve.carts.terms import ShopTerms
from serve.gateway.front import Front
from serve.orders.admin_api import admin_order_routes
from serve.orders.api import order_routes
from serve.orders.carriers import Carriers, carrier_routes
from serve.orders.checkout import Checkout, Deadlines
from serve.orders.schemas import Seller
from serve.orders.service import Orders
from serve.orders.stock import Stock
from serve.orders.store import OrderStore
from serve.orders.waiters import Waiters
from serve.payments.api import payment_routes
from serve.payments.service import Payments
from tests.unit.callers import MUG, OLD, TEA, PlainPrices, PlainTokens, bearer
from tests.unit.shop_in_memory import ShopInMemory

SECRET = "the carriers' secret"
ADA = bearer("user:ada")
STAFF = bearer("staff:bob")
ADDRESS = {
    "name": "Ada Byron",
    "line1": "12 St James's Square",
    "city": "London",
    "postal_code": "SW1Y 4JH",
    "country": "GB",
}
CASH = {"address": ADDRESS, "shipping_method": "standard", "payment": {"method": "cash_on_delivery"}}
CARD = CASH | {"payment": {"method": "card", "reference": "pm_card_visa"}}


class Bench:
    """A shop with 10 mugs and 10 teas, its routes, and a client."""

    def __init__(self, store: OrderStore) -> None:
        self.shop = ShopInMemory()
        self.prices = PlainPrices(MUG, TEA, OLD)
        self.store = store
        self.seen = SeenSkus()
        self.waiters = Waiters(10)
        self.streams = Waiters(2)
        tokens, terms = PlainTokens(), ShopTerms()
        carts = Carts(self.shop, self.prices, terms, tokens, self.seen)
        self.checkout = Checkout(
            self.shop,
            store,
            self.prices,
            terms,
            self.seen,
            self.waiters,
            carts.read,
            deadlines=Deadlines(checkout=0.05, payment=60_000),
            now=lambda: 1_700_000_000_000,
        )
        self.orders = Orders(
            self.shop,
            store,
            self.waiters,
            currency=terms.currency,
            wait=0.05,
            now=lambda: 1_700_000_000_000,
            seller=Seller("Mugs & Co", ["1 Kiln Lane", "Stoke"], "GB 123"),
        )
        routes = [
            cart_routes(carts),
            order_routes(self.checkout, self.orders, self.shop, self.streams),
            admin_order_routes(self.orders, Stock(self.shop, self.prices)),
            carrier_routes(Carriers(self.shop, store, [SECRET], now=lambda: 1_700_000_000_000)),
            payment_routes(Payments(self.shop, [])),
        ]
        self.front = Front(FastAPI(), routes, tokens=tokens, metrics=False)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.front), base_url="http://shop")

    async def add(self, sku: str = "MUG", quantity: int = 1, headers: dict[str, str] | None = None) -> Any:
        sent = {"sku": sku, "quantity": quantity}
        answer = await self.http.post("/api/cart/items", json=sent, headers=ADA if headers is None else headers)
        assert answer.status_code == 200
        return answer.json()

    async def buy(self, wanted: dict[str, Any] | None = None, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.http.post(
            "/api/orders", json=CASH if wanted is None else wanted, headers=ADA if headers is None else headers
        )

    async def post(self, path: str, headers: dict[str, str] | None = None, **sent: Any) -> httpx.Response:
        return await self.http.post(path, headers=ADA if headers is None else headers, json=sent or None)

    async def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.http.get(path, headers=ADA if headers is None else headers)

    def checkouts(self) -> list[CheckOut]:
        return [asked.command for asked in self.shop.asked if isinstance(asked.command, CheckOut)]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    store = OrderStore(f"sqlite:///{tmp_path / 'orders.db'}")
    made = Bench(store)
    for sku in ("MUG", "TEA"):
        await made.shop.tell("stock", sku, Receive(10))
    async with made.http:
        yield made
    await store.close()


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_cash_on_delivery_is_confirmed_at_once(bench: Bench) -> None:
    await bench.add(quantity=2)
    bought = await bench.buy(CASH | {"expected_total": 2_890})
    order = bought.json()
    assert bought.status_code == 201
    assert bought.headers["location"] == f"/api/orders/{order['id']}"
    assert (order["status"], order["payment_status"], order["currency"]) == ("confirmed", "cash_due", "EUR")
    assert order["lines"] == [{"sku": "MUG", "name": "Mug", "quantity": 2, "unit_price": 1_200, "total": 2_400}]
    assert order["totals"] == {"subtotal": 2_400, "shipping": 490, "tax": 482, "total": 2_890}
    assert (order["shipping_method"], order["payment_method"]) == ("standard", "cash_on_delivery")
    assert order["placed_at"] == bench.shop.now
    assert (order["next_action"], order["shipments"], order["refunds"], order["out_of_stock"]) == (None, [], [], [])
    assert "contact" not in order
    assert (await bench.get(f"/api/orders/{order['id']}")).json() == order
    cart = (await bench.get("/api/cart")).json()
    assert (cart["lines"], cart["pending_orders"], cart["last_order"]) == ([], [], order["id"])


async def test_a_checkout_brings_the_prices_that_the_cart_needs(bench: Bench) -> None:
    await bench.add("MUG")
    await bench.add("TEA")
    assert (await bench.buy()).status_code == 201
    (only,) = bench.checkouts()
    assert only.prices == {"MUG": MUG, "TEA": TEA}


async def test_a_replica_that_never_saw_the_cart_asks_twice_under_one_id(bench: Bench) -> None:
    await bench.add("MUG")
    bench.seen.remember("ada", ())
    assert (await bench.buy(headers=bearer("user:ada", idempotency_key="k1"))).status_code == 201
    first, second = bench.checkouts()
    ids = {asked.command_id for asked in bench.shop.asked if isinstance(asked.command, CheckOut)}
    assert (first.prices, second.prices) == ({}, {"MUG": MUG})
    assert (len(ids), first.order_id) == (1, second.order_id)
    assert None not in ids


async def test_what_is_gone_is_not_bought(bench: Bench) -> None:
    await bench.add("MUG")
    del bench.prices.known["MUG"]
    answer = await bench.buy()
    assert problem(answer) == (409, "sku_gone")
    assert answer.json()["about"] == {"skus": ["MUG"]}


async def test_a_card_order_waits_and_is_answered_202_until_it_is_paid(bench: Bench) -> None:
    await bench.add()
    key = bearer("user:ada", idempotency_key="k1")
    first = await bench.buy(CARD, key)
    order_id = first.json()["id"]
    assert first.status_code == 202
    assert (first.headers["location"], first.headers["retry-after"]) == (f"/api/orders/{order_id}", "1")
    assert (first.json()["status"], first.json()["payment_status"]) == ("reserved", "pending")
    await bench.shop.tell("order", order_id, PaymentCaptured(1_690))
    second = await bench.buy(CARD, key)
    assert second.status_code == 201
    assert (second.json()["id"], second.json()["status"]) == (order_id, "confirmed")
    assert problem(await bench.buy(CASH, key)) == (422, "idempotency_key_reused")
    assert await contacts(bench) == 1


async def contacts(bench: Bench) -> int:
    """How many contacts are kept of ada's orders; they are erased by it."""
    return await bench.store.erase_contacts("user:ada")


async def test_a_waiting_checkout_ends_when_the_order_is_paid(bench: Bench) -> None:
    bench.checkout._deadlines = Deadlines(checkout=10.0, payment=60_000)
    await bench.add()
    buying = asyncio.create_task(bench.buy(CARD))
    await bench.shop.until(lambda: bool(slots(bench)))
    (order_id,) = slots(bench)
    await bench.shop.tell("order", order_id, PaymentCaptured(1_690))
    assert (await buying).status_code == 201
    assert bench.waiters.waiting == 0


async def test_a_database_that_does_not_answer_is_not_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    await bench.add()
    monkeypatch.setattr("serve.orders.checkout.KEEP_SECONDS", 0.01)
    with monkeypatch.context() as away:
        away.setattr(bench.store, "keep_contact", never)
        refused = await bench.buy()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert bench.checkouts() == []


async def test_who_checked_out_is_told_so_even_if_nobody_knows_of_the_order(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.add()

    async def away(*_: object, **__: object) -> None:
        raise Unavailable("the journal is away")

    with monkeypatch.context() as during:
        during.setattr(bench.shop, "read", away)
        answer = await bench.buy(headers=ADA | {"Prefer": "respond-async"})
    assert (answer.status_code, answer.json()["status"]) == (202, "placed")
    assert answer.headers["location"] == f"/api/orders/{answer.json()['id']}"
    assert (await bench.get(answer.headers["location"])).json()["status"] == "confirmed"


async def test_a_caller_who_hangs_up_gives_the_place_back(bench: Bench) -> None:
    bench.checkout._deadlines = Deadlines(checkout=10.0, payment=60_000)
    await bench.add()
    buying = asyncio.create_task(bench.buy(CARD))
    await bench.shop.until(lambda: bool(slots(bench)))
    assert bench.waiters.waiting == 1
    buying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await buying
    assert bench.waiters.waiting == 0
    assert (await bench.get(f"/api/orders/{slots(bench)[0]}")).json()["status"] == "reserved"


def slots(bench: Bench) -> list[str]:
    return list(bench.shop.states["cart", "ada"].slots)


async def test_respond_async_and_a_full_waiting_room_do_not_wait(bench: Bench) -> None:
    bench.checkout._deadlines = Deadlines(checkout=10.0, payment=60_000)
    await bench.add()
    bench.shop.hold = True
    asynchronous = await bench.buy(CARD, bearer("user:ada", prefer="respond-async"))
    assert asynchronous.status_code == 202
    body = asynchronous.json()
    assert (body["version"], body["status"], body["totals"]["total"]) == (0, "placed", 0)
    early = await bench.get(f"/api/orders/{body['id']}")
    assert (early.status_code, early.json()["status"]) == (200, "placed")
    assert problem(await bench.get(f"/api/orders/{body['id']}", bearer("user:eve"))) == (404, "not_found")
    bench.shop.hold = False
    await bench.shop.deliver()
    bench.waiters.limit = 0
    await bench.add()
    assert (await bench.buy(CARD)).status_code == 202
    assert [asked.follow for asked in bench.shop.asked if isinstance(asked.command, CheckOut)] == [False, False]


async def test_a_second_click_is_told_the_order(bench: Bench) -> None:
    await bench.add()
    order_id = (await bench.buy()).json()["id"]
    second = await bench.buy()
    assert problem(second) == (409, "nothing_to_check_out")
    about = second.json()["about"]
    assert (about["order_id"], about["order"]["id"], about["order"]["status"]) == (order_id, order_id, "confirmed")
    assert problem(await bench.buy(headers=bearer("user:eve"))) == (409, "nothing_to_check_out")
    assert second.headers["location"] == f"/api/orders/{order_id}"
    assert await contacts(bench) == 1


async def test_a_changed_total_is_not_charged(bench: Bench) -> None:
    await bench.add()
    bench.prices.change(Price("MUG", "Mug", 1_300, version=4))
    answer = await bench.buy(CASH | {"expected_total": 1_690})
    assert problem(answer) == (409, "total_changed")
    about = answer.json()["about"]
    assert (about["total"], about["expected_total"]) == (1_790, 1_690)
    (line,) = about["cart"]["lines"]
    assert (line["unit_price"], line["changed_from"], about["cart"]["totals"]["total"]) == (1_300, 1_200, 1_790)
    express = CASH | {"shipping_method": "express", "expected_total": 1_790}
    about = (await bench.buy(express)).json()["about"]
    assert about["total"] == about["cart"]["totals"]["total"] == 2_590
    assert (await bench.buy(CASH | {"expected_total": 1_790})).status_code == 201


async def test_out_of_stock_names_the_products_and_the_cart_has_its_lines_back(bench: Bench) -> None:
    await bench.add("MUG", 11)
    await bench.add("TEA", 1)
    key = bearer("user:ada", idempotency_key="k1")
    first, again = await bench.buy(CASH, key), await bench.buy(CASH, key)
    assert problem(first) == problem(again) == (409, "out_of_stock")
    about = first.json()["about"]
    assert about == again.json()["about"] == {"skus": ["MUG"], "order_id": about["order_id"]}
    assert first.headers["location"] == f"/api/orders/{about['order_id']}"
    order = (await bench.get(f"/api/orders/{about['order_id']}")).json()
    assert (order["status"], order["out_of_stock"]) == ("rejected", ["MUG"])
    assert len((await bench.get("/api/cart")).json()["lines"]) == 2


async def test_a_guest_needs_an_email_and_sees_the_order(bench: Bench) -> None:
    token = (await bench.add(headers={}))["guest_token"]
    guest = bearer(token)
    assert problem(await bench.buy(CASH, guest)) == (422, "email_needed")
    assert problem(await bench.buy(CASH | {"email": "nobody"}, guest)) == (422, "invalid_request")
    bought = await bench.buy(CASH | {"email": "ada@EXAMPLE.com"}, guest)
    order_id = bought.json()["id"]
    assert bought.status_code == 201
    assert (await bench.get(f"/api/orders/{order_id}", guest)).status_code == 200
    for other in (ADA, bearer("guest:g-other")):
        assert problem(await bench.get(f"/api/orders/{order_id}", other)) == (404, "not_found")
    shown = (await bench.get(f"/api/admin/orders/{order_id}", STAFF)).json()
    assert shown["owner"] == token
    assert shown["contact"]["email"] == "ada@example.com"
    assert shown["contact"]["address"]["name"] == "Ada Byron"


async def test_entities_know_no_name_and_a_contact_can_be_erased(bench: Bench) -> None:
    await bench.add()
    order_id = (await bench.buy(CASH | {"email": "ada@example.com"})).json()["id"]
    for state in bench.shop.states.values():
        assert "Ada" not in repr(state)
        assert "ada@" not in repr(state)
    assert await bench.store.erase_contacts("user:ada") == 1
    assert (await bench.get(f"/api/admin/orders/{order_id}", STAFF)).json()["contact"] is None
    assert (await bench.get(f"/api/orders/{order_id}/receipt")).json()["contact"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"payment": {"method": "card", "reference": "4242424242424241"}},
        {"payment": {"method": "card"}},
        {"payment": {"method": "cash_on_delivery", "reference": "pm_card_visa"}},
        {"payment": {"method": "cheque"}},
        {"shipping_method": "pigeon"},
        {"address": ADDRESS | {"country": "Britain"}},
        {"address": ADDRESS | {"name": ""}},
        {"expected_total": -1},
    ],
)
async def test_unusable_orders(bench: Bench, wrong: dict[str, Any]) -> None:
    await bench.add()
    assert problem(await bench.buy(CASH | wrong)) == (422, "invalid_request")
    assert bench.checkouts() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"payment": {"method": "card", "reference": "4242424242424242"}},
        {"payment": {"method": "4242 4242 4242 4242"}},
        {"address": ADDRESS | {"line2": "card 4242-4242-4242-4242"}},
        {"no such field": "4242424242424242"},
    ],
)
async def test_a_card_number_is_refused_and_not_repeated(
    bench: Bench, wrong: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    await bench.add()
    answer = await bench.buy(CASH | wrong)
    assert problem(answer) == (422, "card_number_not_accepted")
    for path, sent in (("/api/cart/items", {"sku": "4242424242424242"}), ("/api/orders/o1/payment", wrong)):
        refused = await bench.http.post(path, json=sent, headers=ADA)
        assert problem(refused) == (422, "card_number_not_accepted")
        assert "4242" not in refused.text
    assert "4242" not in answer.text + "".join(capfd.readouterr())
    assert bench.checkouts() == []


async def test_nobody_and_strangers(bench: Bench) -> None:
    assert problem(await bench.buy(headers={})) == (401, "not_authenticated")
    assert problem(await bench.get("/api/orders/none")) == (404, "not_found")
    assert problem(await bench.get("/api/admin/orders/none")) == (403, "forbidden")
    assert problem(await bench.post("/api/orders/none/cancel")) == (404, "not_found")
    assert problem(await bench.post("/api/admin/orders/none/pack", STAFF)) == (404, "not_found")


async def test_an_order_is_packed_shipped_delivered_and_not_cancelled_then(bench: Bench) -> None:
    await bench.add()
    order_id = (await bench.buy()).json()["id"]
    admin = f"/api/admin/orders/{order_id}"
    assert problem(await bench.post(f"{admin}/deliver", STAFF)) == (409, "wrong_status")
    assert (await bench.post(f"{admin}/pack", STAFF)).json()["status"] == "packed"
    assert problem(await bench.post(f"/api/orders/{order_id}/cancel")) == (409, "too_late")
    shipped = await bench.post(f"{admin}/ship", STAFF, carrier="DHL", tracking="JD01")
    (shipment,) = shipped.json()["shipments"]
    assert shipment == {
        "id": "1",
        "carrier": "DHL",
        "tracking": "JD01",
        "url": "https://www.dhl.com/global-en/home/tracking.html?tracking-id=JD01",
        "expected_on": None,
        "status": "handed_over",
        "lines": {"MUG": 1},
        "steps": [{"step": "handed_over", "at": bench.shop.now, "code": ""}],
    }
    delivered = (await bench.post(f"{admin}/deliver", STAFF)).json()
    assert (delivered["status"], delivered["payment_status"]) == ("delivered", "paid")
    tracking = (await bench.get(f"/api/orders/{order_id}/tracking")).json()
    assert tracking == {
        "id": order_id,
        "status": "delivered",
        "shipments": delivered["shipments"],
        "history": delivered["history"],
        "partially_shipped": False,
    }
    assert [(step["step"], step["who"]) for step in tracking["history"]] == [
        ("placed", "customer"),
        ("reserved", "stock"),
        ("confirmed", "shop"),
        ("packed", "staff"),
        ("shipment_added", "staff"),
        ("shipped", "staff"),
        ("delivered", "staff"),
        ("paid", "payment"),
    ]
    assert tracking["history"][4]["text"] == "order.step.shipment_added"


async def test_cash_paid_at_the_door_is_shown_to_who_paid_it(bench: Bench) -> None:
    await bench.add(quantity=2)
    order = (await bench.buy()).json()["id"]
    admin = f"/api/admin/orders/{order}"
    await bench.post(f"{admin}/pack", STAFF)
    await bench.post(f"{admin}/ship", STAFF, carrier="dhl", tracking="1")
    await bench.post(f"{admin}/deliver", STAFF)
    (cash,) = bench.shop.to_payments
    await bench.shop.tell(cash.kind, cash.id, cash.message)
    shown = await bench.get(f"/api/payments/{order}")
    assert shown.status_code == 200
    assert (shown.json()["status"], shown.json()["captured"]) == ("captured", 2_890)
    assert problem(await bench.get(f"/api/payments/{order}", bearer("user:eve"))) == (404, "not_found")


async def test_an_adopted_order_is_the_accounts_to_pay_and_the_guests_to_look_at(bench: Bench) -> None:
    guest = bearer((await bench.add(headers={}))["guest_token"])
    order_id = (await bench.buy(CARD | {"email": "ada@example.com"}, guest)).json()["id"]
    path, owner = f"/api/orders/{order_id}", guest["authorization"].removeprefix("Bearer ")
    opened = Open(order_id, 1_690, "EUR", "card", "pm_card_chargeDeclined", bench.shop.now + 60_000, owner)
    await bench.shop.tell("payment", order_id, opened)
    await bench.shop.tell("order", order_id, PaymentFailed("card_declined"))
    assert problem(await bench.get(f"/api/payments/{order_id}")) == (404, "not_found")
    await bench.shop.tell("order", order_id, Adopt("user:ada"))
    for looking in (path, f"{path}/tracking", f"/api/payments/{order_id}"):
        for caller, status in ((ADA, 200), (guest, 200), (STAFF, 200), (bearer("user:eve"), 404)):
            assert (await bench.get(looking, caller)).status_code == status
    paying: dict[str, Any] = {"method": "card", "reference": "pm_card_visa"}
    wanted: dict[str, dict[str, Any]] = {"payment": paying, "cancel": {}, "access/revoke": {}}
    for changing, sent in wanted.items():
        assert problem(await bench.post(f"{path}/{changing}", guest, **sent)) == (409, "order_adopted")
        assert problem(await bench.post(f"{path}/{changing}", bearer("user:eve"), **sent)) == (404, "not_found")
    again = await bench.post(f"{path}/payment", **paying)
    assert (again.status_code, again.json()["payment_status"]) == (202, "pending")
    assert [send.message for send in bench.shop.to_payments][-1] == TryMethod("card", "pm_card_visa", 1)
    assert (await bench.post(f"{path}/access/revoke")).status_code == 204
    assert (await bench.post(f"{path}/cancel")).json()["closing"] is True


async def test_an_order_is_cancelled(bench: Bench) -> None:
    await bench.add()
    order_id = (await bench.buy()).json()["id"]
    cancelled = await bench.post(f"/api/orders/{order_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert (await bench.get("/api/admin/stock/MUG", STAFF)).json()["available"] == 10


async def test_a_cancel_waits_for_the_payment_to_be_called_off(bench: Bench) -> None:
    await bench.add()
    order_id = (await bench.buy(CARD)).json()["id"]
    closing = await bench.post(f"/api/orders/{order_id}/cancel")
    assert (closing.status_code, closing.json()["closing"]) == (202, True)


async def test_a_failed_payment_is_tried_again(bench: Bench) -> None:
    await bench.add()
    order_id = (await bench.buy(CARD)).json()["id"]
    await bench.shop.tell("order", order_id, PaymentFailed("card_declined"))
    failed = (await bench.get(f"/api/orders/{order_id}")).json()
    assert (failed["payment_status"], failed["payment_failure"]) == ("failed", "card_declined")
    path = f"/api/orders/{order_id}/payment"
    cash = await bench.post(path, method="cash_on_delivery")
    assert problem(cash) == (422, "method_not_allowed_for_order")
    again = await bench.post(path, method="card", reference="pm_card_visa")
    assert (again.status_code, again.json()["payment_status"]) == (202, "pending")
    await bench.shop.tell("order", order_id, PaymentCaptured(1_690))
    late = await bench.post(path, method="card", reference="pm_card_visa")
    assert problem(late) == (409, "not_awaiting_payment")


async def test_a_refund_is_made_once_a_key(bench: Bench) -> None:
    await bench.add(quantity=2)
    order_id = (await bench.buy(CARD)).json()["id"]
    await bench.shop.tell("order", order_id, PaymentCaptured(2_890))
    path = f"/api/admin/orders/{order_id}/refunds"
    key = bearer("staff:bob", idempotency_key="r1")
    wanted = {"lines": {"MUG": 1}, "reason": "broken"}
    first, second = await bench.post(path, key, **wanted), await bench.post(path, key, **wanted)
    (refund,) = first.json()["refunds"]
    assert second.json()["refunds"] == [refund]
    assert (refund["amount"], refund["status"]) == (1_200, "requested")
    await bench.shop.tell("order", order_id, PaymentRefunded(refund["id"], 1_200))
    shown = (await bench.get(f"/api/orders/{order_id}")).json()
    assert (shown["payment_status"], shown["refunds"][0]["status"]) == ("partially_refunded", "refunded")
    assert (await bench.get("/api/admin/stock/MUG", STAFF)).json()["available"] == 9
    too_much = await bench.post(path, STAFF, amount=9_999, reason="x")
    assert problem(too_much) == (422, "refund_too_large")
    assert problem(await bench.post(path, STAFF, lines={"TEA": 1}, reason="x")) == (422, "bad_refund_lines")


async def test_a_receipt_as_json_and_as_text(bench: Bench) -> None:
    await bench.add(quantity=2)
    order_id = (await bench.buy(CARD)).json()["id"]
    path = f"/api/orders/{order_id}/receipt"
    assert problem(await bench.get(path)) == (409, "no_receipt")
    await bench.shop.tell("order", order_id, PaymentCaptured(2_890))
    receipt = (await bench.get(path)).json()
    assert (receipt["paid"], receipt["refunded"], receipt["totals"]["total"]) == (2_890, 0, 2_890)
    assert receipt["contact"] == {"email": None, "address": ADDRESS | {"line2": None, "phone": None}}
    text = await bench.get(path, {**ADA, "accept": "text/plain"})
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.text.splitlines() == [
        f"Receipt for order {order_id}",
        "Placed on 2023-11-14 22:13 UTC",
        "",
        "Ada Byron",
        "12 St James's Square",
        "SW1Y 4JH London",
        "GB",
        "",
        "2 x Mug at 12.00 EUR                                   24.00 EUR",
        "-" * 64,
        "Goods                                                  24.00 EUR",
        "Shipping (Standard, 2 to 4 days)                        4.90 EUR",
        "of which tax (20 %)                                     4.82 EUR",
        "Total                                                  28.90 EUR",
        "Paid (card)                                            28.90 EUR",
    ]


async def test_steps_are_streamed_to_the_owner(bench: Bench) -> None:
    await bench.add("MUG", 11)
    order_id = (await bench.buy()).json()["about"]["order_id"]
    path = f"/api/orders/{order_id}/events"
    whole = await bench.get(path)
    assert whole.headers["content-type"] == "text/event-stream"
    history = (await bench.get(f"/api/orders/{order_id}")).json()["history"]
    ids = [line for line in whole.text.splitlines() if line.startswith("id: ")]
    assert ids == [f"id: {number}" for number in range(1, len(history) + 1)]
    assert whole.text.endswith('event: end\ndata: {"status":"rejected","payment_status":"none"}\n\n')
    rest = await bench.get(path, {**ADA, "last-event-id": str(len(history))})
    assert rest.text.startswith("event: end\n")
    assert problem(await bench.get(path, bearer("user:eve"))) == (404, "not_found")
    assert bench.streams.waiting == 0
    bench.streams.limit = 0
    full = await bench.get(path)
    assert problem(full) == (503, "overloaded")
    assert full.headers["retry-after"] == "5"


async def test_stock_comes_in_and_is_counted(bench: Bench) -> None:
    received = await bench.post("/api/admin/stock/OLD/receipts", STAFF, quantity=5)
    assert (received.json()["on_hand"], received.json()["version"]) == (5, 1)
    counted = await bench.post("/api/admin/stock/OLD/corrections", STAFF, on_hand=3, reason="two broke")
    assert counted.json() == {
        "sku": "OLD",
        "version": 2,
        "on_hand": 3,
        "held": 0,
        "reserved": 0,
        "available": 3,
        "sold": 0,
        "returned": 0,
        "received": 5,
        "corrected": -2,
        "waiting": 0,
    }
    assert problem(await bench.get("/api/admin/stock/NONE", STAFF)) == (404, "unknown_sku")
    assert problem(await bench.post("/api/admin/stock/NONE/receipts", STAFF, quantity=1)) == (404, "unknown_sku")
    assert problem(await bench.post("/api/admin/stock/MUG/receipts", quantity=1)) == (403, "forbidden")


async def test_orders_are_listed_newest_first_a_page_at_a_time(bench: Bench) -> None:
    note = bench.store.note_order
    for number in range(3):
        await note(f"o{number}", "user:ada", 100 + number // 2, "placed", 500, "EUR", 1)
    await note("other", "user:eve", 100, "placed", 500, "EUR", 1)
    first = (await bench.get("/api/orders?limit=2")).json()
    assert [item["id"] for item in first["items"]] == ["o2", "o1"]
    rest = (await bench.get(f"/api/orders?limit=2&cursor={first['next']}")).json()
    assert rest == {
        "items": [
            {
                "id": "o0",
                "placed_at": 100,
                "status": "placed",
                "total": 500,
                "currency": "EUR",
                "payment_status": "none",
            }
        ],
        "next": None,
    }
    everybody = (await bench.get("/api/admin/orders?status=placed", STAFF)).json()
    assert [item["id"] for item in everybody["items"]] == ["o2", "other", "o1", "o0"]
    assert (await bench.get("/api/admin/orders?status=packed", STAFF)).json()["items"] == []
    assert problem(await bench.get("/api/orders?cursor=nonsense")) == (400, "bad_cursor")


async def test_waiters_give_their_place_back(bench: Bench) -> None:
    waiters = Waiters(1)
    with waiters.place() as first, waiters.place() as second:
        assert (first, second) == (True, False)
    with pytest.raises(RuntimeError), waiters.place():
        raise RuntimeError
    with waiters.place(False) as unwanted:
        assert (unwanted, waiters.waiting) == (False, 0)


async def test_the_language_of_the_mails_is_kept_with_the_contact(bench: Bench) -> None:
    for language in ("de-AT", None):
        await bench.add()
        bought = await bench.buy(CASH | {"language": language})
        kept = await bench.store.contact_of_order(bought.json()["id"])
        assert kept is not None
        assert kept.contact is not None
        assert kept.contact.language == language
    await bench.add()
    assert problem(await bench.buy(CASH | {"language": "<script>"})) == (422, "invalid_request")
