"""What every payment gateway must do, run against each adapter of the port.

Stripe's speaks to a gateway with Stripe's wire interface and state, a process of its own.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from serve.payments.gateway.base import (
    Attempt,
    GatewayRejected,
    GatewayTimeout,
    GatewayUnavailable,
    IntentState,
    PaymentGateway,
    RefundState,
)
from serve.payments.gateway.book import GatewayBook
from serve.payments.gateway.calls import Call, Reply
from serve.payments.gateway.client import GatewayClient
from serve.payments.gateway.desk import GatewayDesk
from serve.payments.stripe.calls import StripeCalls
from serve.payments.stripe.gateway import StripeGateway
from tests.stripe_wire.running import Wire, new_account, wire

SECONDS = 30.0
GOOD, DECLINED, LOST = "pm_card_visa", "pm_card_chargeDeclined", "pm_timeout_after_charge"


async def ignore(body: bytes, signature: str) -> bool:
    return True


@pytest.fixture(scope="module")
def running_wire() -> Iterator[Wire]:
    with wire() as running:
        yield running


@pytest.fixture(params=["test gateway, in process", "Stripe"])
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[PaymentGateway]:
    if request.param == "Stripe":
        stripe = StripeGateway(StripeCalls(new_account(), base=request.getfixturevalue("running_wire").url))
        yield stripe
        await stripe.close()
        return
    desk = GatewayDesk(GatewayBook(tmp_path / "gateway.db"), secret="s", deliver=ignore)
    client = GatewayClient(desk.carry_out)
    yield client
    await client.close()
    await desk.stop()


def lost(gateway: PaymentGateway) -> AbstractContextManager[object]:
    """Whoever calls learns that an answer was lost, unless the adapter asks again by itself."""
    return nullcontext() if isinstance(gateway, StripeGateway) else pytest.raises(GatewayTimeout)


async def confirm(gateway: PaymentGateway, intent: str, attempt: int, reference: str = GOOD) -> IntentState:
    key = f"{intent}/attempt/{attempt}"
    return await gateway.confirm(
        intent, key=key, method="card", reference=reference, return_url="https://shop/back", seconds=SECONDS
    )


async def test_paying(gateway: PaymentGateway) -> None:
    assert await gateway.look_up("s1") is None
    made = await gateway.create_intent("s1", 1999, "EUR")
    assert (made.status, made.session, made.amount, made.currency) == ("requires_payment_method", "s1", 1999, "EUR")
    assert await gateway.create_intent("s1", 1999, "EUR") == made
    paid = await confirm(gateway, made.id, 1)
    assert (paid.status, paid.captured) == ("succeeded", 1999)
    assert await gateway.look_up("s1") == await gateway.look_up("s1", intent=made.id) == paid
    assert await gateway.cancel(made.id) == paid


@pytest.mark.parametrize(("reference", "status"), [(GOOD, "succeeded"), (DECLINED, "requires_payment_method")])
async def test_an_intent_and_its_first_attempt_in_one_call(
    gateway: PaymentGateway, reference: str, status: str
) -> None:
    attempt = Attempt("s1/attempt/1", "card", reference, "https://shop/back")
    made = await gateway.create_intent("s1", 1999, "EUR", attempt=attempt)
    assert (made.status, made.attempt, made.captured) == (status, attempt.key, 1999 if reference == GOOD else 0)
    assert await gateway.create_intent("s1", 1999, "EUR", attempt=attempt) == made
    again = await gateway.confirm(
        made.id, key=attempt.key, method="card", reference=reference, return_url="https://shop/back"
    )
    assert again == made
    assert (await confirm(gateway, made.id, 2)).captured == 1999


async def test_a_lost_answer_to_that_call_is_had_by_asking_again(gateway: PaymentGateway) -> None:
    attempt = Attempt("s1/attempt/1", "card", LOST, "https://shop/back")
    with lost(gateway):
        await gateway.create_intent("s1", 1999, "EUR", attempt=attempt)
    assert (await gateway.create_intent("s1", 1999, "EUR", attempt=attempt)).captured == 1999


async def test_declined_then_paid(gateway: PaymentGateway) -> None:
    made = await gateway.create_intent("s1", 1999, "EUR")
    declined = await confirm(gateway, made.id, 1, DECLINED)
    assert (declined.status, declined.code, declined.captured) == ("requires_payment_method", "card_declined", 0)
    assert (await confirm(gateway, made.id, 2)).captured == 1999
    assert await confirm(gateway, made.id, 1, DECLINED) == declined


async def test_a_lost_answer_is_had_by_asking_again(gateway: PaymentGateway) -> None:
    made = await gateway.create_intent("s1", 1999, "EUR")
    with lost(gateway):
        await confirm(gateway, made.id, 1, LOST)
    assert (await confirm(gateway, made.id, 1, LOST)).captured == 1999


async def test_cancelling(gateway: PaymentGateway) -> None:
    made = await gateway.create_intent("s1", 1999, "EUR")
    assert (await gateway.cancel(made.id)).status == "canceled"
    assert (await gateway.cancel(made.id)).status == "canceled"
    assert (await confirm(gateway, made.id, 1)).captured == 0


async def test_refunding(gateway: PaymentGateway) -> None:
    made = await gateway.create_intent("s1", 1999, "EUR")
    await confirm(gateway, made.id, 1)
    refunds = [await gateway.refund(made.id, refund_id="r1", amount=1500) for _ in range(2)]
    assert refunds == [RefundState("r1", 1500, True)] * 2
    assert (await gateway.refund(made.id, refund_id="r2", amount=500)).ok is False
    found = await gateway.look_up("s1")
    assert found is not None
    assert found.refunded == 1500


async def test_the_shopper_is_asked_and_another_attempt_takes_over(gateway: PaymentGateway) -> None:
    made = await gateway.create_intent("s1", 1999, "EUR")
    asked = await confirm(gateway, made.id, 1, "pm_card_authenticationRequired")
    assert (asked.status, asked.action_type, asked.captured) == ("requires_action", "three_d_secure", 0)
    assert asked.action_url
    assert await gateway.look_up("s1", intent=made.id) == asked
    other = await confirm(gateway, made.id, 2, "pm_bank_redirect")
    assert (other.status, other.action_type) == ("requires_action", "bank_redirect")
    assert (await confirm(gateway, made.id, 3)).captured == 1999


async def set_aside(gateway: PaymentGateway, reference: str = GOOD, method: str = "card") -> IntentState:
    attempt = Attempt("s1/attempt/1", method, reference, "https://shop/back")
    return await gateway.create_intent("s1", 1999, "EUR", attempt=attempt, capture_method="manual", seconds=SECONDS)


async def test_money_is_set_aside_and_captured_once(gateway: PaymentGateway) -> None:
    made = await set_aside(gateway)
    assert (made.status, made.captured) == ("requires_capture", 0)
    assert made.method_details is not None
    assert await set_aside(gateway) == made
    assert await gateway.look_up("s1", intent=made.id) == made
    assert (await gateway.refund(made.id, refund_id="r0", amount=10)).ok is False
    taken = [await gateway.capture(made.id, key=f"s1/capture/{number}") for number in (1, 1, 2)]
    assert [(one.status, one.captured, one.refunded) for one in taken] == [("succeeded", 1999, 0)] * 3
    assert (await gateway.refund(made.id, refund_id="r1", amount=10)).ok
    found = await gateway.look_up("s1")
    assert found is not None
    assert (found.captured, found.refunded) == (1999, 10)


async def test_what_was_set_aside_is_let_go_of(gateway: PaymentGateway) -> None:
    made = await set_aside(gateway, "pm_wallet", "wallet")
    assert made.status == "requires_capture"
    gone = await gateway.cancel(made.id)
    assert (gone.status, gone.captured, gone.refunded) == ("canceled", 0, 0)
    assert await gateway.capture(made.id, key="s1/capture/1") == gone


async def test_what_lapsed_is_not_captured(gateway: PaymentGateway) -> None:
    made = await set_aside(gateway, "pm_authorisation_lapses")
    assert made.status == "requires_capture"
    gone = await gateway.capture(made.id, key="s1/capture/1")
    assert (gone.status, gone.captured) == ("canceled", 0)


async def test_a_declined_card_and_then_one_that_is_set_aside(gateway: PaymentGateway) -> None:
    declined = await set_aside(gateway, DECLINED)
    assert declined.status == "requires_payment_method"
    assert await gateway.capture(declined.id, key="s1/capture/1") == declined
    assert (await confirm(gateway, declined.id, 2)).status == "requires_capture"


async def test_what_cannot_wait_is_captured_at_once(gateway: PaymentGateway) -> None:
    asked = await set_aside(gateway, "pm_bank_redirect", "bank_redirect")
    assert asked.status == "requires_action"
    assert (await confirm(gateway, asked.id, 2)).status == "requires_capture", "its cards can"


async def test_the_codes_of_declines(gateway: PaymentGateway) -> None:
    made = await gateway.create_intent("s1", 1999, "EUR")
    means = ("pm_card_chargeDeclinedInsufficientFunds", "pm_card_chargeDeclinedExpiredCard", "pm_nobody_knows")
    codes = []
    for number, reference in enumerate(means):
        try:
            codes.append((await confirm(gateway, made.id, number, reference)).code)
        except GatewayRejected as rejected:
            codes.append(rejected.code)
    assert codes == ["insufficient_funds", "expired_card", "payment_method_unknown"]


async def test_what_is_never_carried_out(gateway: PaymentGateway) -> None:
    await gateway.create_intent("s1", 1999, "EUR")
    with pytest.raises(GatewayRejected) as reused:
        await gateway.create_intent("s1", 5, "EUR")
    assert reused.value.code == "idempotency_key_reused"
    with pytest.raises(GatewayRejected) as unknown:
        await confirm(gateway, "pi_none", 1)
    assert unknown.value.code == "no_such_intent"


async def test_many_at_once_with_one_key_are_one(gateway: PaymentGateway) -> None:
    made = await asyncio.gather(*(gateway.create_intent("s1", 1999, "EUR", seconds=SECONDS) for _ in range(20)))
    assert len({intent.id for intent in made}) == 1
    paid = await asyncio.gather(*(confirm(gateway, made[0].id, n) for n in range(20)))
    assert {intent.captured for intent in paid} == {1999}


# The client's own part: deadlines, batches, a desk that is away.


async def test_a_deadline_is_kept_and_others_go_on() -> None:
    gate = asyncio.Event()

    async def slow(calls: Sequence[Call]) -> Sequence[Reply]:
        await gate.wait()
        return [Reply() for _ in calls]

    client = GatewayClient(slow)
    with pytest.raises(GatewayTimeout):
        await client.look_up("s1", seconds=0.01)
    others = [asyncio.create_task(client.look_up("s1")) for _ in range(2)]
    await asyncio.sleep(0)
    others[0].cancel()
    gate.set()
    assert await asyncio.wait_for(others[1], 10) is None
    await client.close()


async def test_calls_gather_while_a_batch_is_on_its_way() -> None:
    sizes: list[int] = []

    async def counting(calls: Sequence[Call]) -> Sequence[Reply]:
        sizes.append(len(calls))
        await asyncio.sleep(0)
        return [Reply() for _ in calls]

    client = GatewayClient(counting)
    await asyncio.gather(*(client.look_up("s1") for _ in range(600)))
    assert sizes == [256, 256, 88]


async def test_a_desk_that_is_away_is_unavailable() -> None:
    async def away(calls: Sequence[Call]) -> Sequence[Reply]:
        raise sqlite3.OperationalError("disk I/O error")

    client = GatewayClient(away)
    with pytest.raises(GatewayUnavailable):
        await client.look_up("s1")


async def test_closing_ends_what_waits() -> None:
    async def never(calls: Sequence[Call]) -> Sequence[Reply]:
        await asyncio.Event().wait()
        return []

    client = GatewayClient(never)
    waiting = asyncio.create_task(client.look_up("s1"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(GatewayUnavailable):
        await waiting
