"""What becomes of a payment with each of Stripe's test methods, and with some of our own that hurt more."""

from typing import NamedTuple


class Means(NamedTuple):
    """`ends`: succeeds, declines, asks (a page), settles (processing first), `settles_seconds` later.

    `code`, `decline_code`: of a decline. `lost`: it is done, and its answer never leaves. `holds`: seconds that the
    answer waits so that the webhook is there first. `webhooks`: copies sent. `webhook_after`: seconds until then.
    `lapses`: what was set aside no longer is when it is to be captured.
    `refund_fails`: a refund is accepted, and fails afterwards.
    """

    ends: str = "succeeds"
    kind: str = "card"
    last4: str = "4242"
    brand: str = "visa"
    code: str = "card_declined"
    decline_code: str | None = None
    settles_seconds: float = 0.0
    lost: bool = False
    holds: float = 0.0
    webhooks: int = 1
    webhook_after: float = 0.0
    refund_fails: bool = False
    disputed: bool = False
    lapses: bool = False


METHODS = {
    "pm_card_visa": Means(),
    "pm_card_mastercard": Means(brand="mastercard", last4="4444"),
    "pm_wallet": Means(),
    "pm_card_chargeDeclined": Means("declines", last4="0002", decline_code="generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": Means("declines", last4="9995", decline_code="insufficient_funds"),
    "pm_card_chargeDeclinedLostCard": Means("declines", last4="9987", decline_code="lost_card"),
    "pm_card_chargeDeclinedExpiredCard": Means("declines", last4="0069", code="expired_card"),
    "pm_card_authenticationRequired": Means("asks", last4="3220"),
    "pm_bank_redirect": Means("asks", kind="ideal"),
    "pm_card_refundFail": Means(last4="5126", refund_fails=True),
    "pm_card_createDispute": Means(last4="0259", disputed=True),
    "pm_timeout_after_charge": Means(lost=True),
    "pm_processing": Means("settles", settles_seconds=1.5),
    "pm_webhook_early": Means(holds=0.3),
    "pm_webhook_late": Means(webhook_after=3.0),
    "pm_webhook_twice": Means("settles", settles_seconds=0.3, webhooks=2),
    "pm_authorisation_lapses": Means(lapses=True),
    "pm_webhook_never": Means("settles", settles_seconds=0.3, webhooks=0),
}
"""By the names that Stripe's test mode takes as well, and ours behind them."""
