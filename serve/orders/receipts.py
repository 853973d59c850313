"""Receipts: as data, as text for mail, and as a page to print."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape

from actors.order import OrderView
from actors.payment import PaymentView
from actors.pricing import Totals
from serve import money
from serve.notifications.languages import LANGUAGES, Language
from serve.orders.bodies import order_lines
from serve.orders.receipt_words import WORDS
from serve.orders.schemas import Address, Contact, PaidBy, Receipt, Seller, TaxLine

_NO_RECEIPT = ("none", "placed", "reserved", "rejected")
_WIDTH = 64


def receipt_of(view: OrderView, contact: Contact | None, payment: PaymentView | None, seller: Seller) -> Receipt | None:
    """None as long as the order is not confirmed; a cancelled one has a receipt if it was paid."""
    if view.status in _NO_RECEIPT or (view.status == "cancelled" and not view.paid) or view.terms is None:
        return None
    totals = view.totals or Totals(0, 0, 0, 0)
    card = payment if payment is not None and view.method == "card" else None
    # One rate for the whole order, goods and shipping: see actors.pricing for how it is rounded.
    tax = TaxLine(view.terms.tax_rate_bp, totals.total - totals.tax, totals.tax, totals.total)
    return Receipt(
        order_id=view.id,
        placed_at=view.placed_at,
        currency=view.currency,
        lines=order_lines(view.lines),
        totals=totals,
        tax_rate_bp=view.terms.tax_rate_bp,
        prices_include_tax=view.terms.prices_include_tax,
        shipping=view.terms.shipping.label,
        payment_method=view.method,
        paid=view.paid,
        refunded=view.refunded,
        contact=contact,
        number=view.id[-12:].upper(),
        issued_at=next((step.at for step in view.history if step.step == "confirmed"), view.placed_at),
        tax_lines=[tax],
        payment=PaidBy(view.method, (card and card.brand) or None, (card and card.last4) or None),
        seller=seller,
    )


def receipt_text(receipt: Receipt, language: Language = "en") -> str:
    """The receipt as plain text, for mail and print."""
    words, row = WORDS[language], partial(_row, receipt, language)
    head = [f"{words.of_order} {receipt.order_id}", words.placed_on.format(at=_moment(receipt.placed_at)), ""]
    if receipt.contact is not None:
        head += [*address_lines(receipt.contact.address), ""]
    rows = [
        row(f"{line.quantity} x {line.name} {words.at} {_amount(line.unit_price, receipt, language)}", line.total)
        for line in receipt.lines
    ]
    included = words.of_which_tax if receipt.prices_include_tax else words.tax
    paid = paid_by(receipt.payment, language)
    sums = [
        row(words.goods, receipt.totals.subtotal),
        row(f"{words.shipping} ({receipt.shipping})", receipt.totals.shipping),
        *(row(f"{included} ({_percent(line.rate_bp)})", line.tax) for line in receipt.tax_lines),
        row(words.total, receipt.totals.total),
        row(f"{words.paid} ({paid.lower() if language == 'en' else paid})", receipt.paid),
    ]
    if receipt.refunded:
        sums.append(row(words.refunded, receipt.refunded))
    return "\n".join([*head, *rows, "-" * _WIDTH, *sums, ""])


def receipt_html(receipt: Receipt, language: Language = "en") -> str:
    """The receipt as a page that loads nothing; everything that came from outside is escaped."""
    address = () if receipt.contact is None else address_lines(receipt.contact.address)
    return _page(language).render(receipt=receipt, address=address, paid_by=paid_by(receipt.payment, language))


def paid_by(payment: PaidBy, language: Language = "en") -> str:
    """Card (visa, ending in 4242)."""
    words = WORDS[language]
    method = words.methods.get(payment.method, payment.method)
    if payment.last4 is None:
        return method
    return words.ending.format(method=method, brand=payment.brand, last4=payment.last4)


def address_lines(address: Address) -> Sequence[str]:
    lines = [address.name, address.line1, address.line2 or "", f"{address.postal_code} {address.city}", address.country]
    return [line for line in lines if line]


def _percent(rate_bp: int) -> str:
    return f"{rate_bp / 100:g} %"


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1_000, UTC):%Y-%m-%d %H:%M} UTC"


def _amount(amount: int, receipt: Receipt, language: Language) -> str:
    plain = language == "en"
    return money.plain(amount, receipt.currency) if plain else money.localised(amount, receipt.currency, language)


def _row(receipt: Receipt, language: Language, label: str, amount: int) -> str:
    shown = _amount(amount, receipt, language)
    return f"{label[: _WIDTH - len(shown) - 1]:<{_WIDTH - len(shown)}}{shown}"


@lru_cache(maxsize=len(LANGUAGES))
def _page(language: Language) -> Template:
    made = Environment(
        loader=PackageLoader("serve.orders", "templates"),
        autoescape=select_autoescape(enabled_extensions=("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["money"] = partial(money.localised, locale=language)
    made.filters["moment"] = _moment
    made.filters["percent"] = _percent
    made.globals.update(language=language, words=WORDS[language])
    return made.get_template("receipt.html")
