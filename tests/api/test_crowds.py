"""Crowds at the last units: whoever can have them has them, everyone else is told clearly, nothing is left over."""

import asyncio
import resource
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.api.conftest import MakeProduct
from tests.api.shopping import Json, Money, Staff, bearer, body, money, order_form
from tests.running import RunningShop

BUYERS = 1_000
UNITS = 10
ROUNDS = 20


@pytest.fixture(autouse=True)
def _enough_files() -> Iterator[None]:
    """Each connection is an open file."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _client(shop: RunningShop, connections: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.AsyncClient(base_url=shop.url, limits=limits, timeout=120.0)


async def _fill(client: httpx.AsyncClient, *skus: str) -> str:
    """A new guest's cart with one of each; the guest's token."""
    token = ""
    for sku in skus:
        headers = bearer(token) if token else {}
        cart = body(await client.post("/api/cart/items", json={"sku": sku, "quantity": 1}, headers=headers))
        token = cart.get("guest_token", token)
    return token


async def _outcome(client: httpx.AsyncClient, token: str) -> Json:
    """Checks out and waits for what comes of it: the order as it is in the end, with the answer's status and code."""
    answer = await client.post("/api/orders", json=order_form(), headers=bearer(token))
    assert answer.status_code in (201, 202, 409), answer.text
    told: Json = answer.json()
    place = answer.headers["location"]
    async with asyncio.timeout(120.0):
        while True:
            order = body(await client.get(place, headers=bearer(token)))
            if order["status"] not in ("none", "placed", "reserved"):
                return {**order, "answered": answer.status_code, "code": told.get("code"), "about": told.get("about")}
            await asyncio.sleep(0.2)


async def test_a_thousand_buyers_want_the_last_ten(shop: RunningShop, staff: Staff, product: MakeProduct) -> None:
    sku = await asyncio.to_thread(product, 1000, UNITS)
    async with _client(shop, 64) as client:
        tokens = await asyncio.gather(*(_fill(client, sku) for _ in range(BUYERS)))
    async with _client(shop, BUYERS) as client:
        outcomes = await asyncio.gather(*(_outcome(client, token) for token in tokens))

    assert Counter(outcome["status"] for outcome in outcomes) == {"confirmed": UNITS, "rejected": BUYERS - UNITS}
    for outcome in outcomes:
        if outcome["status"] == "confirmed":
            assert outcome["answered"] in (201, 202)
            assert money(shop, outcome["id"]) == Money(1, 1495, 0)
        else:
            assert outcome["out_of_stock"] == [sku]
            assert (outcome["answered"], outcome["code"]) in ((409, "out_of_stock"), (202, None))
            if outcome["answered"] == 409:
                assert outcome["about"] == {"skus": [sku], "order_id": outcome["id"]}
    await asyncio.to_thread(
        lambda: staff.stock_when(sku, on_hand=0, held=0, reserved=0, waiting=0, sold=UNITS, available=0)
    )


async def test_of_two_orders_in_opposite_order_for_the_last_units_exactly_one_stands(
    shop: RunningShop, staff: Staff, product: MakeProduct
) -> None:
    cup, pot = await asyncio.to_thread(lambda: (product(stock=0), product(stock=0)))
    async with _client(shop, 8) as client:
        for number in range(1, ROUNDS + 1):
            await asyncio.to_thread(lambda: (staff.receive(cup, 1), staff.receive(pot, 1)))
            tokens = [await _fill(client, cup, pot), await _fill(client, pot, cup)]
            outcomes = await asyncio.gather(*(_outcome(client, token) for token in tokens))
            assert sorted(outcome["status"] for outcome in outcomes) == ["confirmed", "rejected"], f"round {number}"
            for sku in (cup, pot):
                stock = await asyncio.to_thread(
                    lambda sku=sku, number=number: staff.stock_when(sku, held=0, reserved=0, sold=number)
                )
                assert stock["on_hand"] == 0
