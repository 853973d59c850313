"""A shop as `troupe run` starts it, whose money is at what speaks Stripe's interface, a process of its own."""

from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest

from tests.api.shopping import Buyer, Json, Money, Staff, body
from tests.running import RunningShop
from tests.servers.at_stripe import AtStripe
from tests.stripe_wire.running import new_account, wire
from tests.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]
DECLINED, SECURE = "pm_card_chargeDeclined", "pm_card_authenticationRequired"


class World(NamedTuple):
    shop: RunningShop
    stripe: AtStripe
    web: httpx.Client
    staff: Staff

    def returns(self, order: Json) -> str:
        return f"{self.shop.url}/api/payments/{order['id']}/return"

    def kinds(self, order: Json, kind: str, count: int) -> list[str]:
        """The transactions of an order in their order, once there are so many of a kind."""

        def found() -> list[str]:
            rows = body(self.staff.call("GET", f"/api/admin/payments/{order['id']}/transactions"))["items"]
            kinds = [row["kind"] for row in rows]
            assert kinds.count(kind) == count, kinds
            return kinds

        return eventually(found, 30.0)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with wire() as running:
        stripe = AtStripe(running, new_account())
        with RunningShop(demo=False, services=(), **stripe.settings()) as shop, shop.client() as web:
            stripe.calls(shop)
            staff = Staff(web, shop.staff_token())
            staff.put_product("MUG", 1200)
            staff.receive("MUG", 100)
            yield World(shop, stripe, web, staff)


def bought(world: World, reference: str, method: str = "card") -> tuple[Buyer, Json]:
    buyer = Buyer(world.web)
    return buyer, buyer.buy("MUG", 1, reference, method=method)


def test_a_card_with_3d_secure(world: World) -> None:
    buyer, order = bought(world, SECURE)
    assert order["next_action"]["type"] == "three_d_secure"
    back = httpx.post(f"{order['next_action']['url']}/approve")
    assert back.headers["location"] == world.returns(order)
    buyer.order_when(order["id"], status="confirmed", payment_status="paid")


def test_a_decline_and_another_card(world: World) -> None:
    buyer, order = bought(world, DECLINED)
    assert order["payment_status"] == "failed"
    body(buyer.pay(order["id"]), 200)
    buyer.order_when(order["id"], status="confirmed", payment_status="paid")
    assert world.kinds(order, "capture", 1).count("decline") == 1


def test_a_webhook_tells_what_the_answer_did_not(world: World) -> None:
    """The shop hears of the page's end by the webhook at its public endpoint, and each event is one row."""
    buyer, order = bought(world, SECURE)
    httpx.post(f"{order['next_action']['url']}/decline")
    buyer.order_when(order["id"], payment_status="failed")
    body(buyer.pay(order["id"]), 200)
    buyer.order_when(order["id"], status="confirmed")
    ours = [one for one in world.stripe.state["events"] if _of(one) == order["id"]]
    kinds = world.kinds(order, "webhook", len(ours))
    assert (len(ours) >= 3, kinds.count("capture")) == (True, 1)


def _of(event: Json) -> str:
    return str(event["data"]["object"].get("metadata", {}).get("session", ""))


def test_a_refund(world: World) -> None:
    _, order = bought(world, "pm_card_visa")
    body(world.staff.refund(order["id"], amount=300))
    world.kinds(order, "refund", 1)
    assert world.stripe.money()[order["id"]] == Money(1, order["totals"]["total"], 300)


def test_a_card_on_the_hosted_page(world: World) -> None:
    buyer, order = bought(world, "")
    assert order["next_action"]["type"] == "hosted_page"
    declined = httpx.post(order["next_action"]["url"], data={"means": DECLINED})
    assert declined.status_code == 402
    paid = httpx.post(order["next_action"]["url"], data={"means": "pm_card_visa"})
    assert paid.headers["location"] == world.returns(order)
    buyer.order_when(order["id"], status="confirmed", payment_status="paid")


def test_the_audit_and_the_reconciliation_are_clean(world: World) -> None:
    """As commands, of all that the tests above did; nothing is under way either."""

    def clean(command: str) -> bool:
        ended = world.shop.troupe(command, "--settled")
        assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "Everything adds up."), ended.stdout
        return True

    eventually(lambda: clean("audit"), 60.0)
    eventually(lambda: clean("reconcile"), 60.0)
    assert len(world.stripe.money()) == 5
