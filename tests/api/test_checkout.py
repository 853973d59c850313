"""Checking out over HTTP: every way to pay, every outcome of the test gateway, and what is refused."""

import httpx
import pytest

from tests.api.conftest import MakeProduct
from tests.api.shopping import Buyer, Money, Staff, body, money, order_form, problem, webhooks_owed
from tests.running import RunningShop
from tests.waiting import eventually


@pytest.mark.parametrize(
    ("method", "reference"),
    [
        ("card", "pm_card_visa"),
        ("card", "pm_card_mastercard"),
        ("wallet", ""),
        ("card", "pm_processing"),
        ("card", "pm_timeout_after_charge"),
        ("card", "pm_webhook_early"),
        ("card", "pm_webhook_late"),
        ("card", "pm_webhook_twice"),
        ("card", "pm_webhook_never"),
    ],
)
def test_a_payment_that_goes_through_is_taken_once(
    shop: RunningShop, staff: Staff, guest: Buyer, product: MakeProduct, method: str, reference: str
) -> None:
    sku = product(price=1000, stock=10)
    guest.add(sku, 2)

    order = body(guest.check_out(reference, method), 201)

    assert (order["status"], order["payment_status"], order["next_action"]) == ("confirmed", "paid", None)
    assert order["totals"] == {"subtotal": 2000, "shipping": 495, "tax": 416, "total": 2495}
    assert order["payment_method"] == method
    # The webhooks that are still to come change nothing.
    eventually(lambda: webhooks_owed(shop, order["id"]) == 0)
    assert money(shop, order["id"]) == Money(1, 2495, 0)
    assert guest.order(order["id"]) == order
    staff.stock_when(sku, on_hand=8, held=0, reserved=0, sold=2)


def test_cash_on_delivery_is_confirmed_at_once_and_paid_at_the_door(
    shop: RunningShop, staff: Staff, guest: Buyer, product: MakeProduct
) -> None:
    guest.add(product(price=1000), 2)
    order = body(guest.check_out("", "cash_on_delivery"), 201)
    assert (order["status"], order["payment_status"]) == ("confirmed", "cash_due")

    staff.fulfil(order["id"], "pack")
    staff.fulfil(order["id"], "ship", carrier="DHL", tracking="JD01")
    assert staff.fulfil(order["id"], "deliver")["payment_status"] == "paid"

    def recorded() -> bool:
        return bool(body(staff.call("GET", f"/api/payments/{order['id']}"))["captured"] == 2495)

    eventually(recorded)
    assert money(shop, order["id"]) == Money(0, 0, 0)


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("pm_card_chargeDeclined", "card_declined"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
    ],
)
def test_after_a_decline_the_shopper_pays_again(
    shop: RunningShop, staff: Staff, guest: Buyer, product: MakeProduct, reference: str, code: str
) -> None:
    sku = product(price=1000, stock=5)
    order = guest.buy(sku, 1, reference)
    assert (order["status"], order["payment_status"], order["payment_failure"]) == ("reserved", "failed", code)
    assert staff.stock(sku)["available"] == 4

    again = body(guest.pay(order["id"]))

    assert (again["status"], again["payment_status"], again["payment_failure"]) == ("confirmed", "paid", None)
    assert money(shop, order["id"]) == Money(1, 1495, 0)
    problem(guest.pay(order["id"]), 409, "not_awaiting_payment")
    staff.stock_when(sku, held=0, reserved=0, sold=1)


def test_a_second_decline_is_told_too(guest: Buyer, product: MakeProduct) -> None:
    order = guest.buy(product(), 1, "pm_card_chargeDeclined")
    again = guest.pay(order["id"], "pm_card_chargeDeclinedInsufficientFunds")
    assert body(again)["payment_failure"] == "insufficient_funds"
    problem(guest.pay(order["id"], "", "cash_on_delivery"), 422, "method_not_allowed_for_order")


@pytest.mark.parametrize(
    ("method", "reference", "kind", "failure"),
    [
        ("card", "pm_card_authenticationRequired", "three_d_secure", "authentication_failed"),
        ("bank_redirect", "", "bank_redirect", "redirect_declined"),
    ],
)
class TestWithAPage:
    """3-D Secure, and a bank's own page: the shopper is sent there and comes back."""

    def test_approved(
        self,
        shop: RunningShop,
        web: httpx.Client,
        guest: Buyer,
        product: MakeProduct,
        method: str,
        reference: str,
        kind: str,
        failure: str,
    ) -> None:
        guest.add(product(price=1000), 1)
        order = body(guest.check_out(reference, method), 201)
        assert (order["status"], order["payment_status"]) == ("reserved", "action_required")
        assert order["next_action"]["type"] == kind
        page = web.get(order["next_action"]["url"])
        assert (page.status_code, "Approve" in page.text, "14.95 GBP" in page.text) == (200, True, True)
        assert money(shop, order["id"]) == Money(0, 0, 0)

        back = web.post(f"{order['next_action']['url']}/approve")

        assert back.status_code == 303
        assert web.get(back.headers["location"]).status_code == 200
        paid = guest.order_when(order["id"], status="confirmed")
        assert (paid["payment_status"], paid["next_action"]) == ("paid", None)
        assert money(shop, order["id"]) == Money(1, 1495, 0)
        assert web.post(f"{order['next_action']['url']}/approve").status_code == 409

    def test_declined_and_paid_by_a_card(
        self,
        shop: RunningShop,
        web: httpx.Client,
        guest: Buyer,
        product: MakeProduct,
        method: str,
        reference: str,
        kind: str,
        failure: str,
    ) -> None:
        guest.add(product(price=1000), 1)
        order = body(guest.check_out(reference, method), 201)
        back = web.post(f"{order['next_action']['url']}/decline")
        assert web.get(back.headers["location"]).status_code == 200
        failed = guest.order_when(order["id"], payment_status="failed")
        assert (failed["status"], failed["payment_failure"], failed["next_action"]) == ("reserved", failure, None)

        assert body(guest.pay(order["id"]))["status"] == "confirmed"
        assert money(shop, order["id"]) == Money(1, 1495, 0)

    def test_given_up_for_a_card(
        self,
        shop: RunningShop,
        web: httpx.Client,
        guest: Buyer,
        product: MakeProduct,
        method: str,
        reference: str,
        kind: str,
        failure: str,
    ) -> None:
        guest.add(product(price=1000), 1)
        order = body(guest.check_out(reference, method), 201)
        assert body(guest.pay(order["id"]))["status"] == "confirmed"
        # The page that was left open takes nothing any more.
        assert web.post(f"{order['next_action']['url']}/approve").status_code == 409
        assert money(shop, order["id"]) == Money(1, 1495, 0)


def test_an_order_of_nothing_to_pay_is_confirmed(shop: RunningShop, guest: Buyer, product: MakeProduct) -> None:
    guest.add(product(price=0))
    order = body(guest.check_out(shipping_method="pickup"), 201)
    assert (order["status"], order["totals"]["total"]) == ("confirmed", 0)
    assert money(shop, order["id"]) == Money(0, 0, 0)


def test_each_way_of_shipping_has_its_price(guest: Buyer, product: MakeProduct) -> None:
    sku = product(price=1000)
    found = {}
    for way in ("standard", "express", "pickup"):
        order = guest.buy(sku, 1, shipping_method=way)
        assert order["shipping_method"] == way
        found[way] = (order["totals"]["shipping"], order["totals"]["total"], order["totals"]["tax"])
    assert found == {"standard": (495, 1495, 249), "express": (995, 1995, 333), "pickup": (0, 1000, 167)}


def test_a_second_click_is_told_which_order_has_the_lines(guest: Buyer, product: MakeProduct) -> None:
    order = guest.buy(product())
    second = guest.check_out()
    about = problem(second, 409, "nothing_to_check_out")["about"]
    assert (about["order_id"], about["order"]["id"]) == (order["id"], order["id"])
    assert about["order"]["status"] == "confirmed"
    assert second.headers["location"] == f"/api/orders/{order['id']}"


def test_an_empty_cart_is_not_checked_out(user: Buyer) -> None:
    assert problem(user.check_out(), 409, "nothing_to_check_out")["about"] == {"order_id": None}


def test_nothing_is_bought_at_another_total_than_was_shown(guest: Buyer, staff: Staff, product: MakeProduct) -> None:
    sku = product(price=1000)
    shown = guest.add(sku)["totals"]["total"]
    staff.change_product(sku, price=1100)

    problem(guest.check_out(expected_total=shown), 409, "total_changed")

    cart = guest.cart()
    assert (cart["lines"][0]["unit_price"], cart["last_order"]) == (1100, None)
    order = body(guest.check_out(expected_total=cart["totals"]["total"]), 201)
    assert order["totals"]["total"] == 1595


def test_what_is_out_of_stock_is_named_and_the_lines_come_back(
    shop: RunningShop, guest: Buyer, staff: Staff, product: MakeProduct
) -> None:
    plenty, few, none = product(stock=10), product(stock=2), product(stock=0)
    for sku in (plenty, few, none):
        guest.add(sku, 3)

    answer = guest.check_out()

    refused = problem(answer, 409, "out_of_stock")
    assert sorted(refused["about"]["skus"]) == sorted([few, none])
    order_id = refused["about"]["order_id"]
    assert answer.headers["location"] == f"/api/orders/{order_id}"
    rejected = guest.order(order_id)
    assert (rejected["status"], rejected["out_of_stock"]) == ("rejected", refused["about"]["skus"])
    eventually(lambda: {line["sku"] for line in guest.cart()["lines"]} == {plenty, few, none})
    staff.stock_when(plenty, held=0, reserved=0, available=10)
    staff.stock_when(few, held=0, reserved=0, available=2)
    assert money(shop, order_id) == Money(0, 0, 0)


def test_who_does_not_want_to_wait_is_told_where_to_look(guest: Buyer, product: MakeProduct) -> None:
    guest.add(product())
    answer = guest.check_out(headers={"Prefer": "respond-async"})
    assert answer.status_code in (201, 202), answer.text  # it may be done by then
    order_id = answer.json()["id"]
    assert answer.headers["location"] == f"/api/orders/{order_id}"
    if answer.status_code == 202:
        assert answer.headers["retry-after"] == "1"
    guest.order_when(order_id, status="confirmed", payment_status="paid")


def test_an_order_under_way_is_answered_202(guest: Buyer, product: MakeProduct) -> None:
    sku = product()
    for _ in range(10):  # a machine that stands still for long enough has nothing under way any more
        guest.add(sku)
        answer = guest.check_out("pm_processing", headers={"Prefer": "respond-async"})
        order_id = answer.json()["id"]
        guest.order_when(order_id, status="confirmed", payment_status="paid")
        if answer.status_code == 202:
            break
    assert answer.status_code == 202
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["location"] == f"/api/orders/{order_id}"


def test_the_cart_stays_usable_while_an_order_waits(guest: Buyer, product: MakeProduct) -> None:
    first, second = product(), product()
    waiting = guest.buy(first, 1, "pm_card_authenticationRequired")
    cart = guest.add(second)
    assert ([line["sku"] for line in cart["lines"]], cart["pending_orders"]) == ([second], [waiting["id"]])
    order = body(guest.check_out(), 201)
    assert [line["sku"] for line in order["lines"]] == [second]
    assert guest.order(waiting["id"])["status"] == "reserved"


def test_a_user_need_not_give_an_address_to_write_to_and_a_guest_must(
    guest: Buyer, user: Buyer, product: MakeProduct
) -> None:
    sku = product()
    form = {name: value for name, value in order_form().items() if name != "email"}
    user.add(sku)
    assert body(user.call("POST", "/api/orders", json=form), 201)["status"] == "confirmed"
    guest.add(sku)
    problem(guest.call("POST", "/api/orders", json=form), 422, "email_needed")
    assert guest.cart()["lines"][0]["sku"] == sku


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"shipping_method": "balloon"}, "/body/shipping_method"),
        ({"payment": {"method": "card"}}, "/body/payment/reference"),
        ({"payment": {"method": "card", "reference": "4242424242424241"}}, "/body/payment/reference"),
        ({"payment": {"method": "cash_on_delivery", "reference": "pm_card_visa"}}, "/body/payment/reference"),
        ({"payment": {"method": "shells"}}, "/body/payment/method"),
        ({"email": "nobody"}, "/body/email"),
        ({"address": {"name": "Ada"}}, "/body/address"),
        ({"expected_total": -1}, "/body/expected_total"),
    ],
)
def test_a_form_that_is_wrong_buys_nothing(
    guest: Buyer, product: MakeProduct, wrong: dict[str, object], where: str
) -> None:
    guest.add(product())
    answer = guest.call("POST", "/api/orders", json={**order_form(), **wrong})
    assert problem(answer, 422, "invalid_request")["errors"][0]["where"] == where
    cart = guest.cart()
    assert (len(cart["lines"]), cart["last_order"]) == (1, None)
