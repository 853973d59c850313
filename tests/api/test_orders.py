"""Orders over HTTP: following, cancelling, receipts, fulfilment, refunds, and other people's orders."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.api.conftest import MakeProduct
from tests.api.shopping import Buyer, Json, Money, Staff, body, money, problem
from tests.running import RunningShop
from tests.waiting import eventually


def test_a_shoppers_orders_are_listed_newest_first(user: Buyer, product: MakeProduct) -> None:
    sku = product(price=1000)
    placed = [user.buy(sku)["id"] for _ in range(3)]

    def pages() -> list[Json]:
        found: list[Json] = []
        query = {"limit": "2"}
        while True:
            page = body(user.call("GET", "/api/orders", params=query))
            found.extend(page["items"])
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]

    eventually(lambda: [item["status"] for item in pages()] == ["confirmed"] * 3)
    items = pages()
    assert [item["id"] for item in items] == placed[::-1]
    assert {(item["total"], item["currency"]) for item in items} == {(1495, "GBP")}


def test_the_history_tells_every_step(guest: Buyer, staff: Staff, product: MakeProduct) -> None:
    order = guest.buy(product(), 1, "pm_card_chargeDeclined")
    guest.pay(order["id"])
    staff.fulfil(order["id"], "pack")

    history = guest.order(order["id"])["history"]

    steps = [step["step"] for step in history]
    assert steps == [
        "placed",
        "reserved",
        "payment_failed",
        "method_chosen",
        "paid",
        "confirmed",
        "packed",
    ]
    times = [step["at"] for step in history]
    assert times == sorted(times)


def _events(answer: httpx.Response) -> Iterator[tuple[str, str, Json]]:
    """(name, id, data) of each server-sent event."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif not line and "data" in fields:
            yield fields.get("event", ""), fields.get("id", ""), json.loads(fields["data"])
            fields = {}
        elif not line:
            fields = {}


def test_an_order_is_followed_live(web: httpx.Client, guest: Buyer, staff: Staff, product: MakeProduct) -> None:
    order = guest.buy(product(), 1, "pm_card_authenticationRequired")
    path = f"/api/orders/{order['id']}/events"
    headers = {"Authorization": f"Bearer {guest.token}"}
    seen: list[tuple[str, str]] = []
    with web.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        for name, number, data in _events(answer):
            seen.append((number, data.get("step", name)))
            if seen[-1][1] == "payment_action_required":
                web.post(f"{order['next_action']['url']}/approve")
            if seen[-1][1] == "confirmed":
                staff.fulfil(order["id"], "pack")
                staff.fulfil(order["id"], "ship", carrier="DHL", tracking="JD01")
                staff.fulfil(order["id"], "deliver")
            if name == "end":
                assert data == {"status": "delivered", "payment_status": "paid"}
                break
    steps = ["placed", "reserved", "payment_action_required", "paid", "confirmed", "packed", "shipment_added"]
    steps += ["shipped", "delivered"]
    assert seen == [*((str(number), step) for number, step in enumerate(steps, 1)), ("", "end")]

    with web.stream("GET", path, headers={**headers, "Last-Event-ID": "6"}) as answer:
        later = [(number, data.get("step", name)) for name, number, data in _events(answer)]
    assert later == [("7", "shipment_added"), ("8", "shipped"), ("9", "delivered"), ("", "end")]


def test_an_unpaid_order_is_cancelled_and_its_lines_come_back(
    shop: RunningShop, guest: Buyer, staff: Staff, product: MakeProduct
) -> None:
    sku = product(stock=4)
    order = guest.buy(sku, 3, "pm_card_authenticationRequired")
    assert staff.stock(sku)["available"] == 1

    assert guest.cancel(order["id"]).status_code in (200, 202)

    cancelled = guest.order_when(order["id"], status="cancelled")
    assert (cancelled["payment_status"], cancelled["next_action"]) == ("none", None)
    eventually(lambda: [(line["sku"], line["quantity"]) for line in guest.cart()["lines"]] == [(sku, 3)])
    assert guest.cart()["pending_orders"] == []
    staff.stock_when(sku, held=0, reserved=0, available=4, sold=0)
    assert money(shop, order["id"]) == Money(0, 0, 0)
    problem(guest.pay(order["id"]), 409, "not_awaiting_payment")
    # The page that was left open takes nothing any more.
    assert guest.web.post(f"{order['next_action']['url']}/approve").status_code == 409


def test_a_paid_order_is_cancelled_and_all_of_it_refunded(
    shop: RunningShop, guest: Buyer, staff: Staff, product: MakeProduct
) -> None:
    sku = product(price=1000, stock=4)
    order = guest.buy(sku, 3)
    staff.stock_when(sku, sold=3, available=1)

    assert body(guest.cancel(order["id"]))["status"] == "cancelled"

    refunded = guest.order_when(order["id"], payment_status="refunded")
    assert [(refund["amount"], refund["status"]) for refund in refunded["refunds"]] == [(3495, "refunded")]
    assert money(shop, order["id"]) == Money(1, 3495, 3495)
    staff.stock_when(sku, returned=3, available=4)
    assert body(guest.cancel(order["id"]))["status"] == "cancelled", "a second cancel is harmless"
    assert money(shop, order["id"]) == Money(1, 3495, 3495)


def test_a_cash_order_is_cancelled_without_a_refund(guest: Buyer, staff: Staff, product: MakeProduct) -> None:
    sku = product(stock=4)
    guest.add(sku, 2)
    order = body(guest.check_out("", "cash_on_delivery"), 201)
    cancelled = body(guest.cancel(order["id"]))
    assert (cancelled["status"], cancelled["payment_status"], cancelled["refunds"]) == ("cancelled", "none", [])
    staff.stock_when(sku, available=4)


def test_a_packed_order_is_not_cancelled(guest: Buyer, staff: Staff, product: MakeProduct) -> None:
    order = guest.buy(product())
    staff.fulfil(order["id"], "pack")
    problem(guest.cancel(order["id"]), 409, "too_late")


def test_a_receipt_says_what_was_paid(guest: Buyer, staff: Staff, product: MakeProduct) -> None:
    sku = product(price=1000)
    order = guest.buy(sku, 2, "pm_card_chargeDeclined")
    path = f"/api/orders/{order['id']}/receipt"
    problem(guest.call("GET", path), 409, "no_receipt")
    guest.pay(order["id"])

    receipt = body(guest.call("GET", path))

    assert receipt["totals"] == {"subtotal": 2000, "shipping": 495, "tax": 416, "total": 2495}
    assert (receipt["paid"], receipt["refunded"], receipt["currency"]) == (2495, 0, "GBP")
    assert receipt["contact"]["email"] == "guest@example.com"
    assert receipt["contact"]["address"]["city"] == "London"
    text = guest.call("GET", path, headers={"Accept": "text/plain"})
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert f"Receipt for order {order['id']}" in text.text
    assert [line.split()[-2] for line in text.text.splitlines() if line.startswith("Total")] == ["24.95"]


def test_other_peoples_orders_are_not_there(web: httpx.Client, guest: Buyer, user: Buyer, product: MakeProduct) -> None:
    sku = product()
    order_id = guest.buy(sku)["id"]
    stranger = Buyer(web)
    stranger.add(sku)
    for nosy in (user, stranger):
        for method, path in (
            ("GET", f"/api/orders/{order_id}"),
            ("GET", f"/api/orders/{order_id}/receipt"),
            ("GET", f"/api/orders/{order_id}/tracking"),
            ("GET", f"/api/orders/{order_id}/events"),
            ("POST", f"/api/orders/{order_id}/cancel"),
            ("GET", f"/api/payments/{order_id}"),
        ):
            problem(nosy.call(method, path), 404, "not_found")
        problem(nosy.pay(order_id), 404, "not_found")
        problem(nosy.call("GET", f"/api/admin/orders/{order_id}"), 403, "forbidden")
    problem(web.get(f"/api/orders/{order_id}"), 401, "not_authenticated")
    assert guest.order(order_id)["status"] == "confirmed"


def test_staff_take_an_order_through_to_the_door(guest: Buyer, staff: Staff, product: MakeProduct) -> None:
    order_id = guest.buy(product())["id"]
    shipping = {"carrier": "DHL", "tracking": "JD014600006281230701"}
    early = staff.call("POST", f"/api/admin/orders/{order_id}/ship", json=shipping)
    problem(early, 409, "wrong_status")

    assert staff.fulfil(order_id, "pack")["status"] == "packed"
    (shipment,) = staff.fulfil(order_id, "ship", **shipping)["shipments"]
    assert shipment | shipping == shipment
    tracking = body(guest.call("GET", f"/api/orders/{order_id}/tracking"))
    assert (tracking["status"], tracking["shipments"]) == ("shipped", [shipment])
    assert staff.fulfil(order_id, "deliver")["status"] == "delivered"
    assert staff.fulfil(order_id, "deliver")["status"] == "delivered", "twice is once"
    assert guest.order(order_id)["status"] == "delivered"


def test_staff_see_whom_an_order_goes_to_and_shoppers_do_not(guest: Buyer, staff: Staff, product: MakeProduct) -> None:
    order = guest.buy(product())
    assert "contact" not in order
    seen = body(staff.call("GET", f"/api/admin/orders/{order['id']}"))
    assert seen["contact"]["address"]["name"] == "Ada Byron"
    assert seen["owner"].startswith("guest:")

    def listed() -> bool:
        page = body(staff.call("GET", "/api/admin/orders", params={"status": "confirmed", "limit": 100}))
        return order["id"] in [item["id"] for item in page["items"]]

    eventually(listed)


def test_an_order_is_refunded_in_parts_and_then_in_whole(
    shop: RunningShop, guest: Buyer, staff: Staff, product: MakeProduct
) -> None:
    cup, pot = product(price=1000, stock=10), product(price=300, stock=10)
    guest.add(cup, 2)
    order = guest.buy(pot, 1)
    order_id = order["id"]
    assert order["totals"]["total"] == 2795

    body(staff.refund(order_id, lines={cup: 1}))
    guest.order_when(order_id, payment_status="partially_refunded")
    assert money(shop, order_id) == Money(1, 2795, 1000)
    staff.stock_when(cup, sold=2, returned=1, available=9)

    problem(staff.refund(order_id, amount=1796), 422, "refund_too_large")
    problem(staff.refund(order_id, lines={cup: 2}), 422, "bad_refund_lines")
    problem(staff.refund(order_id, lines={"NO-SUCH": 1}), 422, "bad_refund_lines")
    body(staff.refund(order_id, amount=95))
    eventually(lambda: money(shop, order_id) == Money(1, 2795, 1095))
    body(staff.refund(order_id))

    whole = guest.order_when(order_id, payment_status="refunded")
    assert [(refund["amount"], refund["status"]) for refund in whole["refunds"]] == [
        (1000, "refunded"),
        (95, "refunded"),
        (1700, "refunded"),
    ]
    assert whole["status"] == "confirmed"
    assert money(shop, order_id) == Money(1, 2795, 2795)
    problem(staff.refund(order_id), 422, "bad_amount")
    assert body(guest.call("GET", f"/api/orders/{order_id}/receipt"))["refunded"] == 2795


def test_a_refund_under_one_key_is_one(shop: RunningShop, guest: Buyer, staff: Staff, product: MakeProduct) -> None:
    order_id = guest.buy(product(price=1000), 2)["id"]
    path = f"/api/admin/orders/{order_id}/refunds"
    for _ in range(3):
        how = {"json": {"reason": "broken", "amount": 500}, "headers": {"Idempotency-Key": f"refund-{order_id}"}}
        body(staff.call("POST", path, **how))
    guest.order_when(order_id, payment_status="partially_refunded")
    assert money(shop, order_id) == Money(1, 2495, 500)


def test_a_refund_that_the_gateway_refuses_is_shown_and_can_be_tried_again(
    shop: RunningShop, guest: Buyer, staff: Staff, product: MakeProduct
) -> None:
    order_id = guest.buy(product(price=1000), 1, "pm_card_refundFail")["id"]
    body(staff.refund(order_id, amount=400))
    eventually(lambda: [refund["status"] for refund in guest.order(order_id)["refunds"]] == ["failed"])
    assert money(shop, order_id) == Money(1, 1495, 0)

    body(staff.refund(order_id, amount=400))
    guest.order_when(order_id, payment_status="partially_refunded")
    assert money(shop, order_id) == Money(1, 1495, 400)


@pytest.mark.parametrize("path", ["/api/orders/no-such", "/api/orders/0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10"])
def test_an_order_that_never_was_is_not_there(guest: Buyer, product: MakeProduct, path: str) -> None:
    guest.add(product())
    problem(guest.call("GET", path), 404, "not_found")
    problem(guest.call("POST", f"{path}/cancel"), 404, "not_found")
