"""The adapter of Stripe, and a gateway with Stripe's wire interface that fails in Stripe's ways."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from actors.payment import CaptureMethod
from serve.gateway.clock import now_ms
from serve.payments.gateway.base import (
    Attempt,
    GatewayRejected,
    GatewayTimeout,
    GatewayUnavailable,
    IntentState,
    RefundState,
)
from serve.payments.stripe.calls import StripeCalls
from serve.payments.stripe.gateway import EXPIRED, KEYS_LIVE_MS, StripeGateway
from tests.stripe_wire.running import Wire, new_account, wire

VISA, DECLINED = "pm_card_visa", "pm_card_chargeDeclined"
SECONDS = 20.0


@pytest.fixture(scope="module")
def running() -> Iterator[Wire]:
    with wire() as made:
        yield made


class Desk:
    """A shop's adapter, and the strings of its account."""

    def __init__(self, running: Wire) -> None:
        self.wire = running
        self.account = new_account()
        self.gateway = StripeGateway(StripeCalls(self.account, base=running.url))

    async def pay(
        self,
        means: str = VISA,
        *,
        number: int = 1,
        at: int = 0,
        capture_method: CaptureMethod = "automatic",
        seconds: float = SECONDS,
    ) -> IntentState:
        attempt = Attempt(f"s1/attempt/{number}", "card", means, "https://shop/back")
        return await self.gateway.create_intent(
            "s1", 1999, "EUR", attempt=attempt, capture_method=capture_method, at=at, seconds=seconds
        )

    def faults(self, *given: dict[str, Any]) -> None:
        self.wire.pull(self.account, "faults", list(given))

    @property
    def state(self) -> dict[str, Any]:
        return self.wire.state(self.account)

    def requests(self) -> list[tuple[str, str, int]]:
        """Of what was sent: method, idempotency key, status."""
        return [(one["method"], one["key"], one["status"]) for one in self.state["requests"]]


@pytest.fixture
async def desk(running: Wire) -> AsyncIterator[Desk]:
    made = Desk(running)
    yield made
    await made.gateway.close()


KEY = "s1/attempt/1"


@pytest.mark.parametrize("status", [409, 429, 500, 503])
async def test_what_may_pass_is_asked_again_under_the_same_key(desk: Desk, status: int) -> None:
    desk.faults({"status": status, "times": 2})
    assert (await desk.pay()).captured == 1999
    assert desk.requests() == [("POST", KEY, status), ("POST", KEY, status), ("POST", KEY, 200)]


async def test_it_waits_as_long_as_stripe_asks(desk: Desk) -> None:
    desk.faults({"status": 429, "retry_after": 0.4})
    began = time.monotonic()
    assert (await desk.pay()).captured == 1999
    assert time.monotonic() - began >= 0.4


async def test_a_wait_beyond_the_deadline_is_no_wait_and_holds_for_all(desk: Desk) -> None:
    desk.faults({"status": 429, "retry_after": 50})
    with pytest.raises(GatewayUnavailable):
        await desk.pay()
    with pytest.raises(GatewayUnavailable, match="asked us to wait"):
        await desk.gateway.look_up("s1")
    assert desk.requests() == [("POST", KEY, 429)]


@pytest.mark.parametrize("fault", [{"lost": True}, {"status": 500, "done": True}])
async def test_an_answer_that_never_came_is_asked_for_again_and_charges_once(desk: Desk, fault: dict[str, Any]) -> None:
    desk.faults(fault)
    assert (await desk.pay()).captured == 1999
    assert [key for _, key, _ in desk.requests()] == [KEY, KEY]
    assert [one["amount_captured"] for one in desk.state["charges"]] == [1999]


async def test_an_answer_that_comes_too_late_is_an_unknown_outcome(desk: Desk) -> None:
    desk.faults({"seconds": 1.0})
    with pytest.raises(GatewayTimeout):
        await desk.pay(seconds=0.2)
    assert (await desk.pay()).captured == 1999
    assert len(desk.state["charges"]) == 1


async def test_a_decline_is_an_outcome(desk: Desk) -> None:
    declined = await desk.pay(DECLINED)
    assert (declined.status, declined.code, declined.attempt) == ("requires_payment_method", "card_declined", KEY)
    assert declined.method_details is not None
    assert declined.method_details.last4 == "0002"
    assert desk.requests() == [("POST", KEY, 402)]


async def test_who_stole_a_card_is_not_told_that_it_is_known(desk: Desk) -> None:
    assert (await desk.pay("pm_card_chargeDeclinedLostCard")).code == "card_declined"


async def test_our_key_is_not_a_shoppers_fault(running: Wire, caplog: pytest.LogCaptureFixture) -> None:
    gateway = StripeGateway(StripeCalls("sk_live_hushhushhush", base=running.url))
    with pytest.raises(GatewayUnavailable) as refused:
        await gateway.create_intent("s1", 1999, "EUR")
    await gateway.close()
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    assert "hush" not in f"{refused.value}{caplog.text}"
    assert "does not take our key" in caplog.text


async def test_a_dead_stripe_costs_a_few_calls_their_time_and_the_others_nothing() -> None:
    gateway = StripeGateway(StripeCalls("sk_test_nobody", base="http://127.0.0.1:9"))
    with pytest.raises(GatewayUnavailable):
        await gateway.look_up("s1", seconds=SECONDS)
    assert not gateway.up
    began = time.monotonic()
    answers = await asyncio.gather(*(gateway.look_up("s1") for _ in range(200)), return_exceptions=True)
    await gateway.close()
    assert {type(one) for one in answers} == {GatewayUnavailable}
    assert time.monotonic() - began < 2.0


# What has stood for longer than Stripe remembers keys


OLD = now_ms() - KEYS_LIVE_MS


async def test_an_old_creation_is_looked_up_by_its_metadata(desk: Desk) -> None:
    paid = await desk.pay()
    assert await desk.pay(at=OLD) == paid
    assert [method for method, _, _ in desk.requests()] == ["POST", "GET"]


async def test_an_old_creation_that_never_arrived_is_not_sent(desk: Desk) -> None:
    with pytest.raises(GatewayRejected) as rejected:
        await desk.pay(at=OLD)
    assert rejected.value.code == EXPIRED
    assert [method for method, _, _ in desk.requests()] == ["GET"]
    assert (await desk.pay(number=2, at=now_ms())).captured == 1999


async def confirmed(desk: Desk, intent: str, number: int, means: str, at: int = 0) -> IntentState:
    key = f"s1/attempt/{number}"
    return await desk.gateway.confirm(
        intent, key=key, method="card", reference=means, return_url="https://shop/back", at=at, seconds=SECONDS
    )


async def test_an_old_confirmation_is_looked_at(desk: Desk) -> None:
    made = await desk.pay(DECLINED)
    with pytest.raises(GatewayRejected) as rejected:
        await confirmed(desk, made.id, 2, VISA, OLD)
    assert rejected.value.code == EXPIRED, "what it says is said of the first"
    again = await confirmed(desk, made.id, 2, DECLINED)
    assert await confirmed(desk, made.id, 2, DECLINED, OLD) == again
    paid = await confirmed(desk, made.id, 3, VISA)
    assert await confirmed(desk, made.id, 3, VISA, OLD) == paid
    assert len(desk.state["charges"]) == 3


async def test_an_old_refund_is_looked_for(desk: Desk) -> None:
    paid = await desk.pay()
    missing = await desk.gateway.refund(paid.id, refund_id="r1", amount=500, at=OLD)
    assert missing == RefundState("r1", 500, False, EXPIRED)
    done = await desk.gateway.refund(paid.id, refund_id="r2", amount=500, at=now_ms())
    assert await desk.gateway.refund(paid.id, refund_id="r2", amount=500, at=OLD) == done
    assert len(desk.state["refunds"]) == 1


async def test_an_attempt_whose_address_changed_meanwhile_is_not_made_again(desk: Desk) -> None:
    paid = await desk.pay()
    moved = Attempt(KEY, "card", VISA, "https://elsewhere/back")
    assert await desk.gateway.create_intent("s1", 1999, "EUR", attempt=moved, seconds=SECONDS) == paid
    assert len(desk.state["charges"]) == 1


# The shopper's page, and means that are missing


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [("approve", "succeeded", None), ("decline", "requires_payment_method", "authentication_failed")],
)
async def test_the_shopper_answers_on_stripes_page(desk: Desk, answer: str, status: str, code: str | None) -> None:
    asked = await desk.pay("pm_card_authenticationRequired")
    assert asked.action_url is not None
    async with httpx.AsyncClient() as browser:
        assert (await browser.get(asked.action_url)).status_code == 200
        back = await browser.post(f"{asked.action_url}/{answer}")
        assert (back.status_code, back.headers["location"]) == (303, "https://shop/back")
        assert (await browser.post(f"{asked.action_url}/{answer}")).status_code == 404
    found = await desk.gateway.look_up("s1", intent=asked.id)
    assert found is not None
    assert (found.status, found.code) == (status, code)


async def test_without_the_shoppers_means_no_intent_is_confirmed(desk: Desk) -> None:
    made = await desk.pay(DECLINED)
    with pytest.raises(GatewayRejected, match="payment_method_missing"):
        await confirmed(desk, made.id, 2, "")
    assert len(desk.requests()) == 1


async def test_a_failure_that_stripe_keeps_is_looked_behind(desk: Desk) -> None:
    desk.faults({"status": 500, "done": True, "kept": True})
    assert (await desk.pay()).captured == 1999
    desk.faults({"status": 500, "kept": True})
    with pytest.raises(GatewayUnavailable):
        await desk.pay(number=2)
    assert len(desk.state["charges"]) == 1


async def pay_on_page(asked: IntentState, means: str) -> httpx.Response:
    assert asked.action_url is not None
    async with httpx.AsyncClient() as browser:
        assert (await browser.get(asked.action_url)).status_code == 200
        return await browser.post(asked.action_url, data={"means": means})


async def test_without_a_reference_the_shopper_pays_on_stripes_page(desk: Desk) -> None:
    asked = await desk.pay("")
    assert (asked.status, asked.action_type, asked.amount) == ("requires_action", "hosted_page", 1999)
    assert await desk.pay("") == asked
    assert (await pay_on_page(asked, DECLINED)).status_code == 402
    assert await desk.gateway.look_up("s1", intent=asked.id) == asked, "the shopper may try another card there"
    assert await confirmed(desk, asked.id, 2, "") == asked
    with pytest.raises(GatewayRejected, match="hosted_page_only"):
        await confirmed(desk, asked.id, 3, VISA)
    back = await pay_on_page(asked, VISA)
    assert (back.status_code, back.headers["location"]) == (303, "https://shop/back")
    paid = await desk.gateway.look_up("s1", intent=asked.id)
    assert paid is not None
    assert (paid.id, paid.status, paid.captured) == (asked.id, "succeeded", 1999)
    assert await desk.gateway.cancel(asked.id, seconds=SECONDS) == paid
    assert (await desk.gateway.refund(asked.id, refund_id="r1", amount=500, seconds=SECONDS)).ok
    after = await desk.gateway.look_up("s1", intent=asked.id)
    assert after is not None
    assert after.refunded == 500


async def test_a_page_that_was_closed_takes_no_money(desk: Desk) -> None:
    asked = await desk.pay("")
    assert (await desk.gateway.cancel(asked.id, seconds=SECONDS)).status == "canceled"
    assert (await desk.gateway.cancel(asked.id, seconds=SECONDS)).status == "canceled"
    assert asked.action_url is not None
    async with httpx.AsyncClient() as browser:
        assert (await browser.post(asked.action_url, data={"means": VISA})).status_code == 404
    with pytest.raises(GatewayRejected, match="hosted_page_expired"):
        await confirmed(desk, asked.id, 2, "")


async def test_what_was_paid_on_the_page_is_set_aside_and_captured(desk: Desk) -> None:
    asked = await desk.pay("", capture_method="manual")
    await pay_on_page(asked, VISA)
    aside = await desk.gateway.look_up("s1", intent=asked.id)
    assert aside is not None
    assert (aside.id, aside.status, aside.captured) == (asked.id, "requires_capture", 0)
    taken = await desk.gateway.capture(asked.id, key="s1/capture/1", seconds=SECONDS)
    assert (taken.id, taken.status, taken.captured) == (asked.id, "succeeded", 1999)


async def test_what_was_set_aside_on_the_page_is_let_go_of(desk: Desk) -> None:
    asked = await desk.pay("", capture_method="manual")
    await pay_on_page(asked, VISA)
    gone = await desk.gateway.cancel(asked.id, seconds=SECONDS)
    assert (gone.id, gone.status, gone.captured) == (asked.id, "canceled", 0)
    [intent] = desk.state["intents"]
    assert (intent["status"], intent["amount_capturable"]) == ("canceled", 0)


async def test_a_bank_transfer_is_captured_at_once(desk: Desk) -> None:
    asked = await desk.pay("pm_bank_redirect", capture_method="manual")
    assert asked.action_url is not None
    async with httpx.AsyncClient() as browser:
        await browser.post(f"{asked.action_url}/approve")
    paid = await desk.gateway.look_up("s1", intent=asked.id)
    assert paid is not None
    assert (paid.status, paid.captured) == ("succeeded", 1999)


@pytest.mark.parametrize("fault", [{"lost": True}, {"status": 500, "done": True}, {"status": 500, "kept": True}])
async def test_a_capture_without_an_answer_is_had_by_looking(desk: Desk, fault: dict[str, Any]) -> None:
    aside = await desk.pay(capture_method="manual")
    desk.faults({"path": "/capture", **fault})
    taken = await desk.gateway.capture(aside.id, key="s1/capture/1", seconds=SECONDS)
    kept = "kept" in fault
    assert (taken.status, taken.captured) == (("requires_capture", 0) if kept else ("succeeded", 1999))
    assert (await desk.gateway.capture(aside.id, key="s1/capture/2", seconds=SECONDS)).captured == 1999
    [charge] = desk.state["charges"]
    assert (charge["amount_captured"], charge["amount_refunded"]) == (1999, 0)


async def test_a_charge_under_way_is_not_cancelled(desk: Desk) -> None:
    under_way = await desk.pay("pm_processing")
    assert under_way.status == "processing"
    assert (await desk.gateway.cancel(under_way.id, seconds=SECONDS)).status in ("processing", "succeeded")


async def test_disputes_and_sessions_are_found(desk: Desk) -> None:
    paid = await desk.pay("pm_card_createDispute")
    assert await desk.gateway.session_of(paid.id) == "s1"
    [made] = desk.state["disputes"]
    found = await desk.gateway.dispute(made["id"])
    assert (found.intent, found.amount, found.currency) == (paid.id, 1999, "EUR")
    assert (found.reason, found.status) == ("fraudulent", "needs_response")
    with pytest.raises(GatewayRejected):
        await desk.gateway.dispute("du_none")
