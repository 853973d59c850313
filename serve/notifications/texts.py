"""What is said in one line: subjects of mails, and notices. In English; `translations/` has the other languages."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipelines.send_mails import Fact
from serve.notifications.kinds import Kind
from serve.notifications.languages import Language, day, moment, money, translator
from serve.notifications.languages import to_translate as _

SUBJECTS: Mapping[Kind, str] = {
    "order_confirmation": _("Your order {number} is confirmed"),
    "receipt": _("Receipt for your order {number}"),
    "order_shipped": _("Your order {number} is on its way"),
    "order_delivered": _("Your order {number} has arrived"),
    "order_refunded": _("A refund for your order {number}"),
    "order_cancelled": _("Your order {number} was cancelled"),
    "order_rejected": _("Your order {number} could not be accepted"),
    "payment_failed": _("The payment for your order {number} did not work"),
    "address_confirmation": _("Please confirm your email address"),
    "password_reset": _("Set a new password"),
    "new_sign_in": _("A new sign-in to your account"),
    "email_changed": _("The email address of your account was changed"),
    "password_changed": _("The password of your account was changed"),
    "sign_in_added": _("A new way to sign in to your account"),
    "sign_in_removed": _("A way to sign in to your account was removed"),
}
LABELS: Mapping[Kind, str] = {
    "order_confirmation": _("Orders are confirmed"),
    "receipt": _("Receipts"),
    "order_shipped": _("Orders are on their way"),
    "order_delivered": _("Orders have arrived"),
    "order_refunded": _("Refunds"),
    "order_cancelled": _("Orders are cancelled"),
    "order_rejected": _("Orders cannot be accepted"),
    "payment_failed": _("Payments do not work"),
    "address_confirmation": _("Email addresses have to be confirmed"),
    "password_reset": _("A new password was asked for"),
    "new_sign_in": _("Sign-ins from new devices"),
    "email_changed": _("The email address was changed"),
    "password_changed": _("The password was changed"),
    "sign_in_added": _("New ways to sign in"),
    "sign_in_removed": _("Ways to sign in are removed"),
}
NOTICES: Mapping[Kind, str] = {
    "order_confirmation": _("Thank you. Your order is confirmed."),
    "receipt": _("We received {paid} on {day}."),
    "order_shipped": _("It is on its way with {carrier}. Tracking number: {tracking}"),
    "order_delivered": _("It was delivered on {day}."),
    "order_refunded": _("{amount} go back to you the way you paid; your bank may take a few days."),
    "order_cancelled": _("{reason} Whatever you had paid for it goes back to you."),
    "order_rejected": _("Not enough was left of what you ordered. Nothing was charged."),
    "payment_failed": _("{failure} Nothing was charged. You can choose another way to pay."),
    "new_sign_in": _("Somebody signed in from a device that was not used with your account before, on {moment}."),
    "email_changed": _("It was changed on {moment}."),
    "password_changed": _("It was changed on {moment}."),
    "sign_in_added": _("Since {moment} your account can be signed in to with {provider}."),
    "sign_in_removed": _("Since {moment} your account cannot be signed in to with {provider} any more."),
}
REASONS = {
    "deadline": _("The payment did not arrive in time."),
    "customer": _("You cancelled it."),
    "staff": _("We had to cancel it."),
    "payment_closed": _("The payment was called off."),
    "wrong_amount": _("The payment did not match the total."),
}
FAILURES = {
    "card_declined": _("The card was declined."),
    "insufficient_funds": _("There was not enough money in the account."),
    "expired_card": _("The card has expired."),
    "authentication_failed": _("The payment was not confirmed with your bank."),
    "redirect_declined": _("The payment was not confirmed with your bank."),
}
FAILURE = _("The payment was not accepted.")


def order_number(order_id: str) -> str:
    """What people call an order: the end of its id, which is the part that chance made."""
    return order_id[-12:].upper()


def subject(kind: Kind, order_id: str, language: Language) -> str:
    return translator(language)(SUBJECTS[kind]).format(number=order_number(order_id))


def label(kind: Kind, language: Language) -> str:
    """What a kind is called among the preferences."""
    return translator(language)(LABELS[kind])


def reason(facts: Mapping[str, Fact], language: Language) -> str:
    """Why an order was cancelled, as a sentence; empty if no reason is known."""
    found = REASONS.get(str(facts.get("reason")))
    return "" if found is None else translator(language)(found)


def failure(facts: Mapping[str, Fact], language: Language) -> str:
    """Why a payment did not work, as a sentence."""
    return translator(language)(FAILURES.get(str(facts.get("code")), FAILURE))


class Words(NamedTuple):
    """A notice as people read it."""

    title: str
    text: str


def notice(kind: Kind, order_id: str, facts: Mapping[str, Any], currency: str, language: Language) -> Words:
    """`facts` as of the event; `currency`: of its amounts."""
    said: dict[str, Any] = {
        **facts,
        "reason": reason(facts, language),
        "failure": failure(facts, language),
        "day": day(facts.get("at", 0), language),
        "moment": moment(facts.get("at", 0), language),
    }
    said.update({name: money(facts[name], currency, language) for name in ("paid", "amount") if name in facts})
    text = translator(language)(NOTICES[kind]).format(**said)
    return Words(subject(kind, order_id, language), text.strip())
