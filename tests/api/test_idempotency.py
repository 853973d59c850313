"""One Idempotency-Key is one command, however often and at once it is sent."""

import asyncio
import secrets

import httpx

from tests.api.conftest import MakeProduct
from tests.api.shopping import Buyer, Money, Staff, bearer, body, money, order_form, problem
from tests.running import RunningShop
from tests.waiting import eventually


async def test_200_requests_under_one_key_are_one_order_and_one_charge(
    shop: RunningShop, staff: Staff, user: Buyer, product: MakeProduct
) -> None:
    sku = await asyncio.to_thread(product, 1000, 500)
    await asyncio.to_thread(user.add, sku, 2)
    headers = {**bearer(user.token), "Idempotency-Key": secrets.token_hex(8)}
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with httpx.AsyncClient(base_url=shop.url, headers=headers, limits=limits, timeout=120.0) as client:
        answers = await asyncio.gather(*(client.post("/api/orders", json=order_form()) for _ in range(200)))

    assert {answer.status_code for answer in answers} <= {201, 202}, _counted(answers)
    (order_id,) = {answer.json()["id"] for answer in answers}
    await asyncio.to_thread(lambda: user.order_when(order_id, status="confirmed"))
    assert money(shop, order_id) == Money(1, 2495, 0)
    await asyncio.to_thread(lambda: staff.stock_when(sku, sold=2, held=0, reserved=0, available=498))
    page = await asyncio.to_thread(lambda: eventually(lambda: body(user.call("GET", "/api/orders"))["items"]))
    assert [item["id"] for item in page] == [order_id]


def _counted(answers: list[httpx.Response]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for answer in answers:
        shown = f"{answer.status_code} {answer.text[:200]}"
        counted[shown] = counted.get(shown, 0) + 1
    return counted


def test_the_same_key_with_another_body_is_refused(guest: Buyer, product: MakeProduct) -> None:
    guest.add(product())
    key = {"Idempotency-Key": secrets.token_hex(8)}
    order = body(guest.check_out(headers=key), 201)
    problem(guest.check_out(headers=key, shipping_method="express"), 422, "idempotency_key_reused")
    assert body(guest.check_out(headers=key), 201) == order


def test_a_repeat_is_answered_with_the_order_as_it_is_by_then(guest: Buyer, staff: Staff, product: MakeProduct) -> None:
    sku = product()
    guest.add(sku)
    key = {"Idempotency-Key": secrets.token_hex(8)}
    order = body(guest.check_out(headers=key), 201)
    staff.fulfil(order["id"], "pack")
    guest.add(sku)
    again = body(guest.check_out(headers=key), 201)
    assert (again["id"], again["status"]) == (order["id"], "packed")
    assert len(guest.cart()["lines"]) == 1


def test_a_key_is_the_callers_own(web: httpx.Client, product: MakeProduct) -> None:
    sku = product()
    key = {"Idempotency-Key": secrets.token_hex(8)}
    orders = []
    for _ in range(2):
        buyer = Buyer(web)
        buyer.add(sku)
        orders.append(body(buyer.check_out(headers=key), 201)["id"])
    assert orders[0] != orders[1]


def test_the_same_add_twice_adds_once(guest: Buyer, product: MakeProduct) -> None:
    sku = product()
    guest.add(sku)
    key = {"Idempotency-Key": secrets.token_hex(8)}
    item = {"sku": sku, "quantity": 2}
    first, second = (guest.call("POST", "/api/cart/items", json=item, headers=key) for _ in range(2))
    assert body(first) == body(second)
    assert guest.cart()["lines"][0]["quantity"] == 3
    other = guest.call("POST", "/api/cart/items", json={"sku": sku, "quantity": 3}, headers=key)
    problem(other, 422, "idempotency_key_reused")


def test_goods_that_came_in_are_counted_once(staff: Staff, product: MakeProduct) -> None:
    sku = product(stock=0)
    key = {"Idempotency-Key": secrets.token_hex(8)}
    path = f"/api/admin/stock/{sku}/receipts"
    answers = [body(staff.call("POST", path, json={"quantity": 5}, headers=key)) for _ in range(3)]
    assert [answer["on_hand"] for answer in answers] == [5, 5, 5]
    assert staff.stock(sku)["received"] == 5


def test_a_cancel_under_one_key_is_answered_again(guest: Buyer, product: MakeProduct) -> None:
    order_id = guest.buy(product())["id"]
    key = {"Idempotency-Key": secrets.token_hex(8)}
    for _ in range(2):
        cancelled = body(guest.call("POST", f"/api/orders/{order_id}/cancel", headers=key))
        assert cancelled["status"] == "cancelled"


def test_a_key_that_nobody_could_mean_is_refused(guest: Buyer, product: MakeProduct) -> None:
    guest.add(product())
    problem(guest.check_out(headers={"Idempotency-Key": "x" * 256}), 400, "bad_idempotency_key")
    problem(guest.check_out(headers={"Idempotency-Key": "two words"}), 400, "bad_idempotency_key")
