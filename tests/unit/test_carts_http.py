"""Carts over HTTP, against the cart's real rules."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from actors.cart import MAX_WHOLE_VIEW
from actors.pricing import Price, Shipping
from actors.runtime.ports import Answer
from serve.carts.api import cart_routes
from serve.carts.seen import SeenSkus
from serve.carts.service import Carts
from serve.carts.terms import ShopTerms
from serve.gateway.front import Front
from tests.unit.callers import MUG, OLD, TEA, PlainPrices, PlainTokens, bearer
from tests.unit.shop_in_memory import ShopInMemory

TERMS = ShopTerms(shippings=(Shipping("standard", "Standard", 490, free_from=5_000),))
ADA = bearer("user:ada")


@pytest.fixture
def shop() -> ShopInMemory:
    return ShopInMemory()


@pytest.fixture
def prices() -> PlainPrices:
    return PlainPrices(MUG, TEA, OLD)


@pytest.fixture
def seen() -> SeenSkus:
    return SeenSkus()


@pytest.fixture
async def http(shop: ShopInMemory, prices: PlainPrices, seen: SeenSkus) -> AsyncIterator[httpx.AsyncClient]:
    tokens = PlainTokens()
    carts = Carts(shop, prices, TERMS, tokens, seen)
    front = Front(FastAPI(), [cart_routes(carts)], tokens=tokens, metrics=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop") as client:
        yield client


async def add(http: httpx.AsyncClient, sku: str = "MUG", quantity: int = 1, **more: Any) -> httpx.Response:
    return await http.post("/api/cart/items", json={"sku": sku, "quantity": quantity}, **{"headers": ADA, **more})


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_a_first_write_makes_a_guest(http: httpx.AsyncClient) -> None:
    made = await add(http, quantity=2, headers={})
    body = made.json()
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    assert body["guest_token"] == made.headers["x-guest-token"] == f"guest:{body['id']}"
    assert body["id"].startswith("g-")
    assert len(body["id"]) == 34
    assert body == {
        "id": body["id"],
        "version": 1,
        "currency": "EUR",
        "lines": [
            {
                "id": body["lines"][0]["id"],
                "sku": "MUG",
                "name": "Mug",
                "quantity": 2,
                "unit_price": 1_200,
                "changed_from": None,
                "gone": False,
                "agreed": False,
                "total": 2_400,
            }
        ],
        "totals": {"subtotal": 2_400, "shipping": 490, "tax": 482, "total": 2_890},
        "pending_orders": [],
        "last_order": None,
        "guest_token": body["guest_token"],
    }
    again = await http.get("/api/cart", headers=bearer(body["guest_token"]))
    assert again.json() == {name: value for name, value in body.items() if name != "guest_token"}
    assert "x-guest-token" not in again.headers


async def test_two_guests_have_two_carts(http: httpx.AsyncClient) -> None:
    one, other = await add(http, headers={}), await add(http, headers={})
    assert one.json()["id"] != other.json()["id"]


async def test_a_guest_who_asks_for_nothing_sold_gets_no_cart(http: httpx.AsyncClient, shop: ShopInMemory) -> None:
    assert problem(await add(http, "NONE", headers={})) == (404, "unknown_sku")
    assert shop.asked == []


async def test_nobody_has_an_empty_cart(http: httpx.AsyncClient) -> None:
    body = (await http.get("/api/cart")).json()
    assert (body["id"], body["version"], body["lines"]) == ("", 0, [])
    assert body["totals"] == {"subtotal": 0, "shipping": 0, "tax": 0, "total": 0}


@pytest.mark.parametrize(
    ("query", "sent", "least"),
    [
        ("", {}, 0),
        ("", {"If-None-Match": 'W/"7"'}, 7),
        ("", {"If-None-Match": '"7"'}, 7),
        ("?version=9", {"If-None-Match": 'W/"7"'}, 9),
        ("", {"If-None-Match": "*"}, 0),
        ("", {"If-None-Match": '"of another"'}, 0),
    ],
)
async def test_who_sends_back_what_they_saw_is_shown_nothing_older(
    http: httpx.AsyncClient,
    shop: ShopInMemory,
    monkeypatch: pytest.MonkeyPatch,
    query: str,
    sent: dict[str, str],
    least: int,
) -> None:
    made = await add(http)
    assert made.headers["etag"] == 'W/"1"'
    asked: list[int] = []
    read = shop.read

    async def noted(kind: str, entity: str, *, at_least: int = 0, seconds: float = 5.0) -> Answer:
        asked.append(at_least)
        return await read(kind, entity, at_least=at_least, seconds=seconds)

    monkeypatch.setattr(shop, "read", noted)
    answer = await http.get(f"/api/cart{query}", headers={**ADA, **sent})
    assert (answer.status_code, answer.headers["etag"], asked) == (200, 'W/"1"', [least])


async def test_lines_are_changed_and_removed(http: httpx.AsyncClient) -> None:
    line = (await add(http)).json()["lines"][0]["id"]
    changed = await http.patch(f"/api/cart/items/{line}", json={"quantity": 74_215}, headers=ADA)
    assert changed.json()["lines"][0]["quantity"] == 74_215
    await add(http, "TEA")
    removed = await http.delete(f"/api/cart/items/{line}", headers=ADA)
    assert [each["sku"] for each in removed.json()["lines"]] == ["TEA"]
    assert problem(await http.delete(f"/api/cart/items/{line}", headers=ADA)) == (404, "no_such_line")
    cleared = await http.delete("/api/cart/items", headers=ADA)
    assert (cleared.json()["lines"], cleared.json()["version"]) == ([], 5)


async def test_the_same_key_adds_once_and_another_body_is_refused(http: httpx.AsyncClient) -> None:
    headers = bearer("user:ada", idempotency_key="k1")
    first, second = await add(http, headers=headers), await add(http, headers=headers)
    assert first.json() == second.json()
    assert first.json()["lines"][0]["quantity"] == 1
    assert problem(await add(http, quantity=2, headers=headers)) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("quantity", [0, -1, 1_000_001, "2", 1.5, None])
async def test_unusable_quantities(http: httpx.AsyncClient, quantity: Any) -> None:
    assert problem(await add(http, quantity=quantity)) == (422, "invalid_request")


async def test_what_cannot_be_bought(http: httpx.AsyncClient) -> None:
    assert problem(await add(http, "NONE")) == (404, "unknown_sku")
    assert problem(await add(http, "OLD")) == (409, "sku_gone")


async def test_a_change_of_price_is_shown(http: httpx.AsyncClient, prices: PlainPrices) -> None:
    await add(http)
    await add(http, "TEA")
    prices.change(Price("MUG", "Mug", 1_500, version=4))
    prices.change(Price("TEA", "Tea", 450, status="gone", version=2))
    mug, tea = (await http.get("/api/cart", headers=ADA)).json()["lines"]
    assert (mug["unit_price"], mug["changed_from"], mug["total"], mug["gone"]) == (1_500, 1_200, 1_500, False)
    assert (tea["unit_price"], tea["changed_from"], tea["gone"]) == (450, None, True)
    totals = (await http.get("/api/cart", headers=ADA)).json()["totals"]
    assert totals == {"subtotal": 1_500, "shipping": 490, "tax": 332, "total": 1_990}


async def test_only_staff_agree_on_prices(http: httpx.AsyncClient, prices: PlainPrices) -> None:
    wanted = {"sku": "MUG", "quantity": 1, "agreed_price": 999}
    refused = await http.post("/api/cart/items", json=wanted, headers=ADA)
    assert problem(refused) == (403, "forbidden")
    agreed = await http.post("/api/cart/items", json=wanted, headers=bearer("staff:bob"))
    prices.change(Price("MUG", "Mug", 1_500, version=4))
    (line,) = (await http.get("/api/cart", headers=bearer("staff:bob"))).json()["lines"]
    assert agreed.json()["lines"][0]["agreed"] is True
    assert (line["unit_price"], line["changed_from"], line["agreed"]) == (999, None, True)


async def test_a_long_cart_is_answered_whole_and_its_skus_are_remembered(
    http: httpx.AsyncClient, prices: PlainPrices, seen: SeenSkus
) -> None:
    count = MAX_WHOLE_VIEW + 3
    for number in range(count):
        prices.change(Price(f"S{number}", "Thing", 100))
        body = (await add(http, f"S{number}")).json()
    assert (len(body["lines"]), body["version"]) == (count, count)
    assert seen.of("ada") == {f"S{number}" for number in range(count)}


async def test_a_guests_lines_become_the_users(http: httpx.AsyncClient) -> None:
    await add(http, "TEA")
    token = (await add(http, quantity=2, headers={})).json()["guest_token"]
    merged = await http.post("/api/cart/merge", json={"guest_token": token}, headers=ADA)
    assert [(line["sku"], line["quantity"]) for line in merged.json()["lines"]] == [("TEA", 1), ("MUG", 2)]
    again = await http.post("/api/cart/merge", json={"guest_token": token}, headers=ADA)
    assert again.json() == merged.json()
    for answer in (await http.get("/api/cart", headers=bearer(token)), await add(http, headers=bearer(token))):
        assert problem(answer) == (409, "cart_merged")
        assert "user:ada" not in answer.text
    other = await http.post("/api/cart/merge", json={"guest_token": token}, headers=bearer("user:eve"))
    assert problem(other) == (409, "cart_merged")


async def test_merges_that_make_no_sense(http: httpx.AsyncClient) -> None:
    unused = await http.post("/api/cart/merge", json={"guest_token": "guest:g-unused"}, headers=ADA)
    assert (unused.status_code, unused.json()["lines"]) == (200, [])
    wrong = await http.post("/api/cart/merge", json={"guest_token": "user:bob"}, headers=ADA)
    assert problem(wrong) == (401, "invalid_token")
    guest = await http.post("/api/cart/merge", json={"guest_token": "guest:g-1"}, headers=bearer("guest:g-2"))
    assert problem(guest) == (403, "forbidden")
    nobody = await http.post("/api/cart/merge", json={"guest_token": "guest:g-1"})
    assert problem(nobody) == (401, "not_authenticated")


async def test_the_interface_is_described(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert {path: sorted(methods) for path, methods in paths.items() if path.startswith("/api/cart")} == {
        "/api/cart": ["get"],
        "/api/cart/items": ["delete", "post"],
        "/api/cart/items/{id}": ["delete", "patch"],
        "/api/cart/merge": ["post"],
    }


def test_what_was_seen_is_bounded() -> None:
    seen = SeenSkus(limit=3)
    seen.remember("a", ["1", "2"])
    seen.remember("b", ["1", "2"])
    assert (seen.of("a"), seen.of("b")) == (frozenset(), frozenset("12"))
    seen.remember("b", ["3"])
    seen.remember("c", ["1", "2"])
    assert (seen.of("b"), seen.of("c")) == (frozenset("3"), frozenset("12"))
    seen.remember("b", [])
    assert seen.of("b") == frozenset()
