"""What the test gateway does for each reference: the outcomes of Stripe's test methods, and some that hurt more."""

from dataclasses import dataclass
from typing import Literal

from serve.payments.gateway.base import MethodDetails

Result = Literal["succeed", "decline", "act", "settle"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How an attempt with a reference goes.

    `settle`: the answer is *processing*, and the charge succeeds `settles_ms` later.
    `lost`: it is carried out, and the first caller never hears of it.
    `hold_ms`: the answer stays on its way that long, so that a webhook can overtake it.
    `refund_code`: why the first refund is refused; later ones work.
    `lapses`: what was set aside no longer is when it is to be captured.
    `webhooks`: copies sent of the event that tells the end, `webhook_after_ms` after that end.
    """

    result: Result
    code: str | None = None
    action: str | None = None
    abandoned: bool = False
    settles_ms: int = 0
    lost: bool = False
    hold_ms: int = 0
    webhooks: int = 0
    webhook_after_ms: int = 0
    refund_code: str | None = None
    lapses: bool = False


VISA = MethodDetails("visa", "4242")
CARDS: dict[str, MethodDetails] = {
    "pm_card_mastercard": MethodDetails("mastercard", "4444"),
    "pm_card_chargeDeclined": MethodDetails("visa", "0002"),
    "pm_card_chargeDeclinedInsufficientFunds": MethodDetails("visa", "9995"),
    "pm_card_chargeDeclinedExpiredCard": MethodDetails("visa", "0069"),
    "pm_card_authenticationRequired": MethodDetails("visa", "3220"),
    "pm_card_refundFail": MethodDetails("visa", "5126"),
}
"""The last digits of Stripe's test cards; every other reference to a card is Visa's 4242."""


BEHAVIOURS: dict[str, Behaviour] = {
    "pm_card_visa": Behaviour("succeed"),
    "pm_card_mastercard": Behaviour("succeed"),
    "pm_wallet": Behaviour("succeed"),
    "pm_card_chargeDeclined": Behaviour("decline", code="card_declined"),
    "pm_card_chargeDeclinedInsufficientFunds": Behaviour("decline", code="insufficient_funds"),
    "pm_card_chargeDeclinedExpiredCard": Behaviour("decline", code="expired_card"),
    "pm_card_authenticationRequired": Behaviour("act", action="three_d_secure", webhooks=1),
    "pm_bank_redirect": Behaviour("act", action="bank_redirect", webhooks=1),
    "pm_bank_redirect_abandoned": Behaviour("act", action="bank_redirect", abandoned=True),
    "pm_card_refundFail": Behaviour("succeed", refund_code="expired_or_canceled_card"),
    "pm_timeout_after_charge": Behaviour("succeed", lost=True),
    "pm_processing": Behaviour("settle", settles_ms=1_500, webhooks=1),
    "pm_webhook_early": Behaviour("succeed", hold_ms=300, webhooks=1),
    "pm_webhook_late": Behaviour("succeed", webhooks=1, webhook_after_ms=3_000),
    "pm_webhook_twice": Behaviour("settle", settles_ms=300, webhooks=2),
    "pm_authorisation_lapses": Behaviour("succeed", lapses=True),
    "pm_webhook_never": Behaviour("settle", settles_ms=300),
}

SET_ASIDE = ("card", "wallet")
"""Methods whose money can wait to be captured."""

DEFAULT_REFERENCES = {"wallet": "pm_wallet", "bank_redirect": "pm_bank_redirect"}

DECLINED_BY_SHOPPER = {"three_d_secure": "authentication_failed", "bank_redirect": "redirect_declined"}


def behaviour(method: str, reference: str | None) -> Behaviour:
    """What happens with this reference. A card without one, or an unknown one, is declined: nothing is charged."""
    name = reference or DEFAULT_REFERENCES.get(method)
    if name is None:
        return Behaviour("decline", code="payment_method_missing")
    return BEHAVIOURS.get(name, Behaviour("decline", code="payment_method_unknown"))


def card(method: str, reference: str | None) -> MethodDetails | None:
    """What the card behind a reference looks like; None for other ways to pay, and for a card that is not known."""
    if method != "card" or reference not in BEHAVIOURS or reference in DEFAULT_REFERENCES.values():
        return None
    return CARDS.get(reference, VISA)
