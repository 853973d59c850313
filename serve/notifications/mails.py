"""Turns a mail's facts into a message: text and HTML, from templates that escape what they are given."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from pipelines.send_mails import Mail, Template
from serve.notifications.mailer import Outgoing
from serve.notifications.mime import checked_address, mailbox, two_forms

SUBJECTS: Mapping[Template, str] = {
    "order_confirmation": "Your order {number} is confirmed",
    "receipt": "Receipt for your order {number}",
    "order_shipped": "Your order {number} is on its way",
    "order_refunded": "A refund for your order {number}",
    "order_cancelled": "Your order {number} was cancelled",
    "order_rejected": "Your order {number} could not be accepted",
    "payment_failed": "The payment for your order {number} did not work",
}
REASONS = {
    "deadline": "The payment did not arrive in time.",
    "customer": "You cancelled it.",
    "staff": "We had to cancel it.",
    "payment_closed": "The payment was called off.",
    "wrong_amount": "The payment did not match the total.",
}
FAILURES = {
    "card_declined": "The card was declined.",
    "insufficient_funds": "There was not enough money in the account.",
    "expired_card": "The card has expired.",
    "authentication_failed": "The payment was not confirmed with your bank.",
    "redirect_declined": "The payment was not confirmed with your bank.",
}
MINOR_UNITS = {"JPY": 0, "KRW": 0, "BHD": 3, "KWD": 3}


class Sender(NamedTuple):
    """Who mails come from. `shop_url`: the shop's own address, for links."""

    name: str
    email: str
    shop_url: str

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]


def money(amount: int, currency: str) -> str:
    """1999, "EUR" -> "19.99 EUR"."""
    digits = MINOR_UNITS.get(currency, 2)
    sign, size = ("-" if amount < 0 else ""), abs(amount)
    whole, rest = divmod(size, 10**digits)
    return f"{sign}{whole}.{rest:0{digits}d} {currency}" if digits else f"{sign}{whole} {currency}"


def day(at: int) -> str:
    """UTC milliseconds -> "3 March 2026"."""
    when = datetime.fromtimestamp(at / 1000, UTC)
    return f"{when.day} {when:%B %Y}"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("serve.notifications", "templates"),
        autoescape=select_autoescape(enabled_extensions=("html",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,  # else it looks at the files of a template and its parts each time
    )
    made.filters["money"] = money
    made.filters["day"] = day
    return made


_templates = _environment()


@lru_cache(maxsize=8)
def _from(sender: Sender) -> str:
    return mailbox(sender.name, checked_address(sender.email))


def compose(
    mail: Mail, email: str, name: str, address: Sequence[str], message_id: str, sender: Sender, now: int
) -> Outgoing:
    """The mail, ready to send at `now` (UTC, milliseconds). Raises ValueError for an unusable address."""
    order = mail.order
    to = checked_address(email)
    number = order.id[-12:].upper()
    values: dict[str, Any] = {
        "order": order,
        "currency": order.currency,
        "name": name,
        "address": address,
        "shop": sender.name,
        "order_url": f"{sender.shop_url.rstrip('/')}/orders/{order.id}",
        "number": number,
        **mail.facts,
        "reason": REASONS.get(str(mail.facts.get("reason")), ""),
        "failure": FAILURES.get(str(mail.facts.get("code")), "The payment was not accepted."),
    }
    headers = (
        ("Date", format_datetime(datetime.fromtimestamp(now / 1000, UTC))),
        ("From", _from(sender)),
        ("To", mailbox(name, to)),
        ("Subject", SUBJECTS[mail.template].format(number=number)),
        ("Message-ID", message_id),
        ("Auto-Submitted", "auto-generated"),
    )
    plain, html = (_templates.get_template(f"{mail.template}.{form}").render(values) for form in ("txt", "html"))
    return Outgoing(message_id, to, two_forms(headers, plain, html))
