"""A whole shop whose money is at what speaks Stripe's interface: webhooks, disputes, the reconciliation."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from typer.testing import CliRunner

from serve.audit.auditing import audit
from serve.cli.main import app
from serve.gateway.clock import now_ms
from serve.payments.gateway.webhooks import sign
from tests.api.shopping import Buyer, Json, body
from tests.unit.stripe_world import EVENTS, NEW, OLD, World, reconciled, shop_on_stripe
from tests.waiting import eventually


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shop_on_stripe(tmp_path_factory.mktemp("shop")) as made:
        yield made


def test_an_order_is_paid_once(world: World) -> None:
    _, order = world.buy("pm_card_visa")
    assert (order["status"], order["payment_status"]) == ("confirmed", "paid")
    [intent] = world.intents(order["id"])
    assert (intent["amount_received"], intent["currency"]) == (order["totals"]["total"], "gbp")
    assert intent["metadata"] == {"session": order["id"], "attempt": f"{order['id']}/attempt/1"}


def test_a_lost_answer_is_one_charge(world: World) -> None:
    _, order = world.buy("pm_timeout_after_charge")
    assert order["status"] == "confirmed"
    [intent] = world.intents(order["id"])
    assert len([one for one in world.state["charges"] if one["payment_intent"] == intent["id"]]) == 1


def test_a_decline_and_another_card(world: World) -> None:
    buyer, order = world.buy("pm_card_chargeDeclined")
    assert order["payment_status"] == "failed"
    assert body(buyer.pay(order["id"]), 200)
    buyer.order_when(order["id"], status="confirmed")
    [intent] = world.intents(order["id"])
    assert intent["metadata"]["attempt"] == f"{order['id']}/attempt/2"


def test_the_shopper_confirms_at_the_bank(world: World) -> None:
    buyer, order = world.buy("pm_card_authenticationRequired")
    page = order["next_action"]["url"]
    assert page.startswith(world.wire.url)
    back = httpx.post(f"{page}/approve")
    assert back.headers["location"] == f"{world.shop.url}/api/payments/{order['id']}/return"
    buyer.order_when(order["id"], status="confirmed", payment_status="paid")


@pytest.mark.parametrize("method", ["card", "wallet", "bank_redirect"])
def test_a_shopper_without_javascript_pays_on_stripes_page(world: World, method: str) -> None:
    buyer, order = world.buy("", method=method)
    assert order["next_action"]["type"] == "hosted_page"
    paid = httpx.post(order["next_action"]["url"], data={"means": "pm_card_visa"})
    assert paid.headers["location"] == f"{world.shop.url}/api/payments/{order['id']}/return"
    buyer.order_when(order["id"], status="confirmed", payment_status="paid")
    body(world.staff.refund(order["id"], amount=300))
    assert world.transactions(order["id"], "refund") == [("refund", 300)]
    other, order = world.buy("", method=method)
    other.cancel(order["id"])
    other.order_when(order["id"], status="cancelled")
    assert httpx.post(order["next_action"]["url"], data={"means": "pm_card_visa"}).status_code == 404


@pytest.mark.parametrize("means", ["pm_webhook_early", "pm_webhook_twice", "pm_webhook_never"])
def test_it_does_not_matter_when_webhooks_come(world: World, means: str) -> None:
    buyer, order = world.buy(means)
    buyer.order_when(order["id"], status="confirmed")
    assert world.transactions(order["id"], "capture") == [("capture", order["totals"]["total"])]


def test_webhooks_out_of_order_under_the_new_secret(world: World) -> None:
    world.hook(NEW, held=True)
    buyer, order = world.buy("pm_card_authenticationRequired")
    httpx.post(f"{order['next_action']['url']}/decline")
    asked, failed = (one["id"] for one in world.events(order["id"])[:2])
    world.wire.pull(world.account, "release", [failed, asked])
    buyer.order_when(order["id"], payment_status="failed")
    world.dealt_with(asked, failed)
    world.hook(OLD)


def test_a_replayed_webhook_does_nothing(world: World) -> None:
    _, order = world.buy("pm_card_visa")
    event, other = world.events(order["id"])
    world.dealt_with(event["id"], other["id"])
    before = eventually(lambda: three(world.transactions(order["id"], "webhook", "capture")), 30.0)
    for _ in range(2):
        world.wire.pull(world.account, "release", [event["id"]])
    raw = httpx.Request("POST", "http://x", json=event).content
    again = world.web.post(EVENTS, content=raw, headers=signed(raw, NEW))
    assert again.status_code == 204
    assert world.transactions(order["id"], "webhook", "capture") == before
    assert world.inbox().count((event["id"], order["id"])) == 1


def three(rows: list[tuple[str, int]]) -> list[tuple[str, int]] | None:
    return rows if len(rows) == 3 else None


def signed(raw: bytes, secret: str, ahead: int = 0) -> dict[str, str]:
    at = now_ms() // 1000 + ahead
    return {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": sign(secret, raw, at)}


@pytest.mark.parametrize(("secret", "ahead"), [("whsec_of_nobody_at_all", 0), (OLD, -301), (OLD, 60), ("", 0)])
def test_a_webhook_that_is_not_signed_as_it_must_be(world: World, secret: str, ahead: int) -> None:
    raw = b'{"id": "evt_forged", "type": "payment_intent.succeeded", "data": {"object": {}}}'
    refused = body(world.web.post(EVENTS, content=raw, headers=signed(raw, secret, ahead)), 400)
    assert refused["code"] == "bad_signature"
    assert "evt_forged" not in {name for name, _ in world.inbox()}


@pytest.mark.parametrize("about", ["{}", '{"object": "payout", "id": "po_1"}', '{"payment_intent": "pi_of_another"}'])
def test_what_is_about_none_of_ours_is_acknowledged(world: World, about: str) -> None:
    raw = f'{{"id": "evt_{len(about)}", "type": "payout.paid", "data": {{"object": {about}}}}}'.encode()
    assert world.web.post(EVENTS, content=raw, headers=signed(raw, OLD)).status_code == 204
    assert (f"evt_{len(about)}", "") in world.inbox()


def test_a_dispute_is_a_transaction_and_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    _, order = world.buy("pm_card_createDispute")
    total = order["totals"]["total"]
    assert world.transactions(order["id"], "dispute") == [("dispute", total)]
    [dispute] = [one for one in world.state["disputes"] if one["payment_intent"] == world.intents(order["id"])[0]["id"]]
    world.wire.pull(world.account, "disputes/close", {"id": dispute["id"], "status": "lost"})
    eventually(lambda: len(world.transactions(order["id"], "dispute")) == 2, 30.0)
    assert 'troupe_payment_disputes_total{status="lost"} 1.0' in world.web.get("/metrics").text
    assert f"payment {order['id']} is disputed" in caplog.text


def test_a_refund(world: World) -> None:
    _, order = world.buy("pm_card_visa")
    body(world.staff.refund(order["id"], amount=300))
    assert world.transactions(order["id"], "refund") == [("refund", 300)]


def test_a_dead_stripe_slows_nobody_who_pays_at_the_door(world: World) -> None:
    world.wire.pull(world.account, "faults", [{"status": 503, "times": 10_000}])
    buyer = Buyer(world.web)
    buyer.add("MUG")
    asked = buyer.check_out("pm_card_visa", headers={"Prefer": "respond-async"})
    _, order = world.buy("", method="cash_on_delivery")
    assert order["status"] == "confirmed"
    world.wire.pull(world.account, "faults", [])
    buyer.order_when(asked.json()["id"], status="confirmed")


def test_the_audit_leaves_stripes_side_to_the_reconciliation(world: World) -> None:
    world.buy("pm_card_visa")
    folder = world.shop.settings.data_dir

    def nothing_wrong() -> bool:
        assert audit(folder, booked=False).damage == []
        return True

    assert eventually(nothing_wrong, 30.0)
    assert any("the gateway knows no intent" in one for one in audit(folder).damage)


# The reconciliation, of all that the tests above have done


def planted(world: World, session: str, intents: list[str]) -> tuple[Json, Json, Json, Json]:
    """At Stripe, behind the shop's back: a refund, a payment of no session, one more of `session`, a dispute."""
    paying = {"amount": "777", "currency": "gbp", "confirm": "true", "payment_method": "pm_card_visa"}
    with httpx.Client(base_url=world.wire.url, headers={"Authorization": f"Bearer {world.account}"}) as stripe:
        by_hand = stripe.post("/v1/refunds", data={"payment_intent": intents[0], "amount": "200"}).json()
        stray = stripe.post("/v1/payment_intents", data=paying).json()
        double = stripe.post("/v1/payment_intents", data={**paying, "metadata[session]": session}).json()
        charge = stripe.get(f"/v1/payment_intents/{intents[1]}").json()["latest_charge"]
    world.hook("whsec_of_nobody_at_all")
    return by_hand, stray, double, world.wire.pull(world.account, "disputes", {"charge": charge})


def test_what_differs_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [world.buy("pm_card_visa")[1] for _ in range(3)]
    for order in orders:
        world.transactions(order["id"], "capture")

    def clean() -> bool:
        code, said = reconciled(world, monkeypatch)
        assert code == 0, said
        return said[-1] == "Everything adds up."

    assert eventually(clean, 30.0)
    total = orders[0]["totals"]["total"]
    intents = [world.intents(order["id"])[0]["id"] for order in orders]
    by_hand, stray, double, dispute = planted(world, orders[1]["id"], intents)
    with closing(sqlite3.connect(world.shop.settings.database("payments"))) as database:
        database.execute("DELETE FROM payment_transactions WHERE session = ? AND kind = 'capture'", (orders[2]["id"],))
        database.commit()
    code, said = reconciled(world, monkeypatch)
    wanted = [
        f"Stripe has captured 777 under {stray['id']}, which is of no session.",
        f"Stripe has refunded 200 for session {orders[0]['id']} ({intents[0]}), the shop 0, of it not asked for by the "
        f"shop: {by_hand['id']} over 200.",
        f"Stripe has captured under several intents for session {orders[1]['id']}: {double['id']}, {intents[1]}.",
        f"Stripe has captured {total + 777} for session {orders[1]['id']} ({double['id']}, {intents[1]}), the shop "
        f"{total}.",
        f"Stripe has captured {total} for session {orders[2]['id']} ({intents[2]}), the shop 0.",
        f"Dispute {dispute['id']} over {total} of session {orders[1]['id']} is needs_response; the shop knows nothing "
        "of it.",
    ]
    assert (code, said[: len(wanted)], said[-1]) == (1, wanted, "6 things are wrong.")


def test_without_a_key_there_is_nothing_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROUPE_STRIPE_SECRET_KEY", raising=False)
    ended = CliRunner().invoke(app, ["reconcile"])
    assert (ended.exit_code, "TROUPE_STRIPE_SECRET_KEY is not set" in ended.output) == (2, True)
