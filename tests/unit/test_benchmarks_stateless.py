"""The stateless service that the shop is compared with does its work: a sloppier one would be no fair opponent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import func, select

from benchmarks.load import ORDER
from benchmarks.stateless.app import create
from benchmarks.stateless.models import charges, idempotency_keys, orders, outbox, seed, stock
from benchmarks.stateless.schemas import Totals, totals
from benchmarks.stateless.settings import Settings
from benchmarks.stateless.shop import Shop
from benchmarks.target import catalogue


@pytest.fixture(params=[False, True], ids=["threads", "inline"])
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    settings = Settings(url=f"sqlite:///{tmp_path}/shop.db", inline=request.param)
    shop = Shop(settings)
    shop.create_tables()
    seed(shop.database, catalogue(3), 5)
    shop.close()
    return settings


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
    ):
        yield client


def rows(settings: Settings, statement: Any) -> list[tuple[Any, ...]]:
    shop = Shop(settings)
    database = shop.database if statement.get_final_froms()[0] is not charges else shop._gateway_database
    with database.reading.connect() as connection:
        found = [tuple(row) for row in connection.execute(statement)]
    shop.close()
    return found


async def guest_with(client: httpx.AsyncClient, *skus: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    for sku in skus:
        answer = await client.post("/api/cart/items", json={"sku": sku, "quantity": 1}, headers=headers)
        assert answer.status_code == 200, answer.text
        headers = headers or {"Authorization": f"Bearer {answer.json()['guest_token']}"}
    return headers


async def buy(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    return await client.post("/api/orders", content=ORDER, headers=headers | {"Content-Type": "application/json"})


async def test_journey(settings: Settings) -> None:
    async with serving(settings) as client:
        guest = await guest_with(client, "BENCH-0000", "BENCH-0001", "BENCH-0001")
        cart = (await client.get("/api/cart", headers=guest)).json()
        answer = await buy(client, guest)
        order = answer.json()
        again = (await client.get(answer.headers["location"], headers=guest)).json()
        after = (await client.get("/api/cart", headers=guest)).json()
        twice = await buy(client, guest)
        stranger = await guest_with(client, "BENCH-0002")
        hidden = await client.get(answer.headers["location"], headers=stranger)
    assert [(line["sku"], line["quantity"]) for line in cart["lines"]] == [("BENCH-0000", 1), ("BENCH-0001", 2)]
    assert cart["totals"] == {"subtotal": 824, "shipping": 499, "tax": 221, "total": 1323}
    assert (answer.status_code, order["status"], order["totals"]) == (201, "confirmed", cart["totals"])
    assert again == order
    assert (after["lines"], after["last_order"]) == ([], order["id"])
    assert (twice.status_code, twice.json()["code"], twice.json()["order_id"]) == (
        409,
        "nothing_to_check_out",
        order["id"],
    )
    assert hidden.status_code == 404
    assert rows(settings, select(stock.c.on_hand, stock.c.sold).order_by(stock.c.sku)) == [(4, 1), (3, 2), (5, 0)]
    assert rows(settings, select(charges.c.amount, charges.c.status)) == [(1323, "captured")]
    assert rows(settings, select(outbox.c.topic, func.count()).group_by(outbox.c.topic)) == [
        ("carts", 4),
        ("orders", 1),
    ]


async def test_thirty_buyers_of_the_last_five_units(settings: Settings) -> None:
    async with serving(settings) as client:
        guests = [await guest_with(client, "BENCH-0000") for _ in range(30)]
        answers = await asyncio.gather(*(buy(client, guest) for guest in guests))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [409] * 25
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"out_of_stock"}
    assert rows(settings, select(stock.c.on_hand, stock.c.sold).where(stock.c.sku == "BENCH-0000")) == [(0, 5)]
    assert rows(settings, select(func.count()).select_from(orders)) == [(5,)]
    assert rows(settings, select(func.count()).where(charges.c.status == "captured")) == [(5,)]


async def test_a_repeated_key_names_the_same_order(settings: Settings) -> None:
    key = {"Idempotency-Key": "once"}
    async with serving(settings) as client:
        item = {"sku": "BENCH-0000", "quantity": 1}
        carts = [(await client.post("/api/cart/items", json=item, headers=key)).json() for _ in range(2)]
        guest = {"Authorization": f"Bearer {carts[0]['guest_token']}"} | key
        answers = await asyncio.gather(*(buy(client, guest) for _ in range(20)))
        other = await client.post("/api/orders", json=msgspec.json.decode(ORDER) | {"expected_total": 1}, headers=guest)
    assert carts[0] == carts[1]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert rows(settings, select(func.count()).where(charges.c.status == "captured")) == [(1,)]
    assert rows(settings, select(func.count()).select_from(idempotency_keys)) == [(2,)]
    assert rows(settings, select(stock.c.on_hand).where(stock.c.sku == "BENCH-0000")) == [(4,)]


async def test_refusals(settings: Settings) -> None:
    async with serving(settings) as client:
        unknown = await client.post("/api/cart/items", json={"sku": "NONE", "quantity": 1})
        unsigned = await client.get("/api/cart", headers={"Authorization": "Bearer someone.else"})
        guest = await guest_with(client, "BENCH-0000")
        order = msgspec.json.decode(ORDER)
        declined = await client.post(
            "/api/orders",
            json=order | {"payment": {"method": "card", "reference": "pm_card_chargeDeclined"}},
            headers=guest,
        )
        changed = await client.post("/api/orders", json=order | {"expected_total": 1}, headers=guest)
    answers = (unknown, unsigned, declined, changed)
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (422, "unknown_sku"),
        (401, "bad_token"),
        (402, "card_declined"),
        (409, "total_changed"),
    ]
    assert all(answer.headers["content-type"] == "application/problem+json" for answer in answers)
    assert rows(settings, select(func.count()).select_from(orders)) == [(0,)]


@pytest.mark.parametrize(
    ("included", "expected"),
    [(True, Totals(1_000, 499, 250, 1_499)), (False, Totals(1_000, 499, 300, 1_799))],
)
def test_tax_is_rounded_half_up_once(included: bool, expected: Totals) -> None:
    assert totals(1_000, 499, 2_000, included) == expected
