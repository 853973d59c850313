"""Callers that hang up: nobody else waits for them, and what they began goes on or never began."""

import json
import socket
import struct

import httpx

from tests.api.conftest import MakeProduct
from tests.api.shopping import Buyer, Money, Staff, money, order_form
from tests.running import RunningShop
from tests.waiting import eventually

CALLERS = 50
AT_ONCE = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing throws away what was not read, and resets the connection."""


def _send_and_hang_up(shop: RunningShop, token: str, *, rudely: bool) -> None:
    form = json.dumps(order_form()).encode()
    head = (
        "POST /api/orders HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{shop.port}\r\n"
        f"Authorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(form)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", shop.port), timeout=60.0) as line:
        if rudely:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        line.sendall(head.encode() + form)


def test_callers_that_hang_up_stall_nobody(
    shop: RunningShop, web: httpx.Client, staff: Staff, product: MakeProduct
) -> None:
    sku, other = product(price=1000, stock=200), product()
    callers = [Buyer(web) for _ in range(CALLERS)]
    for caller in callers:
        caller.add(sku)

    for number, caller in enumerate(callers):
        _send_and_hang_up(shop, caller.token, rudely=number % 2 == 0)
    bystander = Buyer(web).buy(other)
    assert bystander["status"] == "confirmed"

    # Each cart goes on: either its order came to an end, or the request never arrived and the line is still there.
    bought = [order for caller in callers if (order := _end(shop, caller, sku))]
    staff.stock_when(sku, held=0, reserved=0, waiting=0, sold=len(bought), on_hand=200 - len(bought))
    for caller in callers:
        assert caller.buy(other)["status"] == "confirmed"


def _end(shop: RunningShop, caller: Buyer, sku: str) -> str | None:
    """The id of the caller's order, paid once; None if there was none."""

    def quiet() -> bool:
        cart = caller.cart()
        return not cart["pending_orders"] and bool(cart["last_order"] or cart["lines"])

    eventually(quiet)
    cart = caller.cart()
    if cart["last_order"] is None:
        assert [line["sku"] for line in cart["lines"]] == [sku]
        caller.call("DELETE", "/api/cart/items")
        return None
    order_id: str = cart["last_order"]
    caller.order_when(order_id, status="confirmed")
    assert money(shop, order_id) == Money(1, 1495, 0)
    return order_id
