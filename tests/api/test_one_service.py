"""Each service alone on a real Ray, then all of them in one process: one Ray for all, since its start takes longest.

A service alone answers what it has, and names what it lacks. What is told to end ends in order.
"""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from serve.paths import PATHS
from serve.services import BUILDERS
from tests.api.serving_in_turn import InTurn
from tests.api.shopping import PASSWORD, Buyer, Money, Staff, bearer, body, log_in, money, new_email, problem
from tests.running import RunningShop
from tests.waiting import eventually

CLOSING_SECONDS = 4
PRICE = 1000
FIRST = "users"
# Of each service what it answers by itself: method, path, body, whether to somebody who has logged in, status.
OWN: dict[str, tuple[str, str, Any, bool, int]] = {
    "carts": ("POST", "/api/cart/items", {"sku": "NONE", "quantity": 1}, False, 404),
    "orders": ("GET", "/api/orders", None, True, 200),
    "payments": ("POST", "/api/payments/webhooks/test", {"id": "e"}, False, 422),
    "notifications": ("GET", "/api/notifications", None, True, 200),
}
# And what it cannot without the hosts of its entities.
WITHOUT_HOSTS: dict[str, str] = {
    "carts": "/api/cart",
    "orders": "/api/orders/0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10",
    "payments": "/api/payments/0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10",
}
UNPAID = [
    ("ABANDONED", "bank_redirect", "pm_bank_redirect_abandoned"),
    ("UNANSWERED", "card", "pm_card_authenticationRequired"),
    ("DECLINED", "card", "pm_card_chargeDeclined"),
]


@pytest.fixture(scope="module")
def alone() -> Iterator[RunningShop]:
    # Checkouts may wait for as long as a busy machine needs.
    with RunningShop(
        services=[FIRST], TROUPE_CLOSING_SECONDS=str(CLOSING_SECONDS), TROUPE_CHECKOUT_WAIT_SECONDS="30"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def turns(alone: RunningShop) -> Iterator[InTurn]:
    made = InTurn(alone)
    yield made
    made.close()


def serve(alone: RunningShop, turns: InTurn, service: str, **settings: Any) -> None:
    """Returns once the balancer, too, knows of the service, which takes a moment."""
    turns.serve(**settings)
    eventually(lambda: httpx.get(f"{alone.url}{PATHS[service][0]}").json().get("part") != service)


def lacks_the_others(web: httpx.Client, service: str) -> None:
    for other in BUILDERS.keys() - {service}:
        assert problem(web.get(PATHS[other][0]), 503, "service_unavailable")["part"] == other
    parts = body(web.get("/api/health/ready"))["parts"]
    # The carts have nothing of their own that could be looked at.
    assert {name for name, state in parts.items() if state == "ok"} == {service} & parts.keys()


def test_the_users_alone(alone: RunningShop) -> None:
    """As `troupe serve users` starts them, and those after them are put in their place."""
    with alone.client() as web:
        email = new_email()
        body(web.post("/api/users", json={"email": email, "password": PASSWORD, "name": "Ada Byron"}), 201)
        assert log_in(web, email)["user"]["email"] == email
        lacks_the_others(web, FIRST)


@pytest.mark.parametrize("service", OWN)
def test_another_service_alone(alone: RunningShop, turns: InTurn, service: str) -> None:
    serve(alone, turns, service, services=[service])
    method, path, sent, logged_in, status = OWN[service]
    ada = bearer(alone.token("ada"))
    with alone.client() as web:
        body(web.request(method, path, json=sent, headers=ada if logged_in else {}), status)
        if service in WITHOUT_HOSTS:
            answer = web.get(WITHOUT_HOSTS[service], headers=ada)
            assert problem(answer, 503, "service_unavailable")["part"] == "entities"
            assert answer.headers["retry-after"] == "30"
        lacks_the_others(web, service)


def test_the_catalogue_alone(alone: RunningShop, turns: InTurn) -> None:
    serve(alone, turns, "catalog", services=["catalog"])
    with alone.client() as web:
        staff = Staff(web, alone.staff_token())
        staff.put_product("MUG", 1450)
        assert [one["sku"] for one in body(web.get("/api/catalog/products"))["items"]] == ["MUG"]
        changes = body(web.get("/api/admin/changes", headers=bearer(alone.staff_token())))["items"]
        assert [(one["path"], one["status"]) for one in changes] == [("/api/admin/products/MUG", 201)]
        lacks_the_others(web, "catalog")
    assert alone.hosts() == []


# All of them, with their entities in the one process that answers. Payment deadlines are short there.


@pytest.fixture(scope="module")
def hasty_web(alone: RunningShop, turns: InTurn) -> Iterator[httpx.Client]:
    # Long enough for a busy machine to get as far as the payment.
    serve(alone, turns, "carts", hosts=0, payment_deadline_seconds=8)
    with alone.client() as client:
        yield client


def test_orders_that_are_not_paid_in_time_end(alone: RunningShop, hasty_web: httpx.Client) -> None:
    staff = Staff(hasty_web, alone.staff_token())
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
        assert money(alone, order_id) == Money(0, 0, 0)
        problem(buyer.pay(order_id), 409, "not_awaiting_payment")


def _is_back(staff: Staff, buyer: Buyer, sku: str) -> None:
    eventually(lambda: [(line["sku"], line["quantity"]) for line in buyer.cart()["lines"]] == [(sku, 2)])
    staff.stock_when(sku, held=0, reserved=0, sold=0, available=3)


def test_a_charge_that_the_gateway_is_slow_to_tell_of_still_counts(alone: RunningShop, hasty_web: httpx.Client) -> None:
    staff = Staff(hasty_web, alone.staff_token())
    staff.put_product("SLOW", PRICE)
    staff.receive("SLOW", 3)
    buyer = Buyer(hasty_web)
    buyer.add("SLOW", 2)

    order = body(buyer.check_out("pm_processing"), 201)

    paid = buyer.order_when(order["id"], status="confirmed")
    assert paid["payment_status"] == "paid"
    assert money(alone, order["id"]) == Money(1, 2495, 0)
    staff.stock_when("SLOW", held=0, reserved=0, sold=2)


@pytest.mark.usefixtures("hasty_web")
def test_told_to_end_it_is_not_ready_and_answers_what_it_had_accepted(alone: RunningShop, turns: InTurn) -> None:
    turns.close()
    draft = json.dumps({"name": "Late", "category": "Tests", "price": 100}).encode()
    late = http.client.HTTPConnection("127.0.0.1", alone.port, timeout=60.0)
    late.putrequest("PUT", "/api/admin/products/LATE")
    late.putheader("Authorization", f"Bearer {alone.staff_token()}")
    late.putheader("Content-Type", "application/json")
    late.putheader("Content-Length", str(len(draft)))
    late.endheaders(draft[:10])
    # Answered after it on the same way, so the other one has been accepted.
    assert httpx.get(f"{alone.url}/api/catalog/products").status_code == 200

    alone.ask_to_stop()
    eventually(lambda: httpx.get(f"{alone.url}/api/health/ready").status_code == 503)
    assert httpx.get(f"{alone.url}/api/health/ready").json() == {"ready": False, "parts": {"shop": "closing"}}
    assert httpx.get(f"{alone.url}/api/catalog/products").status_code == 200
    eventually(lambda: "Closing the shop" in alone.log())
    late.send(draft[10:])
    assert late.getresponse().status == 201
    late.close()
    alone.stop()
