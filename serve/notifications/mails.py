"""Turns a mail's facts into a message: text and HTML, from templates that escape what they are given."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from pipelines.send_mails import Mail, Template

SUBJECTS: Mapping[Template, str] = {
    "order_confirmation": "Your order {number} is confirmed",
    "receipt": "Receipt for your order {number}",
    "order_shipped": "Your order {number} is on its way",
    "order_refunded": "A refund for your order {number}",
    "order_cancelled": "Your order {number} was cancelled",
    "payment_failed": "The payment for your order {number} did not work",
}
REASONS = {
    "deadline": "The payment did not arrive in time.",
    "customer": "You cancelled it.",
    "staff": "We had to cancel it.",
    "payment_closed": "The payment was called off.",
    "wrong_amount": "The payment did not match the total.",
    "out_of_stock": "Something in it had just been sold to somebody else.",
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
    )
    made.filters["money"] = money
    made.filters["day"] = day
    return made


_templates = _environment()


def compose(mail: Mail, email: str, name: str, address: Sequence[str], message_id: str, sender: Sender) -> EmailMessage:
    """The message, ready to send. Raises ValueError or MessageError for an unusable address."""
    order = mail.order
    values: dict[str, Any] = {
        "order": order,
        "currency": order.currency,
        "name": name,
        "address": address,
        "shop": sender.name,
        "order_url": f"{sender.shop_url.rstrip('/')}/orders/{order.id}",
        "number": order.id[-12:].upper(),
        **mail.facts,
        "reason": REASONS.get(str(mail.facts.get("reason")), ""),
        "failure": FAILURES.get(str(mail.facts.get("code")), "The payment was not accepted."),
    }
    message = EmailMessage()
    message["From"] = Address(_one_line(sender.name), addr_spec=sender.email)
    message["To"] = Address(_one_line(name), addr_spec=email)
    message["Subject"] = SUBJECTS[mail.template].format(number=values["number"])
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_templates.get_template(f"{mail.template}.txt").render(values))
    message.add_alternative(_templates.get_template(f"{mail.template}.html").render(values), subtype="html")
    return message


def _one_line(text: str) -> str:
    return " ".join(text.split())
