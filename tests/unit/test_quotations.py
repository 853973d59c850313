"""Many lines at once, by the rules and over HTTP as the staff send them."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from actors.cart import MAX_LINES, AddLine, AddLines, CartState, CartView, LinesAdded, apply
from actors.cart_decisions import decide
from actors.decision import Context, Decision, Refused
from actors.pricing import MAX_AMOUNT, MAX_QUANTITY, Line
from serve.carts.admin_api import admin_cart_routes
from serve.carts.api import cart_routes
from serve.carts.seen import SeenSkus
from serve.carts.service import Carts
from serve.carts.terms import ShopTerms
from serve.gateway.front import Front
from tests.unit.callers import MUG, OLD, TEA, PlainPrices, PlainTokens, bearer
from tests.unit.shop_in_memory import ShopInMemory

CONTEXT = Context(0, "g-1", "c1")
BOB = bearer("staff:bob")


def add(*lines: AddLine, state: CartState | None = None) -> Decision:
    return decide(state or CartState(), AddLines(lines), CONTEXT)


def test_lines_stay_lines_of_their_own() -> None:
    there = CartState(lines=(Line("l1", "MUG", "Mug", 5, 1_000, agreed=True),))
    decision = add(AddLine("MUG", 1, MUG, 1_000), AddLine("MUG", 2, MUG, 1_000), AddLine("TEA", 3, TEA), state=there)
    (event,) = decision.events
    assert isinstance(event, LinesAdded)
    wanted = [("MUG", 1, 1_000, True), ("MUG", 2, 1_000, True), ("TEA", 3, 450, False)]
    assert [(line.sku, line.quantity, line.unit_price, line.agreed) for line in event.lines] == wanted
    after = apply(there, event)
    assert decision.reply == CartView(after.lines)
    assert after.lines == (*there.lines, *event.lines)
    assert len({line.id for line in after.lines}) == 4


def test_lines_come_after_an_order_as_after_any_line() -> None:
    (event,) = add(AddLine("TEA", 1, TEA)).events
    assert isinstance(event, LinesAdded)
    assert apply(CartState(last_order="o1"), event).last_order is None


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        (AddLine("NONE", 1, None), ("unknown_sku", {"sku": "NONE", "line": 1})),
        (AddLine("OLD", 1, OLD), ("sku_gone", {"skus": ["OLD"], "line": 1})),
        (AddLine("TEA", MAX_QUANTITY + 1, TEA), ("bad_quantity", {"limit": MAX_QUANTITY, "line": 1})),
        (AddLine("TEA", 1, TEA, MAX_AMOUNT + 1), ("bad_price", {"line": 1})),
    ],
)
def test_one_bad_line_keeps_all_out(line: AddLine, refused: tuple[str, dict[str, Any]]) -> None:
    decision = add(AddLine("MUG", 1, MUG), line)
    assert isinstance(decision.reply, Refused)
    assert (decision.reply.code, decision.reply.about, decision.events) == (*refused, ())


def test_a_cart_is_full_for_all_of_them() -> None:
    lines = (AddLine("TEA", 1, TEA),) * MAX_LINES
    assert len(add(*lines).events) == 1
    there = CartState(lines=(Line("l1", "MUG", "Mug", 1, 1_000),))
    decision = add(*lines, state=there)
    assert isinstance(decision.reply, Refused)
    assert (decision.reply.code, decision.events) == ("cart_full", ())


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    tokens = PlainTokens()
    carts = Carts(ShopInMemory(), PlainPrices(MUG, TEA, OLD), ShopTerms(), tokens, SeenSkus())
    front = Front(FastAPI(), [cart_routes(carts), admin_cart_routes(carts)], tokens=tokens, metrics=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop") as client:
        yield client


async def test_a_quotation_is_the_guests_who_has_its_token(http: httpx.AsyncClient) -> None:
    items = [{"sku": "MUG", "quantity": 200, "agreed_price": 990}, {"sku": "TEA", "quantity": 1}]
    made = await http.post("/api/admin/carts", json={"items": items}, headers=BOB)
    body = made.json()
    assert (made.status_code, made.headers["x-guest-token"]) == (201, f"guest:{body['id']}")
    assert body["id"].startswith("g-")
    seen = (await http.get("/api/cart", headers=bearer(body["guest_token"]))).json()
    assert [(line["sku"], line["quantity"], line["unit_price"]) for line in seen["lines"]] == [
        ("MUG", 200, 990),
        ("TEA", 1, 450),
    ]
    assert (await http.post("/api/admin/carts", json={"items": items}, headers=BOB)).json()["id"] != body["id"]


async def test_one_key_makes_one_quotation(http: httpx.AsyncClient) -> None:
    wanted, headers = {"items": [{"sku": "MUG"}]}, {**BOB, "idempotency-key": "k1"}
    first, second = [(await http.post("/api/admin/carts", json=wanted, headers=headers)).json() for _ in range(2)]
    assert first == second
    seen = await http.get("/api/cart", headers=bearer(first["guest_token"]))
    assert [line["quantity"] for line in seen.json()["lines"]] == [1]


async def test_staff_put_lines_in_a_users_cart(http: httpx.AsyncClient) -> None:
    wanted = {"items": [{"sku": "MUG", "agreed_price": 0}]}
    filled = await http.post("/api/admin/carts/ada/items", json=wanted, headers=BOB)
    assert (filled.status_code, "guest_token" in filled.json()) == (200, False)
    (line,) = (await http.get("/api/cart", headers=bearer("user:ada"))).json()["lines"]
    assert (line["sku"], line["unit_price"], line["agreed"]) == ("MUG", 0, True)


@pytest.mark.parametrize("path", ["/api/admin/carts", "/api/admin/carts/ada/items"])
async def test_only_staff_and_only_what_can_be_sold(http: httpx.AsyncClient, path: str) -> None:
    wanted = {"items": [{"sku": "MUG"}, {"sku": "NONE"}]}
    assert (await http.post(path, json=wanted, headers=bearer("user:eve"))).status_code == 403
    refused = await http.post(path, json=wanted, headers=BOB)
    assert (refused.status_code, refused.json()["about"]) == (404, {"sku": "NONE", "line": 1})
    for unusable in ([], [{"sku": "MUG"}] * 1_001):
        assert (await http.post(path, json={"items": unusable}, headers=BOB)).status_code == 422
