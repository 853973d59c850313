"""A whole shop on what speaks Stripe's interface that sets money aside, and takes it when it packs."""

from collections.abc import Iterator
from email import message_from_string
from email.policy import default

import httpx
import pytest

from serve.audit.auditing import audit
from serve.payments.stripe.news import REFUNDS_FAILED
from tests.api.shopping import Buyer, Json, body
from tests.unit.stripe_world import World, reconciled, shop_on_stripe
from tests.waiting import eventually


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shop_on_stripe(tmp_path_factory.mktemp("shop"), payment_capture="manual") as made:
        yield made


def shown(world: World, order: Json) -> tuple[str, int, int]:
    """What Stripe has: the intent's status, what was taken, what can be."""
    [intent] = world.intents(order["id"])
    return intent["status"], intent["amount_received"], intent["amount_capturable"]


def listed(buyer: Buyer, order_id: str) -> str:
    """The payment's status in the buyer's list."""
    [row] = [one for one in body(buyer.call("GET", "/api/orders"))["items"] if one["id"] == order_id]
    return str(row["payment_status"])


@pytest.fixture
def bought(world: World) -> tuple[Buyer, Json]:
    buyer, order = world.buy("pm_card_visa")
    assert (order["status"], order["payment_status"]) == ("confirmed", "authorised")
    return buyer, order


def test_money_is_taken_when_the_order_is_packed(world: World, bought: tuple[Buyer, Json]) -> None:
    buyer, order = bought
    total = order["totals"]["total"]
    assert shown(world, order) == ("requires_capture", 0, total)
    assert world.transactions(order["id"], "authorisation") == [("authorisation", total)]
    world.staff.fulfil(order["id"], "pack")
    buyer.order_when(order["id"], status="packed", payment_status="paid")
    assert shown(world, order) == ("succeeded", total, 0)
    assert world.transactions(order["id"], "capture") == [("capture", total)]
    world.staff.fulfil(order["id"], "ship", carrier="post", tracking="1Z")
    receipt = body(buyer.call("GET", f"/api/orders/{order['id']}/receipt"))
    assert (receipt["paid"], receipt["payment"]["last4"]) == (total, "4242")


def test_the_receipt_is_mailed_when_the_money_comes(world: World, bought: tuple[Buyer, Json]) -> None:
    buyer, order = bought

    def subjects() -> set[str]:
        about = order["id"][-12:].upper()
        mails = [path.read_text() for path in world.shop.settings.mails.glob("*.eml")]
        return {what for what in ("is confirmed", "Receipt") for mail in mails if _is_about(mail, about, what)}

    eventually(lambda: subjects() == {"is confirmed"}, 30.0)
    world.staff.fulfil(order["id"], "pack")
    eventually(lambda: subjects() == {"is confirmed", "Receipt"}, 30.0)
    assert buyer.order(order["id"])["payment_status"] == "paid"


def _is_about(mail: str, number: str, what: str) -> bool:
    subject = str(message_from_string(mail, policy=default)["Subject"])
    return number in subject and what in subject


def test_nothing_leaves_before_it_is_paid(world: World, bought: tuple[Buyer, Json]) -> None:
    buyer, order = bought
    refused = body(world.staff.refund(order["id"], amount=100), 409)
    assert (refused["code"], refused["title"]) == ("not_captured", "The money is not captured yet")
    world.wire.pull(world.account, "faults", [{"path": "/capture", "status": 503, "times": 10_000}])
    world.staff.fulfil(order["id"], "pack")
    path = f"/api/admin/orders/{order['id']}/ship"
    parcel = {"carrier": "post", "tracking": "1Z"}
    assert body(world.staff.call("POST", path, json=parcel), 409)["code"] == "not_captured"
    assert buyer.order(order["id"])["payment_status"] == "authorised"
    world.wire.pull(world.account, "faults", [])
    buyer.order_when(order["id"], payment_status="paid")


def test_who_cancels_is_never_charged(world: World, bought: tuple[Buyer, Json]) -> None:
    buyer, order = bought
    before = world.staff.stock("MUG")["available"]
    buyer.cancel(order["id"])
    buyer.order_when(order["id"], status="cancelled", payment_status="none")
    eventually(lambda: shown(world, order) == ("canceled", 0, 0), 30.0)
    world.staff.stock_when("MUG", available=before + 1)
    assert world.transactions(order["id"], "cancellation") == [("cancellation", order["totals"]["total"])]


def test_an_authorisation_that_lapsed_cancels_the_order(world: World) -> None:
    buyer, order = world.buy("pm_authorisation_lapses")
    world.staff.fulfil(order["id"], "pack")
    buyer.order_when(order["id"], status="cancelled")
    assert shown(world, order) == ("canceled", 0, 0)


def test_who_pays_on_stripes_page(world: World) -> None:
    buyer, order = world.buy("")
    httpx.post(order["next_action"]["url"], data={"means": "pm_card_visa"})
    buyer.order_when(order["id"], status="confirmed", payment_status="authorised")
    world.staff.fulfil(order["id"], "pack")
    buyer.order_when(order["id"], payment_status="paid")


def test_a_transfer_is_taken_at_once(world: World) -> None:
    buyer, order = world.buy("pm_bank_redirect", method="bank_redirect")
    httpx.post(f"{order['next_action']['url']}/approve")
    buyer.order_when(order["id"], status="confirmed", payment_status="paid")


def test_a_refund_that_fails_after_stripe_took_it_is_told(world: World) -> None:
    buyer, order = world.buy("pm_card_visa")
    world.staff.fulfil(order["id"], "pack")
    buyer.order_when(order["id"], payment_status="paid")
    body(world.staff.refund(order["id"], amount=300))
    buyer.order_when(order["id"], payment_status="partially_refunded")
    [refund] = [one for one in world.state["refunds"] if one["metadata"]["refund"].startswith(order["id"])]
    before = REFUNDS_FAILED._value.get()
    world.wire.pull(world.account, "refunds/fail", {"id": refund["id"], "reason": "lost_or_stolen_card"})
    assert world.transactions(order["id"], "refund", "refund_reversed") == [("refund", 300), ("refund_reversed", 300)]

    def failed() -> bool:
        found = buyer.order(order["id"])
        [refund] = found["refunds"]
        return (refund["status"], found["payment_status"]) == ("failed", "paid")

    assert eventually(failed, 30.0)
    eventually(lambda: listed(buyer, order["id"]) == "paid", 30.0)
    world.dealt_with(*(one["id"] for one in world.state["events"] if one["data"]["object"]["id"] == refund["id"]))
    assert REFUNDS_FAILED._value.get() == before + 1, "Stripe tells of it in three events"


def test_all_of_it_adds_up(world: World, bought: tuple[Buyer, Json], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours, and beside Stripe's; and what is set aside there behind our back is found."""
    _, order = bought
    total = order["totals"]["total"]
    world.transactions(order["id"], "authorisation")

    def clean() -> bool:
        assert audit(world.shop.settings.data_dir, booked=False).damage == []
        code, said = reconciled(world, monkeypatch)
        assert (code, said[-1]) == (0, "Everything adds up."), said
        return True

    assert eventually(clean, 60.0)
    [intent] = world.intents(order["id"])
    world.hook("whsec_of_nobody_at_all")
    with httpx.Client(base_url=world.wire.url, headers={"Authorization": f"Bearer {world.account}"}) as stripe:
        stripe.post(f"/v1/payment_intents/{intent['id']}/cancel")
    code, said = reconciled(world, monkeypatch)
    wanted = f"Stripe has set aside 0 for session {order['id']} ({intent['id']}), the shop {total}."
    assert (code, said[0], said[-1]) == (1, wanted, "1 thing is wrong.")
