"""Stripe's hosted page (Checkout): for attempts without a reference, so for shoppers without JavaScript as well.

The page makes a payment intent of its own when the shopper submits it. So for the session its name (`cs_...`) stands
for the intent, and who began there pays there: the page takes as many tries and methods as the shopper likes.
"""

from typing import Any

import stripe

from actors.payment import CaptureMethod
from serve.payments.gateway.base import Attempt, GatewayRejected, IntentState
from serve.payments.stripe.calls import StripeCalls, Within
from serve.payments.stripe.intents import ATTEMPT, SESSION, plain, rejection, state_of

PREFIX = "cs_"
HOSTED = "hosted_page"
EXPAND = ["payment_intent.latest_charge"]


def is_hosted(intent: str) -> bool:
    return intent.startswith(PREFIX)


class HostedPages:
    def __init__(self, calls: StripeCalls) -> None:
        self._pages = calls.v1.checkout.sessions

    async def open(
        self, session: str, amount: int, currency: str, attempt: Attempt, capture_method: CaptureMethod, run: Within
    ) -> IntentState:
        """A page for the amount; the state asks the shopper to go there. Raises what stripe-python raises."""
        params = _page(session, amount, currency, attempt) | capture_options(capture_method)
        return state_of_page(
            plain(await run(lambda: self._pages.create_async(params, {"idempotency_key": attempt.key})))
        )

    async def look(self, name: str, run: Within) -> IntentState:
        """Raises GatewayRejected."""
        return state_of_page(await self._retrieved(name, run))

    async def again(self, name: str, reference: str | None, run: Within) -> IntentState:
        """Another attempt: the page is still there, or there is none. Raises GatewayRejected."""
        if reference:
            raise GatewayRejected("hosted_page_only", "this order is paid on Stripe's page")
        found = await self.look(name, run)
        if found.status == "requires_payment_method":
            raise GatewayRejected("hosted_page_expired", "Stripe's page is no longer there")
        return found

    async def close(self, name: str, run: Within) -> IntentState:
        """Nobody can pay there any more; the state is what is true then, canceled or not. Raises GatewayRejected.

        It may be `requires_capture`: what was paid there before is set aside, and its intent is cancelled by itself.
        """
        params: Any = {"expand": EXPAND}
        try:
            found = plain(await run(lambda: self._pages.expire_async(name, params)))
        except stripe.StripeError as error:
            if rejection(error).code == "no_such_intent":
                raise rejection(error) from None
            found = await self._retrieved(name, run)  # it was paid, or had ended, before
        return state_of_page(found, ended="canceled")

    async def intent_of(self, name: str, run: Within) -> str:
        """The payment intent that was paid there. Raises GatewayRejected."""
        intent = (await self._retrieved(name, run)).get("payment_intent")
        if not isinstance(intent, dict):
            raise GatewayRejected("charge_not_captured", "nothing was paid on this page")
        return str(intent["id"])

    async def _retrieved(self, name: str, run: Within) -> dict[str, Any]:
        params: Any = {"expand": EXPAND}
        try:
            return plain(await run(lambda: self._pages.retrieve_async(name, params)))
        except stripe.StripeError as error:
            raise rejection(error) from None


def capture_options(capture_method: CaptureMethod) -> dict[str, Any]:
    """Wallets are cards to Stripe. For other methods the intent's own `automatic` holds: most of them cannot wait."""
    if capture_method == "automatic":
        return {}
    return {"payment_method_options": {"card": {"capture_method": "manual"}}}


def _page(session: str, amount: int, currency: str, attempt: Attempt) -> Any:
    metadata = {SESSION: session, ATTEMPT: attempt.key}
    named = {"currency": currency.lower(), "unit_amount": amount, "product_data": {"name": f"Order {session}"}}
    return {
        "mode": "payment",
        "line_items": [{"quantity": 1, "price_data": named}],
        "success_url": attempt.return_url,
        "cancel_url": attempt.return_url,
        "client_reference_id": session,
        "metadata": metadata,
        "payment_intent_data": {"metadata": metadata, "capture_method": "automatic"},
        "expand": EXPAND,
    }


def state_of_page(page: dict[str, Any], *, ended: str = "requires_payment_method") -> IntentState:
    """`ended`: what a page is that has ended without money."""
    metadata = page.get("metadata") or {}
    made: dict[str, Any] = {
        "id": page["id"],
        "session": metadata.get(SESSION, ""),
        "amount": page.get("amount_total") or 0,
        "currency": (page.get("currency") or "").upper(),
        "attempt": metadata.get(ATTEMPT),
    }
    intent = page.get("payment_intent")
    paid = state_of(intent) if isinstance(intent, dict) else None
    if paid is not None and paid.status in ("succeeded", "requires_capture", "processing", "canceled"):
        more: dict[str, Any] = {
            "captured": paid.captured,
            "refunded": paid.refunded,
            "method_details": paid.method_details,
        }
        return IntentState(**made, status=paid.status, **more)
    if page["status"] == "open":
        return IntentState(**made, status="requires_action", action_type=HOSTED, action_url=page.get("url") or "")
    if page["status"] == "complete":
        return IntentState(**made, status="processing")
    if ended == "canceled":
        return IntentState(**made, status="canceled")
    return IntentState(**made, status="requires_payment_method", code="hosted_page_expired")
