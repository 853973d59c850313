"""Carts over HTTP: two devices, prices that change, products that vanish, a guest who logs in."""

import asyncio
import secrets

import httpx

from tests.api.conftest import MakeProduct
from tests.api.shopping import Buyer, Staff, bearer, body, problem
from tests.running import RunningShop


def test_lines_and_totals_are_exact(guest: Buyer, product: MakeProduct) -> None:
    cup, pot = product(price=1000), product(price=333)
    guest.add(cup, 2)
    cart = guest.add(pot, 3)

    assert [(line["sku"], line["quantity"], line["unit_price"], line["total"]) for line in cart["lines"]] == [
        (cup, 2, 1000, 2000),
        (pot, 3, 333, 999),
    ]
    # Prices include 20 % of tax: (2999 + 495) / 6 = 582.33
    assert cart["totals"] == {"subtotal": 2999, "shipping": 495, "tax": 582, "total": 3494}
    assert cart["currency"] == "GBP"


def test_shipping_is_free_from_a_certain_sum(guest: Buyer, product: MakeProduct) -> None:
    sku = product(price=2500)
    assert guest.add(sku, 1)["totals"] == {"subtotal": 2500, "shipping": 495, "tax": 499, "total": 2995}
    assert guest.add(sku, 1)["totals"] == {"subtotal": 5000, "shipping": 0, "tax": 833, "total": 5000}


def test_lines_are_changed_and_taken_out(guest: Buyer, product: MakeProduct) -> None:
    cup, pot = product(), product()
    guest.add(cup)
    first, second = guest.add(pot)["lines"]

    changed = body(guest.call("PATCH", f"/api/cart/items/{first['id']}", json={"quantity": 5}))
    assert [line["quantity"] for line in changed["lines"]] == [5, 1]
    left = body(guest.call("DELETE", f"/api/cart/items/{second['id']}"))
    assert [line["sku"] for line in left["lines"]] == [cup]
    problem(guest.call("DELETE", f"/api/cart/items/{second['id']}"), 404, "no_such_line")
    emptied = body(guest.call("DELETE", "/api/cart/items"))
    assert emptied["lines"] == []
    assert emptied["totals"] == {"subtotal": 0, "shipping": 0, "tax": 0, "total": 0}


async def test_two_devices_fill_one_cart_at_once(shop: RunningShop, user: Buyer, product: MakeProduct) -> None:
    skus = await asyncio.to_thread(lambda: [product(), product()])

    async def device(sku: str) -> list[int]:
        async with httpx.AsyncClient(base_url=shop.url, headers=bearer(user.token), timeout=60.0) as client:
            item = {"sku": sku, "quantity": 1}
            answers = [await client.post("/api/cart/items", json=item) for _ in range(15)]
            return [body(answer)["version"] for answer in answers]

    versions = await asyncio.gather(*(device(sku) for sku in skus))

    seen = [version for device_saw in versions for version in device_saw]
    assert len(set(seen)) == 30, "two writes were given one version"
    for device_saw in versions:
        assert device_saw == sorted(device_saw)
    cart = await asyncio.to_thread(user.cart)
    assert {line["sku"]: line["quantity"] for line in cart["lines"]} == dict.fromkeys(skus, 15)
    assert cart["version"] == max(seen)


def test_a_reader_that_sends_a_version_back_never_sees_an_older_cart(guest: Buyer, product: MakeProduct) -> None:
    sku = product()
    for quantity in range(1, 21):
        version = guest.add(sku)["version"]
        cart = guest.cart(version)
        assert cart["version"] == version
        assert cart["lines"][0]["quantity"] == quantity


def test_a_price_that_changed_is_shown_as_changed(guest: Buyer, staff: Staff, product: MakeProduct) -> None:
    sku = product(price=1000)
    assert guest.add(sku, 2)["lines"][0]["changed_from"] is None

    staff.change_product(sku, price=1200)

    cart = guest.cart()
    line = cart["lines"][0]
    assert (line["unit_price"], line["changed_from"], line["total"]) == (1200, 1000, 2400)
    assert cart["totals"]["subtotal"] == 2400


def test_a_product_that_vanished_is_shown_as_gone_and_not_bought(
    guest: Buyer, staff: Staff, product: MakeProduct
) -> None:
    kept, gone = product(price=1000), product(price=700)
    guest.add(kept)
    guest.add(gone)

    staff.change_product(gone, status="gone")

    cart = guest.cart()
    assert {line["sku"]: line["gone"] for line in cart["lines"]} == {kept: False, gone: True}
    assert cart["totals"]["subtotal"] == 1000
    refused = problem(guest.check_out(), 409, "sku_gone")
    assert gone in str(refused)
    problem(guest.call("POST", "/api/cart/items", json={"sku": gone, "quantity": 1}), 409, "sku_gone")
    line = next(line for line in cart["lines"] if line["gone"])
    guest.call("DELETE", f"/api/cart/items/{line['id']}")
    order = body(guest.check_out(), 201)
    assert [line["sku"] for line in order["lines"]] == [kept]


def test_a_guests_cart_is_merged_at_login(guest: Buyer, user: Buyer, product: MakeProduct) -> None:
    shared, own, guests = product(), product(), product()
    user.add(shared, 1)
    user.add(own, 1)
    guest.add(shared, 2)
    guest.add(guests, 3)

    merged = body(user.call("POST", "/api/cart/merge", json={"guest_token": guest.token}))

    quantities = {line["sku"]: line["quantity"] for line in merged["lines"]}
    assert quantities == {shared: 3, own: 1, guests: 3}
    problem(guest.call("GET", "/api/cart"), 409, "cart_merged")
    problem(guest.call("POST", "/api/cart/items", json={"sku": own, "quantity": 1}), 409, "cart_merged")
    again = body(user.call("POST", "/api/cart/merge", json={"guest_token": guest.token}))
    assert {line["sku"]: line["quantity"] for line in again["lines"]} == quantities


def test_only_a_guests_token_can_be_merged(user: Buyer) -> None:
    problem(user.call("POST", "/api/cart/merge", json={"guest_token": user.token}), 401, "invalid_token")
    problem(user.call("POST", "/api/cart/merge", json={"guest_token": "nonsense"}), 401, "invalid_token")


def test_only_staff_agree_on_prices(shop: RunningShop, web: httpx.Client, user: Buyer, product: MakeProduct) -> None:
    sku = product(price=1000)
    item = {"sku": sku, "quantity": 2, "agreed_price": 750}
    problem(user.call("POST", "/api/cart/items", json=item), 403, "forbidden")
    problem(web.post("/api/cart/items", json=item), 403, "forbidden")

    seller = Buyer(web, shop.token(f"seller-{secrets.token_hex(4)}", "staff"))
    seller.add(sku, 1)
    cart = seller.add(sku, 2, agreed_price=750)
    assert [(line["agreed"], line["quantity"], line["unit_price"]) for line in cart["lines"]] == [
        (False, 1, 1000),
        (True, 2, 750),
    ]
    order = body(seller.check_out(), 201)
    assert order["totals"] == {"subtotal": 2500, "shipping": 495, "tax": 499, "total": 2995}


def test_without_a_token_the_cart_is_empty(web: httpx.Client) -> None:
    cart = body(web.get("/api/cart"))
    assert (cart["lines"], cart["version"]) == ([], 0)


def test_what_cannot_be_added_is_refused(guest: Buyer, product: MakeProduct) -> None:
    unknown = guest.call("POST", "/api/cart/items", json={"sku": "NO-SUCH", "quantity": 1})
    assert problem(unknown, 404, "unknown_sku")["about"] == {"sku": "NO-SUCH"}
    sku = product()
    for quantity in (0, -1, 1_000_001, "two", None, 1.5):
        answer = guest.call("POST", "/api/cart/items", json={"sku": sku, "quantity": quantity})
        assert problem(answer, 422, "invalid_request")["errors"][0]["where"] == "/body/quantity"
