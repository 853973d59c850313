"""Crowds at the last units: whoever can have them has them, everyone else is told clearly, nothing is left over."""

import asyncio
import resource
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.api.conftest import MakeProduct
from tests.api.shopping import MOVING, Json, Money, Staff, bearer, body, money, order_form, problem
from tests.running import RunningShop

BUYERS = 1_000
UNITS = 10
ROUNDS = 20
GROUP = 50


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


async def _filled_carts(shop: RunningShop, sku: str) -> list[str]:
    """The tokens of all the buyers, each with one unit in the cart."""

    async def some() -> list[str]:
        return [await _fill(client, sku) for _ in range(GROUP)]

    async with _client(shop, BUYERS // GROUP) as client:
        return [token for tokens in await asyncio.gather(*(some() for _ in range(BUYERS // GROUP))) for token in tokens]


async def _outcome(client: httpx.AsyncClient, token: str) -> Json:
    """Checks out: the order as it is in the end, or why there is none."""
    answer = await client.post("/api/orders", json=order_form(), headers=bearer(token))
    if answer.status_code == 409:
        return problem(answer, 409, "out_of_stock")
    assert answer.status_code in (201, 202), answer.text
    async with asyncio.timeout(120.0):
        while True:
            order = body(await client.get(answer.headers["location"], headers=bearer(token)))
            if order["status"] not in MOVING:
                return order
            await asyncio.sleep(0.2)


def _told(outcome: Json) -> str:
    """An answer that came before the end (202) is told by the order."""
    return str(outcome.get("code") or outcome["status"])


async def _at_once(shop: RunningShop, tokens: list[str]) -> list[Json]:
    """Everybody over a connection of their own. One client for them all would spend its time looking for them."""

    async def some(few: list[str]) -> list[Json]:
        async with _client(shop, len(few)) as client:
            return list(await asyncio.gather(*(_outcome(client, token) for token in few)))

    groups = [tokens[first : first + GROUP] for first in range(0, len(tokens), GROUP)]
    return [outcome for outcomes in await asyncio.gather(*(some(group) for group in groups)) for outcome in outcomes]


async def test_a_thousand_buyers_want_the_last_ten(shop: RunningShop, staff: Staff, product: MakeProduct) -> None:
    sku = await asyncio.to_thread(product, 1000, UNITS)
    tokens = await _filled_carts(shop, sku)

    outcomes = await _at_once(shop, tokens)

    told = Counter(_told(outcome) for outcome in outcomes)
    assert told["confirmed"] == UNITS, told
    assert told["out_of_stock"] + told["rejected"] == BUYERS - UNITS, told
    for outcome in outcomes:
        if outcome["status"] == "confirmed":
            assert money(shop, outcome["id"]) == Money(1, 1495, 0)
        elif outcome["status"] == "rejected":
            assert outcome["out_of_stock"] == [sku]
        else:
            assert outcome["about"]["skus"] == [sku]
    await asyncio.to_thread(
        lambda: staff.stock_when(sku, on_hand=0, held=0, reserved=0, waiting=0, sold=UNITS, available=0)
    )


async def test_of_two_orders_in_opposite_order_for_the_last_units_exactly_one_stands(
    shop: RunningShop, staff: Staff, product: MakeProduct
) -> None:
    cup, pot = await asyncio.to_thread(lambda: (product(stock=0), product(stock=0)))

    def in_stock_again() -> None:
        staff.receive(cup, 1)
        staff.receive(pot, 1)

    def all_sold(number: int) -> None:
        for sku in (cup, pot):
            staff.stock_when(sku, on_hand=0, held=0, reserved=0, sold=number)

    async with _client(shop, 8) as client:
        for number in range(1, ROUNDS + 1):
            await asyncio.to_thread(in_stock_again)
            tokens = [await _fill(client, cup, pot), await _fill(client, pot, cup)]
            outcomes = await asyncio.gather(*(_outcome(client, token) for token in tokens))
            told = sorted(_told(outcome) for outcome in outcomes)
            assert told in (["confirmed", "out_of_stock"], ["confirmed", "rejected"]), f"round {number}"
            await asyncio.to_thread(all_sold, number)
