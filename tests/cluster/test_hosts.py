"""Several hosts on one machine: they serve one shop, come and go under load, and callers that hang up stall nobody."""

import asyncio
import json
import socket
import struct
from collections import Counter
from functools import partial

import httpx
import pytest

from actors.runtime.kind import shard_of
from tests.api.shopping import Buyer, Json, Staff, body, order_form
from tests.cluster.owners import owner
from tests.crowds import SETTLE_SECONDS, Crowd, adds_up, until
from tests.running import RunningShop
from tests.waiting import eventually

SHOPPERS = 60
AT_ONCE = 24
SHARDS = 4 * 64
HANG_UPS = 40
THROW_AWAY = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing throws away what was not read, and resets the connection."""


async def _buy(crowd: Crowd, skus: list[str], number: int) -> tuple[str, Json]:
    """A new guest's token and the order, confirmed."""
    token = await crowd.fill(skus[number % len(skus)], skus[(5 * number + 1) % len(skus)])
    answer = await crowd.ask("POST", "/api/orders", token, order_form())
    assert answer.status_code in (201, 202), f"{answer.status_code} {answer.text}"
    order = body(answer, answer.status_code)
    until = asyncio.get_running_loop().time() + SETTLE_SECONDS
    while order["status"] in ("none", "placed", "reserved"):
        assert asyncio.get_running_loop().time() < until, order
        await asyncio.sleep(0.1)
        order = body(await crowd.ask("GET", f"/api/orders/{order['id']}", token))
    assert order["status"] == "confirmed", order
    return token, order


def _has(bought: list[str], count: int) -> bool:
    return len(bought) >= count


def _owners(shop: RunningShop, kind: str, entities: list[str]) -> set[str]:
    return {owner(shop, kind, shard_of(entity, shop.settings.shards)) for entity in entities}


def _shares(staff: Staff) -> dict[str, int]:
    """How many shards each host has."""
    return {item["name"]: item["shards"] for item in body(staff.call("GET", "/api/admin/hosts"))["items"]}


async def test_two_hosts_serve_everything(shop: RunningShop, staff: Staff, skus: list[str]) -> None:
    async with Crowd(shop.url, AT_ONCE) as crowd:
        bought = await asyncio.gather(*(_buy(crowd, skus, number) for number in range(SHOPPERS)))
        carts = [body(await crowd.ask("GET", "/api/cart", token))["id"] for token, _ in bought]
        assert not crowd.again
    orders = [order["id"] for _, order in bought]
    for kind, entities in (("cart", carts), ("order", orders), ("payment", orders), ("stock", skus)):
        assert _owners(shop, kind, entities) == {"host-0", "host-1"}, kind
    shares = await asyncio.to_thread(_shares, staff)
    assert shares == {"host-0": SHARDS // 2, "host-1": SHARDS // 2}
    sold = Counter(line["sku"] for _, order in bought for line in order["lines"])
    for sku in skus:
        await asyncio.to_thread(staff.stock_when, sku, sold=sold[sku], held=0, reserved=0)
    await asyncio.to_thread(adds_up, shop)


async def test_hosts_come_and_go_under_load_and_nobody_is_told_more_than_to_try_again(
    shop: RunningShop, skus: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    enough = False
    bought: list[str] = []

    async def shop_on(crowd: Crowd, number: int) -> None:
        while not enough:
            _, order = await _buy(crowd, skus, number)
            bought.append(order["id"])
            number += AT_ONCE

    async with Crowd(shop.url, AT_ONCE + 2) as crowd, asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(shop_on(crowd, number))
        # Three again: a host that comes back under its old name is a new one.
        for count in (3, 1, 3, 2):
            before = len(bought)
            token = await asyncio.to_thread(shop.staff_token)
            found = body(await crowd.ask("PUT", "/api/admin/hosts", token, {"count": count}))
            shares = {item["name"]: item["shards"] for item in found["items"]}
            assert list(shares) == [f"host-{number}" for number in range(count)]
            assert sum(shares.values()) == SHARDS, shares
            assert max(shares.values()) - min(shares.values()) <= 1, shares
            # Whoever is served now was served by the hosts that are there now.
            await until(partial(_has, bought, before + 2 * AT_ONCE))
        enough = True
    with capsys.disabled():
        print(f"\n  hosts 2, 3, 1, 3, 2: {len(bought)} orders; repeated: {dict(crowd.again)}")  # noqa: T201
    assert set(crowd.again) <= {"503"}, crowd.again
    await asyncio.to_thread(adds_up, shop)


def test_the_placement_dies_and_the_hosts_are_those_that_there_were(
    shop: RunningShop, staff: Staff, web: httpx.Client, skus: list[str]
) -> None:
    """Also when there are other ones than the settings say."""
    body(staff.call("PUT", "/api/admin/hosts", json={"count": 3}))
    before = _shares(staff)
    (placement,) = shop.titled("ray::PlacementActor")
    placement.kill()
    eventually(lambda: placement.pid not in [process.pid for process in shop.titled("ray::PlacementActor")])
    assert eventually(lambda: _looked_at(staff)) == before
    assert Buyer(web).buy(skus[0])["status"] == "confirmed"
    body(staff.call("PUT", "/api/admin/hosts", json={"count": 2}))
    assert _shares(staff) == {"host-0": SHARDS // 2, "host-1": SHARDS // 2}
    adds_up(shop)


def _looked_at(staff: Staff) -> dict[str, int]:
    """Empty while the placement is not back."""
    return _shares(staff) if staff.call("GET", "/api/admin/hosts").status_code == 200 else {}


def test_callers_that_hang_up_stall_nobody_on_either_host(
    shop: RunningShop, web: httpx.Client, staff: Staff, skus: list[str]
) -> None:
    callers = [Buyer(web) for _ in range(HANG_UPS)]
    carts = [caller.add(skus[number % len(skus)])["id"] for number, caller in enumerate(callers)]
    assert _owners(shop, "cart", carts) == {"host-0", "host-1"}
    for caller in callers:
        _send_and_hang_up(shop, caller.token)

    for sku in skus:
        assert Buyer(web).buy(sku)["status"] == "confirmed"
    for caller in callers:
        # Its order came to an end, or the request never arrived and the line is still there: the cart goes on.
        eventually(partial(_is_quiet, caller))
        assert caller.buy(skus[0])["status"] == "confirmed"
    adds_up(shop)


def _is_quiet(caller: Buyer) -> bool:
    return not caller.cart()["pending_orders"]


def _send_and_hang_up(shop: RunningShop, token: str) -> None:
    form = json.dumps(order_form()).encode()
    head = (
        "POST /api/orders HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{shop.port}\r\n"
        f"Authorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(form)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", shop.port), timeout=60.0) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, THROW_AWAY)
        line.sendall(head.encode() + form)
