"""Effects of payment sessions: requests in, what the gateway said out."""

import json

import msgspec
import pytest

from actors import payment
from actors.decision import Done
from serve.payments.effects import PaymentEffects, outcome, redacted
from serve.payments.gateway.base import (
    Attempt,
    GatewayRejected,
    GatewayTimeout,
    IntentState,
    MethodDetails,
    RefundState,
    Status,
)


class ScriptedGateway:
    """Answers with `answer`, or raises it; notes what it was asked."""

    def __init__(self, answer: IntentState | RefundState | Exception | None) -> None:
        self.answer = answer
        self.asked: list[tuple[object, ...]] = []
        self.since: list[int] = []
        self.deadlines: list[float] = []

    def _say(self, *asked: object) -> IntentState | RefundState | None:
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def _intent(self, *asked: object) -> IntentState:
        said = self._say(*asked)
        assert isinstance(said, IntentState)
        return said

    async def create_intent(
        self,
        session: str,
        amount: int,
        currency: str,
        *,
        attempt: Attempt | None = None,
        capture_method: payment.CaptureMethod = "automatic",
        at: int = 0,
        seconds: float = 5.0,
    ) -> IntentState:
        self.since.append(at)
        self.deadlines.append(seconds)
        return self._intent("create", session, amount, currency, attempt, capture_method)

    async def confirm(
        self,
        intent: str,
        *,
        key: str,
        method: str,
        reference: str | None,
        return_url: str,
        at: int = 0,
        seconds: float = 5.0,
    ) -> IntentState:
        self.since.append(at)
        self.deadlines.append(seconds)
        return self._intent("confirm", intent, key, method, reference, return_url)

    async def look_up(self, session: str, *, intent: str | None = None, seconds: float = 5.0) -> IntentState | None:
        self.deadlines.append(seconds)
        said = self._say("look_up", session, intent)
        assert not isinstance(said, RefundState)
        return said

    async def cancel(self, intent: str, *, seconds: float = 5.0) -> IntentState:
        self.deadlines.append(seconds)
        return self._intent("cancel", intent)

    async def capture(self, intent: str, *, key: str, seconds: float = 5.0) -> IntentState:
        self.deadlines.append(seconds)
        return self._intent("capture", intent, key)

    async def close(self) -> None:
        pass

    async def refund(
        self, intent: str, *, refund_id: str, amount: int, at: int = 0, seconds: float = 5.0
    ) -> RefundState:
        self.since.append(at)
        self.deadlines.append(seconds)
        said = self._say("refund", intent, refund_id, amount)
        assert isinstance(said, RefundState)
        return said


def state(status: Status, **known: object) -> IntentState:
    return IntentState("pi", "s", 10, "EUR", status, **known)  # type: ignore[arg-type]


CREATE = payment.CreateIntent("s", 10, "EUR", 2, 1, "wallet", "pm_wallet", at=5, capture_method="manual")
CONFIRM = payment.ConfirmIntent("s", "pi", 2, "card", "pm_card_visa", at=6)
LOOK = payment.LookUp("s", "pi", 4)
CANCEL = payment.CancelIntent("s", "pi")
CAPTURE = payment.CaptureIntent("s", "pi", 2)
REFUND = payment.RefundIntent("s", "pi", "r1", 7, 3, at=7)


@pytest.mark.parametrize(
    ("intent", "expected"),
    [
        (state("succeeded", captured=10), payment.Outcome("succeeded", captured=10)),
        (state("requires_payment_method", code="card_declined"), payment.Outcome("failed", code="card_declined")),
        (state("requires_payment_method"), payment.Outcome("failed", code="payment_method_missing")),
        (
            state("requires_action", action_type="three_d_secure", action_url="/page"),
            payment.Outcome("requires_action", action_type="three_d_secure", action_url="/page"),
        ),
        (state("processing"), payment.Outcome("processing")),
        (state("requires_capture"), payment.Outcome("authorised")),
        (state("canceled"), payment.Outcome("canceled")),
    ],
)
def test_outcomes(intent: IntentState, expected: payment.Outcome) -> None:
    assert msgspec.structs.replace(outcome(intent), raw="") == expected


def test_what_is_recorded_of_an_answer_tells_the_card_and_grants_nothing() -> None:
    page = state("requires_action", action_type="three_d_secure", action_url="/pages/pi/1", attempt="s/attempt/1")
    assert json.loads(outcome(page).raw) == {
        "id": "pi",
        "amount": 10,
        "currency": "EUR",
        "status": "requires_action",
        "attempt": "s/attempt/1",
        "action_type": "three_d_secure",
        "captured": 0,
        "refunded": 0,
    }
    paid = outcome(state("succeeded", captured=10, method_details=MethodDetails("visa", "4242")))
    assert (paid.brand, paid.last4) == ("visa", "4242")
    assert json.loads(paid.raw)["method_details"] == {"brand": "visa", "last4": "4242"}
    leaked = outcome(state("requires_payment_method", code="no 4242424242424242"))
    assert json.loads(leaked.raw)["code"] == "no [card number]"
    assert outcome(state("processing")).raw == ""


async def test_each_request_asks_the_gateway_under_its_key() -> None:
    paid = state("succeeded", captured=10)
    gateway = ScriptedGateway(paid)
    effects = PaymentEffects(gateway, "https://shop/api/payments/{id}/return", seconds=17.0)
    assert await effects.run(CREATE) == payment.IntentCreated("pi", 2, outcome(paid))
    assert await effects.run(payment.CreateIntent("s", 10, "EUR")) == payment.IntentCreated("pi")
    assert await effects.run(CONFIRM) == payment.AttemptAnswered(2, outcome(paid))
    assert await effects.run(LOOK) == payment.LookedUp(4, outcome(paid))
    assert await effects.run(CANCEL) == payment.Cancelled(outcome(paid))
    assert await effects.run(CAPTURE) == payment.CaptureAnswered(2, outcome(paid))
    gateway.answer = RefundState("s/refund/r1/3", 7, True)
    assert await effects.run(REFUND) == payment.RefundAnswered("r1", 3, True, raw=redacted(gateway.answer))
    assert gateway.asked == [
        (
            "create",
            "s",
            10,
            "EUR",
            Attempt("s/attempt/1", "wallet", "pm_wallet", "https://shop/api/payments/s/return"),
            "manual",
        ),
        ("create", "s", 10, "EUR", None, "automatic"),
        ("confirm", "pi", "s/attempt/2", "card", "pm_card_visa", "https://shop/api/payments/s/return"),
        ("look_up", "s", "pi"),
        ("cancel", "pi"),
        ("capture", "pi", "s/capture/2"),
        ("refund", "pi", "s/refund/r1/3", 7),
    ]
    assert gateway.since == [5, 0, 6, 7]
    assert gateway.deadlines == [17.0] * 7


async def test_refusals_are_answers() -> None:
    effects = PaymentEffects(ScriptedGateway(GatewayRejected("amount_too_small", "no")))
    assert await effects.run(CREATE) == payment.IntentRefused("amount_too_small", 2)
    assert await effects.run(CONFIRM) == payment.AttemptAnswered(2, payment.Outcome("failed", code="amount_too_small"))
    assert await effects.run(REFUND) == payment.RefundAnswered("r1", 3, False, "amount_too_small")
    said = RefundState("s/refund/r1/3", 7, False, "expired_card")
    refused = PaymentEffects(ScriptedGateway(said))
    assert await refused.run(REFUND) == payment.RefundAnswered("r1", 3, False, "expired_card", redacted(said))


@pytest.mark.parametrize("request_", [CREATE, CONFIRM, LOOK, CANCEL, CAPTURE, REFUND])
async def test_silence_is_no_answer(request_: payment.EFFECTS) -> None:
    with pytest.raises(GatewayTimeout):
        await PaymentEffects(ScriptedGateway(GatewayTimeout("late"))).run(request_)


async def test_an_intent_that_is_not_found_is_no_answer() -> None:
    with pytest.raises(GatewayRejected, match="no_such_intent"):
        await PaymentEffects(ScriptedGateway(None)).run(LOOK)
    with pytest.raises(TypeError):
        await PaymentEffects(ScriptedGateway(None)).run(Done())


async def test_no_reference_is_none() -> None:
    gateway = ScriptedGateway(state("processing"))
    await PaymentEffects(gateway).run(payment.ConfirmIntent("s", "pi", 1, "wallet", ""))
    assert gateway.asked == [("confirm", "pi", "s/attempt/1", "wallet", None, "/api/payments/s/return")]
