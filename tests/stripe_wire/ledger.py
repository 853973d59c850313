"""One account's truth: payment intents, charges, refunds and disputes, in memory, and the events that tell of them."""

import itertools
import secrets
from collections.abc import Callable
from typing import Any

from tests.stripe_wire.errors import Refused, missing, unexpected
from tests.stripe_wire.forms import Params, truth
from tests.stripe_wire.methods import METHODS, Means

Object = dict[str, Any]
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
LEAST = 30


class Ledger:
    """`now`: UTC in seconds. `pages`: where shoppers are asked. `tell`: hears of each event, copies and seconds."""

    def __init__(self, now: Callable[[], float], pages: str, tell: Callable[[str, Object, int, float], None]) -> None:
        self._now = now
        self._pages = pages
        self._tell = tell
        self._numbers = itertools.count()
        self.intents: dict[str, Object] = {}
        self.charges: dict[str, Object] = {}
        self.refunds: dict[str, Object] = {}
        self.disputes: dict[str, Object] = {}
        self.hosted: dict[str, Object] = {}
        self._settles: dict[str, float] = {}
        self._secrets: dict[str, str] = {}

    def _new(self, prefix: str, kind: str, **fields: Any) -> Object:
        # Ids of one second are in order too, which a list's pages need.
        name = f"{prefix}_{next(self._numbers):08d}{secrets.token_hex(6)}"
        return {"id": name, "object": kind, "created": int(self._now()), "livemode": False, **fields}

    # payment intents

    def create(self, params: Params) -> Object:
        amount = int(params["amount"])
        if amount < LEAST:
            raise Refused(400, "invalid_request_error", "Too small", code="amount_too_small", param="amount")
        if "payment_method" in params:
            _means(params["payment_method"])
        intent = self._new(
            "pi",
            "payment_intent",
            amount=amount,
            amount_capturable=0,
            amount_received=0,
            currency=params["currency"],
            status="requires_payment_method",
            capture_method=params.get("capture_method", "automatic_async"),
            payment_method_options=params.get("payment_method_options", {}),
            metadata=dict(params.get("metadata", {})),
            payment_method=None,
            payment_method_types=["card"],
            last_payment_error=None,
            next_action=None,
            latest_charge=None,
            client_secret=None,
        )
        self.intents[intent["id"]] = intent
        if "payment_method" in params:
            intent.update(payment_method=params["payment_method"], status="requires_confirmation")
        if truth(params, "confirm"):
            self.confirm(intent["id"], params)
        return intent

    def intent(self, name: str) -> Object:
        """As it is now: a charge whose time has come has succeeded."""
        found = self.intents.get(name)
        if found is None:
            raise missing("payment_intent", name, "intent")
        self.settle(name)
        return found

    def update(self, name: str, params: Params) -> Object:
        intent = self.intent(name)
        if "payment_method" in params:
            _means(params["payment_method"])
            if intent["status"] not in OPEN:
                raise unexpected(intent, "update the payment_method of")
            intent.update(payment_method=params["payment_method"], status="requires_confirmation", next_action=None)
        intent["last_payment_error"] = None
        intent["metadata"].update(params.get("metadata", {}))
        return intent

    def confirm(self, name: str, params: Params) -> Object:
        intent = self.intent(name)
        if intent["status"] not in OPEN:
            raise unexpected(intent, "confirm")
        method = params.get("payment_method", intent["payment_method"])
        if method is None:
            raise Refused(400, "invalid_request_error", "A payment method is needed", code="parameter_missing")
        means = _means(method)
        intent.update(payment_method=method, last_payment_error=None, next_action=None)
        if means.ends == "declines":
            self._decline(intent, means, means.code, means.decline_code)
        elif means.ends == "asks":
            self._ask(intent, params.get("return_url", ""))
        elif means.ends == "settles":
            intent["status"] = "processing"
            self._settles[name] = self._now() + means.settles_seconds
        else:
            self._succeed(intent, means)
        return intent

    def cancel(self, name: str) -> Object:
        intent = self.intent(name)
        if intent["status"] not in (*OPEN, "requires_capture"):
            raise unexpected(intent, "cancel")
        return self._let_go(intent)

    def _let_go(self, intent: Object) -> Object:
        if intent["status"] == "requires_capture":
            charge = self.charges[intent["latest_charge"]]
            charge.update(amount_refunded=charge["amount"], refunded=True)
        intent.update(status="canceled", next_action=None, amount_capturable=0, canceled_at=int(self._now()))
        self._tell("payment_intent.canceled", intent, 1, 0.0)
        return intent

    def capture(self, name: str) -> Object:
        intent = self.intent(name)
        if intent["status"] != "requires_capture":
            raise unexpected(intent, "capture")
        means = _means(intent["payment_method"])
        charge = self.charges[intent["latest_charge"]]
        if means.lapses:
            self._let_go(intent)
            raise Refused(400, "invalid_request_error", "The charge has expired", code="charge_expired_for_capture")
        charge.update(captured=True, amount_captured=charge["amount"])
        intent.update(status="succeeded", amount_received=intent["amount"], amount_capturable=0)
        self._tell("payment_intent.succeeded", intent, means.webhooks, means.webhook_after)
        self._tell("charge.captured", charge, min(means.webhooks, 1), means.webhook_after)
        return intent

    def _decline(self, intent: Object, means: Means, code: str, decline_code: str | None) -> None:
        error: Object = {"type": "card_error", "code": code, "message": "Your card was declined."}
        if decline_code is not None:
            error["decline_code"] = decline_code
        charge = self._charge(intent, means, "failed")
        error |= {"charge": charge["id"], "payment_method": _shown(intent["payment_method"], means)}
        intent.update(status="requires_payment_method", last_payment_error=error, latest_charge=charge["id"])
        self._tell("payment_intent.payment_failed", intent, 1, 0.0)
        raise Refused(
            402, "card_error", "Your card was declined.", code=code, decline_code=decline_code, intent=dict(intent)
        )

    def _ask(self, intent: Object, return_url: str) -> None:
        secret = secrets.token_hex(8)
        self._secrets[intent["id"]] = secret
        url = f"{self._pages}/pages/{intent['id']}/{secret}"
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": return_url}}
        intent.update(status="requires_action", next_action=action)
        self._tell("payment_intent.requires_action", intent, 1, 0.0)

    def _succeed(self, intent: Object, means: Means) -> None:
        options = intent["payment_method_options"].get(means.kind, {})
        charge = self._charge(intent, means, "succeeded")
        self._settles.pop(intent["id"], None)
        if options.get("capture_method") == "manual":
            charge.update(captured=False, amount_captured=0)
            intent.update(status="requires_capture", amount_capturable=intent["amount"], latest_charge=charge["id"])
            intent["next_action"] = None
            event = "payment_intent.amount_capturable_updated"
            self._tell(event, intent, means.webhooks, means.webhook_after)
            return
        intent.update(
            status="succeeded", amount_received=intent["amount"], next_action=None, latest_charge=charge["id"]
        )
        self._tell("payment_intent.succeeded", intent, means.webhooks, means.webhook_after)
        self._tell("charge.succeeded", charge, min(means.webhooks, 1), means.webhook_after)
        if means.disputed:
            self.dispute(charge["id"], "fraudulent")

    def _charge(self, intent: Object, means: Means, status: str) -> Object:
        charge = self._new(
            "ch",
            "charge",
            amount=intent["amount"],
            amount_captured=intent["amount"] if status == "succeeded" else 0,
            amount_refunded=0,
            currency=intent["currency"],
            captured=status == "succeeded",
            disputed=False,
            metadata=dict(intent["metadata"]),
            payment_intent=intent["id"],
            payment_method_details=_shown(intent["payment_method"], means),
            refunded=False,
            status=status,
        )
        self.charges[charge["id"]] = charge
        return charge

    def settle(self, name: str) -> None:
        if self._settles.get(name, float("inf")) <= self._now():
            self._succeed(self.intents[name], _means(self.intents[name]["payment_method"]))

    def next_settled(self) -> float | None:
        """Lets succeed whose time has come; when (seconds) the next one's does."""
        for name in list(self._settles):
            self.settle(name)
        return min(self._settles.values(), default=None)

    # the shopper's page

    def page(self, name: str, secret: str) -> Object | None:
        """The intent that a page asks about; None if it asks no longer."""
        intent = self.intents.get(name)
        if intent is None or self._secrets.get(name) != secret or intent["status"] != "requires_action":
            return None
        return intent

    def answer(self, intent: Object, approve: bool) -> str:
        """The shopper's answer; where the browser goes then."""
        back = str(intent["next_action"]["redirect_to_url"]["return_url"])
        means = _means(intent["payment_method"])
        if approve:
            self._succeed(intent, means)
            return back
        try:
            intent["next_action"] = None
            self._decline(intent, means, "payment_intent_authentication_failure", None)
        except Refused:
            pass  # there is nobody to be told but by the webhook
        return back

    # hosted pages

    def open_page(self, params: Params) -> Object:
        [line] = params["line_items"]
        price = line["price_data"]
        page = self._new(
            "cs_test",
            "checkout.session",
            amount_total=int(price["unit_amount"]) * int(line["quantity"]),
            currency=price["currency"],
            metadata=dict(params.get("metadata", {})),
            mode=params["mode"],
            payment_intent=None,
            payment_status="unpaid",
            status="open",
            success_url=params["success_url"],
        )
        page["url"] = f"{self._pages}/checkout/{page['id']}"
        page["intent_metadata"] = dict(params.get("payment_intent_data", {}).get("metadata", {}))
        page["intent_options"] = params.get("payment_method_options", {})
        self.hosted[page["id"]] = page
        return page

    def hosted_page(self, name: str) -> Object:
        if name not in self.hosted:
            raise missing("checkout.session", name, "session")
        return self.hosted[name]

    def pay_on_page(self, page: Object, method: str) -> bool:
        """Whether the shopper's means were taken; if not they may try others."""
        if page["payment_intent"] is None:
            made = {"amount": page["amount_total"], "currency": page["currency"], "metadata": page["intent_metadata"]}
            made["payment_method_options"] = page["intent_options"]
            page["payment_intent"] = self.create(made)["id"]
        try:
            self.confirm(page["payment_intent"], {"payment_method": method})
        except Refused:
            return False
        page.update(status="complete", payment_status="paid", url=None)
        self._tell("checkout.session.completed", page, 1, 0.0)
        return True

    def expire(self, name: str) -> Object:
        page = self.hosted_page(name)
        if page["status"] != "open":
            raise Refused(
                400, "invalid_request_error", "Only Checkout Sessions with a status of `open` can be expired."
            )
        page.update(status="expired", url=None)
        self._tell("checkout.session.expired", page, 1, 0.0)
        return page

    # refunds and disputes

    def refund(self, params: Params) -> Object:
        intent = self.intent(params["payment_intent"])
        if intent["status"] != "succeeded":
            raise Refused(400, "invalid_request_error", "It has no successful charge to refund.")
        charge = self.charges[intent["latest_charge"]]
        amount = int(params["amount"] if "amount" in params else charge["amount"])
        if charge["refunded"]:
            raise Refused(400, "invalid_request_error", "Already refunded", code="charge_already_refunded")
        if amount > charge["amount"] - charge["amount_refunded"]:
            raise Refused(400, "invalid_request_error", "Refund amount is greater than unrefunded amount on charge")
        refund = self._new(
            "re",
            "refund",
            amount=amount,
            charge=charge["id"],
            currency=charge["currency"],
            metadata=dict(params.get("metadata", {})),
            payment_intent=intent["id"],
            status="succeeded",
        )
        self.refunds[refund["id"]] = refund
        self._refunded(charge, amount)
        self._tell("refund.created", refund, 1, 0.0)
        if _means(intent["payment_method"]).refund_fails:
            self.fail_refund(refund["id"], "expired_or_canceled_card")
        return refund

    def fail_refund(self, name: str, reason: str) -> Object:
        """What had succeeded, or was about to, did not."""
        refund = self.refunds[name]
        refund.update(status="failed", failure_reason=reason)
        self._refunded(self.charges[refund["charge"]], -refund["amount"])
        for event in ("refund.updated", "refund.failed", "charge.refund.updated"):
            self._tell(event, refund, 1, 0.0)
        return refund

    def _refunded(self, charge: Object, amount: int) -> None:
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]

    def dispute(self, charge_id: str, reason: str) -> Object:
        charge = self.charges[charge_id]
        charge["disputed"] = True
        dispute = self._new(
            "du",
            "dispute",
            amount=charge["amount"],
            charge=charge_id,
            currency=charge["currency"],
            metadata={},
            payment_intent=charge["payment_intent"],
            reason=reason,
            status="needs_response",
        )
        self.disputes[dispute["id"]] = dispute
        self._tell("charge.dispute.created", dispute, 1, 0.0)
        return dispute

    def close_dispute(self, name: str, status: str) -> Object:
        dispute = self.disputes[name]
        dispute["status"] = status
        self._tell("charge.dispute.closed", dispute, 1, 0.0)
        return dispute


def _means(method: str) -> Means:
    if method not in METHODS:
        raise missing("PaymentMethod", method, "payment_method")
    return METHODS[method]


def _shown(method: str, means: Means) -> Object:
    shown: Object = {"id": method, "object": "payment_method", "type": means.kind}
    if means.kind == "card":
        shown["card"] = {"brand": means.brand, "last4": means.last4}
    return shown
