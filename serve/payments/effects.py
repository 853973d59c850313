"""Carries out what payment sessions ask of the gateway, and says only what the gateway said.

No answer raises: the runtime asks again under the same key until there is one.
"""

from typing import assert_never

import msgspec

from actors import payment
from actors.decision import Message
from serve.gateway.card_numbers import masked
from serve.payments.gateway.base import (
    Attempt,
    GatewayRejected,
    IntentState,
    MethodDetails,
    PaymentGateway,
    RefundState,
)

GATEWAY_SECONDS = 5.0
SECRET = frozenset({"session", "action_url"})
"""Not for the record: who knows the page that asks the shopper could answer for them."""


def outcome(intent: IntentState) -> payment.Outcome:
    """An intent in the session's terms."""
    raw = redacted(intent)
    match intent.status:
        case "succeeded":
            card = intent.method_details or MethodDetails("", "")
            return payment.Outcome("succeeded", captured=intent.captured, brand=card.brand, last4=card.last4, raw=raw)
        case "requires_action":
            return payment.Outcome(
                "requires_action", action_url=intent.action_url or "", action_type=intent.action_type or "", raw=raw
            )
        case "processing":
            return payment.Outcome("processing")
        case "requires_capture":
            card = intent.method_details or MethodDetails("", "")
            return payment.Outcome("authorised", brand=card.brand, last4=card.last4, raw=raw)
        case "canceled":
            return payment.Outcome("canceled", raw=raw)
        case "requires_payment_method":
            return payment.Outcome("failed", code=intent.code or "payment_method_missing", raw=raw)


def redacted(answer: IntentState | RefundState) -> str:
    """An answer as JSON, for the record."""
    said = msgspec.to_builtins(answer)
    kept = {name: value for name, value in said.items() if name not in SECRET and value is not None}
    return masked(msgspec.json.encode(kept).decode())


class PaymentEffects:
    """The EffectRunner of kind "payment".

    `return_url`: where the gateway sends the shopper back to, with ``{id}`` for the session's id. `seconds`: the
    deadline of each call.
    """

    def __init__(
        self,
        gateway: PaymentGateway,
        return_url: str = "/api/payments/{id}/return",
        *,
        seconds: float = GATEWAY_SECONDS,
    ) -> None:
        self._seconds = seconds
        self._gateway = gateway
        self._return_url = return_url

    async def run(self, request: Message) -> Message:
        """Raises GatewayTimeout or GatewayUnavailable while the outcome is unknown."""
        if not isinstance(request, payment.EFFECTS):
            raise TypeError(f"not an effect of a payment: {type(request).__name__}")
        match request:
            case payment.CreateIntent():
                return await self._create(request)
            case payment.ConfirmIntent():
                return await self._confirm(request)
            case payment.LookUp():
                return await self._look_up(request)
            case payment.CancelIntent():
                intent = await self._gateway.cancel(request.intent, seconds=self._seconds)
                return payment.Cancelled(outcome(intent))
            case payment.CaptureIntent():
                intent = await self._gateway.capture(request.intent, key=request.key, seconds=self._seconds)
                return payment.CaptureAnswered(request.number, outcome(intent))
            case payment.RefundIntent():
                return await self._refund(request)
        assert_never(request)

    async def _create(self, request: payment.CreateIntent) -> Message:
        attempt = None
        if request.attempt:
            attempt = Attempt(
                request.attempt_key, request.method, request.reference or None, self._returns_to(request.session)
            )
        try:
            intent = await self._gateway.create_intent(
                request.session,
                request.amount,
                request.currency,
                attempt=attempt,
                capture_method=request.capture_method,
                at=request.at,
                seconds=self._seconds,
            )
        except GatewayRejected as rejected:
            return payment.IntentRefused(rejected.code, request.number)
        return payment.IntentCreated(intent.id, request.number, outcome(intent) if attempt else None)

    def _returns_to(self, session: str) -> str:
        return self._return_url.format(id=session)

    async def _confirm(self, request: payment.ConfirmIntent) -> Message:
        try:
            intent = await self._gateway.confirm(
                request.intent,
                key=request.key,
                method=request.method,
                reference=request.reference or None,
                return_url=self._returns_to(request.session),
                at=request.at,
                seconds=self._seconds,
            )
        except GatewayRejected as rejected:
            return payment.AttemptAnswered(request.attempt, payment.Outcome("failed", code=rejected.code))
        return payment.AttemptAnswered(request.attempt, outcome(intent))

    async def _look_up(self, request: payment.LookUp) -> Message:
        intent = await self._gateway.look_up(request.session, intent=request.intent, seconds=self._seconds)
        if intent is None:
            # The session has its id, so it was there: whatever this answer is, it is not the truth about the money.
            raise GatewayRejected("no_such_intent", f"the gateway does not know session {request.session}")
        return payment.LookedUp(request.number, outcome(intent))

    async def _refund(self, request: payment.RefundIntent) -> Message:
        try:
            refund = await self._gateway.refund(
                request.intent, refund_id=request.key, amount=request.amount, at=request.at, seconds=self._seconds
            )
        except GatewayRejected as rejected:
            return payment.RefundAnswered(request.refund_id, request.number, False, rejected.code)
        return payment.RefundAnswered(request.refund_id, request.number, refund.ok, refund.code or "", redacted(refund))
