"""The payment gateway's port on Stripe: one payment intent a session, found by its id or by its metadata.

Every write goes out under the key that the session gave it, and Stripe does it once for each key; it remembers keys for
a day. What has stood unanswered for longer is looked up, and never sent again.
"""

from collections.abc import Callable
from typing import Any

import stripe

from actors.payment import CaptureMethod
from serve.gateway.clock import now_ms
from serve.payments.gateway.base import (
    Attempt,
    GatewayRejected,
    GatewayUnavailable,
    IntentState,
    RefundState,
)
from serve.payments.stripe.calls import KeptFailure, StripeCalls, Within
from serve.payments.stripe.hosted import HostedPages, capture_options, is_hosted
from serve.payments.stripe.intents import (
    ATTEMPT,
    REFUND,
    SESSION,
    Dispute,
    PaidBack,
    intent_in,
    paid_back,
    plain,
    refund_state,
    rejection,
    state_of,
)

KEYS_LIVE_MS = 23 * 3_600_000
"""Stripe may forget a key after 24 hours."""

EXPIRED = "attempt_expired"
EXPAND = ["latest_charge", "payment_method"]


class StripeGateway:
    """Implements `PaymentGateway`. Belongs to one event loop."""

    def __init__(self, calls: StripeCalls, now: Callable[[], int] = now_ms) -> None:
        self._calls = calls
        self._intents = calls.v1.payment_intents
        self._refunds = calls.v1.refunds
        self._pages = HostedPages(calls)
        self._now = now

    @property
    def up(self) -> bool:
        """Whether Stripe answered lately; asking it costs a request of those that it allows us."""
        return self._calls.up

    async def close(self) -> None:
        await self._calls.close()

    async def create_intent(
        self,
        session: str,
        amount: int,
        currency: str,
        *,
        attempt: Attempt | None = None,
        capture_method: CaptureMethod = "automatic",
        at: int = 0,
        seconds: float = 5.0,
    ) -> IntentState:
        run = self._calls.within(seconds)
        if self._expired(at):
            found = await self._found(session, run)
            if found is None:
                raise GatewayRejected(EXPIRED, "it never reached Stripe, and is too old to be sent again")
            return found
        key = f"{session}/intent" if attempt is None else attempt.key
        params = _creation(session, amount, currency, attempt) | capture_options(capture_method)
        try:
            if attempt is not None and not attempt.reference:
                return await self._pages.open(session, amount, currency, attempt, capture_method, run)
            made = await run(lambda: self._intents.create_async(params, {"idempotency_key": key}))
        except stripe.IdempotencyError:
            return await self._made_otherwise(session, amount, currency, run)
        except KeptFailure:
            return _ended_by(key, await self._found(session, run))
        except stripe.StripeError as error:
            return await self._after(error, run)
        return state_of(plain(made))

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
        run = self._calls.within(seconds)
        if self._expired(at):
            return await self._ended(intent, key, run)
        if is_hosted(intent):
            return await self._pages.again(intent, reference, run)
        means = _needed(reference)
        # A confirmation takes no metadata. So the intent is marked first, which also takes it back from an attempt that
        # waits for the shopper, and wipes the last one's error: what it then says is said of this attempt.
        marked: Any = {"payment_method": means, "metadata": {ATTEMPT: key}}
        confirmed: Any = {"payment_method": means, "return_url": return_url, "expand": EXPAND}
        try:
            await run(lambda: self._intents.update_async(intent, marked, {"idempotency_key": key}))
            made = await run(
                lambda: self._intents.confirm_async(intent, confirmed, {"idempotency_key": f"{key}/confirm"})
            )
        except stripe.IdempotencyError:
            # The attempt went out before, with the creation or from where our address was another.
            return await self._retrieved(intent, run)
        except KeptFailure:
            return _ended_by(key, await self._retrieved(intent, run))
        except stripe.StripeError as error:
            return await self._after(error, run)
        return state_of(plain(made))

    async def look_up(self, session: str, *, intent: str | None = None, seconds: float = 5.0) -> IntentState | None:
        """By its id this sees all that Stripe has done; by the session's what it had done a minute ago."""
        run = self._calls.within(seconds)
        if intent:
            try:
                return await self._retrieved(intent, run)
            except GatewayRejected as rejected:
                if rejected.code == "no_such_intent":
                    return None
                raise
        return await self._found(session, run)

    async def cancel(self, intent: str, *, seconds: float = 5.0) -> IntentState:
        run = self._calls.within(seconds)
        if not is_hosted(intent):
            return await self._cancelled(intent, run)
        closed = await self._pages.close(intent, run)
        if closed.status != "requires_capture":
            return closed
        await self._cancelled(await self._pages.intent_of(intent, run), run)
        return await self._pages.look(intent, run)

    async def _cancelled(self, intent: str, run: Within) -> IntentState:
        params: Any = {"expand": EXPAND}
        try:
            return state_of(plain(await run(lambda: self._intents.cancel_async(intent, params))))
        except stripe.StripeError as error:
            return await self._after(error, run)

    async def capture(self, intent: str, *, key: str, seconds: float = 5.0) -> IntentState:
        """Stripe captures an intent once, whatever its key: however it ended, the intent tells."""
        run = self._calls.within(seconds)
        paid = await self._pages.intent_of(intent, run) if is_hosted(intent) else intent
        params: Any = {"expand": EXPAND}
        try:
            made = await run(lambda: self._intents.capture_async(paid, params, {"idempotency_key": key}))
        except (KeptFailure, stripe.StripeError):
            return await self._retrieved(intent, run)
        return await self._pages.look(intent, run) if is_hosted(intent) else state_of(plain(made))

    async def refund(
        self, intent: str, *, refund_id: str, amount: int, at: int = 0, seconds: float = 5.0
    ) -> RefundState:
        run = self._calls.within(seconds)
        if is_hosted(intent):
            intent = await self._pages.intent_of(intent, run)
        if self._expired(at):
            return await self._refunded(intent, refund_id, amount, run)
        params: Any = {"payment_intent": intent, "amount": amount, "metadata": {REFUND: refund_id}}
        try:
            made = await run(lambda: self._refunds.create_async(params, {"idempotency_key": refund_id}))
        except stripe.IdempotencyError:
            return await self._refunded(intent, refund_id, amount, run)
        except stripe.StripeError as error:
            rejected = rejection(error)
            if rejected.code == "no_such_intent":
                raise rejected from None
            return RefundState(refund_id, amount, False, rejected.code)
        return refund_state(plain(made), refund_id)

    async def session_of(self, intent: str, *, seconds: float = 5.0) -> str:
        """Whose an intent is; empty if it is none of ours."""
        return (await self._retrieved(intent, self._calls.within(seconds))).session

    async def dispute(self, name: str, *, seconds: float = 5.0) -> Dispute:
        """A dispute as it is now."""
        run = self._calls.within(seconds)
        try:
            found = plain(await run(lambda: self._calls.v1.disputes.retrieve_async(name)))
        except stripe.StripeError as error:
            raise rejection(error) from None
        return Dispute(
            id=found["id"],
            intent=found.get("payment_intent") or "",
            amount=found["amount"],
            currency=found["currency"].upper(),
            reason=found["reason"],
            status=found["status"],
        )

    async def paid_back(self, name: str, *, seconds: float = 5.0) -> PaidBack:
        """A refund as it is now."""
        run = self._calls.within(seconds)
        try:
            return paid_back(plain(await run(lambda: self._refunds.retrieve_async(name))))
        except stripe.StripeError as error:
            raise rejection(error) from None

    def _expired(self, at: int) -> bool:
        return at > 0 and self._now() - at >= KEYS_LIVE_MS

    async def _retrieved(self, intent: str, run: Within) -> IntentState:
        if is_hosted(intent):
            return await self._pages.look(intent, run)
        params: Any = {"expand": EXPAND}
        try:
            return state_of(plain(await run(lambda: self._intents.retrieve_async(intent, params))))
        except stripe.StripeError as error:
            raise rejection(error) from None

    async def _found(self, session: str, run: Within) -> IntentState | None:
        quoted = session.replace("\\", "\\\\").replace("'", "\\'")
        params: Any = {"query": f"metadata['{SESSION}']:'{quoted}'", "expand": [f"data.{one}" for one in EXPAND]}
        try:
            found = await run(lambda: self._intents.search_async(params))
        except stripe.StripeError as error:
            raise rejection(error) from None
        intents = [plain(one) for one in found.data]
        best = max(intents, key=lambda one: (one["status"] == "succeeded", one["created"]), default=None)
        return None if best is None else state_of(best)

    async def _after(self, error: stripe.StripeError, run: Within) -> IntentState:
        """A refusal that tells of an intent tells what became of it: a decline is an answer like any other."""
        told = intent_in(error)
        if told is None:
            raise rejection(error) from None
        if isinstance(error, stripe.CardError) and told.get("last_payment_error"):
            return state_of(told)  # as it was answered, so that a repetition is answered alike
        found = await self._retrieved(told["id"], run)
        if found.status == "requires_payment_method":
            raise rejection(error) from None
        return found

    async def _made_otherwise(self, session: str, amount: int, currency: str, run: Within) -> IntentState:
        """Our key was used for a creation with other particulars; our address may have changed since."""
        found = await self._found(session, run)
        if found is None:
            raise GatewayUnavailable("Stripe has the intent, and does not find it yet") from None
        if (found.amount, found.currency) != (amount, currency):
            raise GatewayRejected("idempotency_key_reused", "the session has an intent for another amount") from None
        return found

    async def _ended(self, intent: str, key: str, run: Within) -> IntentState:
        """What became of a confirmation that is too old to be sent again."""
        found = await self._retrieved(intent, run)
        if found.status == "requires_payment_method" and (found.attempt != key or found.code is None):
            raise GatewayRejected(EXPIRED, "it never reached Stripe, and is too old to be sent again")
        return found

    async def _refunded(self, intent: str, refund_id: str, amount: int, run: Within) -> RefundState:
        params: Any = {"payment_intent": intent, "limit": 100}
        try:
            found = await run(lambda: self._refunds.list_async(params))
        except stripe.StripeError as error:
            raise rejection(error) from None
        for one in found.data:
            refund = plain(one)
            if (refund.get("metadata") or {}).get(REFUND) == refund_id:
                if refund["amount"] != amount:
                    raise GatewayRejected("idempotency_key_reused", "the refund was asked for with another amount")
                return refund_state(refund, refund_id)
        return RefundState(refund_id, amount, False, EXPIRED)


def _creation(session: str, amount: int, currency: str, attempt: Attempt | None) -> Any:
    params: dict[str, Any] = {
        "amount": amount,
        "currency": currency.lower(),
        "capture_method": "automatic",
        "automatic_payment_methods": {"enabled": True},
        "metadata": {SESSION: session},
        "expand": EXPAND,
    }
    if attempt is not None:
        params["metadata"][ATTEMPT] = attempt.key
        params |= {
            "confirm": True,
            "payment_method": attempt.reference,
            "return_url": attempt.return_url,
        }
    return params


def _ended_by(key: str, found: IntentState | None) -> IntentState:
    """The end of the attempt `key`, if that is what the intent tells; else it is still unknown."""
    if found is None or found.attempt != key or (found.status == "requires_payment_method" and found.code is None):
        raise GatewayUnavailable("Stripe failed, and its intent does not tell yet what was done") from None
    return found


def _needed(reference: str | None) -> str:
    if not reference:
        raise GatewayRejected("payment_method_missing", "Stripe needs the shopper's means, which its own form makes")
    return reference
