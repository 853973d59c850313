"""Payment deadlines, in a shop of their own where they are short; its one web process runs the entities itself."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api.shopping import Buyer, Money, Staff, body, money, problem
from tests.running import RunningShop
from tests.waiting import eventually

PRICE = 1000
UNPAID = [
    ("ABANDONED", "bank_redirect", "pm_bank_redirect_abandoned"),
    ("UNANSWERED", "card", "pm_card_authenticationRequired"),
    ("DECLINED", "card", "pm_card_chargeDeclined"),
]


@pytest.fixture(scope="module")
def hasty() -> Iterator[RunningShop]:
    # Long enough for a busy machine to get as far as the payment.
    variables = {"TROUPE_HOSTS": "0", "TROUPE_PAYMENT_DEADLINE_SECONDS": "8", "TROUPE_CHECKOUT_WAIT_SECONDS": "30"}
    with RunningShop(demo=False, **variables) as running:
        yield running


@pytest.fixture(scope="module")
def hasty_web(hasty: RunningShop) -> Iterator[httpx.Client]:
    with hasty.client() as client:
        yield client


def test_orders_that_are_not_paid_in_time_end(hasty: RunningShop, hasty_web: httpx.Client) -> None:
    staff = Staff(hasty_web, hasty.staff_token())
    waiting: list[tuple[str, Buyer, str]] = []
    for sku, method, reference in UNPAID:
        staff.put_product(sku, PRICE)
        staff.receive(sku, 3)
        buyer = Buyer(hasty_web)
        buyer.add(sku, 2)
        waiting.append((sku, buyer, body(buyer.check_out(reference, method), 201)["id"]))

    for sku, buyer, order_id in waiting:
        cancelled = buyer.order_when(order_id, status="cancelled")
        assert "closing" in [step["step"] for step in cancelled["history"]]
        assert (cancelled["next_action"], cancelled["closing"]) == (None, False)
        _is_back(staff, buyer, sku)
        assert money(hasty, order_id) == Money(0, 0, 0)
        problem(buyer.pay(order_id), 409, "not_awaiting_payment")


def _is_back(staff: Staff, buyer: Buyer, sku: str) -> None:
    eventually(lambda: [(line["sku"], line["quantity"]) for line in buyer.cart()["lines"]] == [(sku, 2)])
    staff.stock_when(sku, held=0, reserved=0, sold=0, available=3)


def test_a_charge_that_the_gateway_is_slow_to_tell_of_still_counts(hasty: RunningShop, hasty_web: httpx.Client) -> None:
    staff = Staff(hasty_web, hasty.staff_token())
    staff.put_product("SLOW", PRICE)
    staff.receive("SLOW", 3)
    buyer = Buyer(hasty_web)
    buyer.add("SLOW", 2)

    order = body(buyer.check_out("pm_processing"), 201)

    paid = buyer.order_when(order["id"], status="confirmed")
    assert paid["payment_status"] == "paid"
    assert money(hasty, order["id"]) == Money(1, 2495, 0)
    staff.stock_when("SLOW", held=0, reserved=0, sold=2)
