"""Stripe's objects in the words of our port."""

from typing import Any

import msgspec
import stripe

from serve.payments.gateway.base import GatewayRejected, IntentState, MethodDetails, RefundState, Status

SESSION, ATTEMPT, REFUND = "session", "attempt", "refund"
"""What our metadata says of Stripe's objects: whose they are, and the key that asked for them."""


class Dispute(msgspec.Struct, frozen=True):
    """As Stripe has it now. `amount` in minor units."""

    id: str
    intent: str
    amount: int
    currency: str
    reason: str
    status: str


class PaidBack(msgspec.Struct, frozen=True):
    """A refund as Stripe has it now. `key`: under which the shop asked for it; empty if it was not the shop."""

    key: str
    failed: bool
    code: str


_STATUS: dict[str, Status] = {
    "requires_payment_method": "requires_payment_method",
    "requires_confirmation": "requires_payment_method",
    "requires_action": "requires_action",
    "processing": "processing",
    "requires_capture": "requires_capture",
    "succeeded": "succeeded",
    "canceled": "canceled",
}
# Of a card that was declined the shopper may know these reasons; others would warn who stole it.
_TELLABLE = frozenset(
    {
        "insufficient_funds",
        "expired_card",
        "incorrect_cvc",
        "incorrect_number",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "card_not_supported",
        "currency_not_supported",
        "withdrawal_count_limit_exceeded",
        "card_velocity_exceeded",
        "authentication_required",
        "processing_error",
        "try_again_later",
    }
)
_CODES = {"payment_intent_authentication_failure": "authentication_failed", "amount_too_small": "amount_too_small"}


def plain(found: Any) -> dict[str, Any]:
    """A Stripe object as plain dictionaries."""
    return found.to_dict() if isinstance(found, stripe.StripeObject) else dict(found)


def state_of(intent: dict[str, Any]) -> IntentState:
    """`intent`: with `latest_charge` expanded where it has one, or what was captured is not known to be refunded."""
    metadata = intent.get("metadata") or {}
    error = intent.get("last_payment_error") or {}
    charge = intent.get("latest_charge")
    charge = charge if isinstance(charge, dict) else {}
    # Of a charge that was never captured Stripe says that it is refunded once it is let go.
    taken = bool(intent.get("amount_received"))
    status = _STATUS[intent["status"]]
    url, kind = _action_of(intent) if status == "requires_action" else (None, None)
    failed = status == "requires_payment_method" and bool(error)
    return IntentState(
        id=intent["id"],
        session=metadata.get(SESSION, ""),
        amount=intent["amount"],
        currency=intent["currency"].upper(),
        status=status,
        attempt=metadata.get(ATTEMPT),
        code=_code_of(error) if failed else None,
        action_type=kind,
        action_url=url,
        captured=intent.get("amount_received") or 0 if status == "succeeded" else 0,
        refunded=charge.get("amount_refunded") or 0 if taken else 0,
        method_details=_card_of(error.get("payment_method") if failed else charge.get("payment_method_details")),
    )


def _action_of(intent: dict[str, Any]) -> tuple[str, str]:
    action = intent.get("next_action") or {}
    url = (action.get("redirect_to_url") or {}).get("url") or ""
    method = intent.get("payment_method")
    kind = method.get("type") if isinstance(method, dict) else None
    return url, "bank_redirect" if kind not in (None, "card") else "three_d_secure"


def _code_of(error: dict[str, Any]) -> str:
    declined = error.get("decline_code")
    if declined in _TELLABLE:
        return str(declined)
    code = str(error.get("code") or "payment_failed")
    return _CODES.get(code, code)


def _card_of(method: Any) -> MethodDetails | None:
    card = (method or {}).get("card")
    if not card or not card.get("last4"):
        return None
    return MethodDetails(str(card.get("brand") or ""), str(card["last4"]))


def refund_state(refund: dict[str, Any], refund_id: str) -> RefundState:
    """One that is pending is as good as paid back; should it fail, its webhook and the reconciliation say so."""
    ok = refund["status"] not in ("failed", "canceled")
    code = None if ok else str(refund.get("failure_reason") or refund["status"])
    return RefundState(refund_id, refund["amount"], ok, code)


def paid_back(refund: dict[str, Any]) -> PaidBack:
    key = str((refund.get("metadata") or {}).get(REFUND, ""))
    made = refund_state(refund, key)
    return PaidBack(key, not made.ok, made.code or "")


def rejection(error: stripe.StripeError) -> GatewayRejected:
    """Why Stripe will never carry this call out. The detail has no text of Stripe's, which may repeat what we sent."""
    code = error.code or (error.error.code if error.error is not None else None) or "invalid_request"
    param = getattr(error, "param", None)
    if code == "resource_missing":
        code = "payment_method_unknown" if param == "payment_method" else "no_such_intent"
    return GatewayRejected(str(code), f"Stripe refused the call ({type(error).__name__}, {error.request_id or '-'})")


def intent_in(error: stripe.StripeError) -> dict[str, Any] | None:
    """The intent that an error speaks of, as it is after it; None if there is none."""
    body = error.json_body
    found = body.get("error", {}).get("payment_intent") if isinstance(body, dict) else None
    return found if isinstance(found, dict) else None
