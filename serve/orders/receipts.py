"""Receipts: as data, as text for mail, and as a page to print."""

from collections.abc import Sequence
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from actors.order import OrderView
from actors.payment import PaymentView
from actors.pricing import Totals
from serve import money
from serve.orders.bodies import order_lines
from serve.orders.schemas import Address, Contact, PaidBy, Receipt, Seller, TaxLine

_NO_RECEIPT = ("none", "placed", "reserved", "rejected")
_WIDTH = 64
_METHODS = {"card": "Card", "bank_redirect": "Bank", "wallet": "Wallet", "cash_on_delivery": "Cash on delivery"}


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


def receipt_text(receipt: Receipt) -> str:
    """The receipt as plain text, for mail and print."""
    head = [f"Receipt for order {receipt.order_id}", f"Placed on {_moment(receipt.placed_at)}", ""]
    if receipt.contact is not None:
        head += [*address_lines(receipt.contact.address), ""]
    rows = [
        _row(f"{line.quantity} x {line.name} at {money.plain(line.unit_price, receipt.currency)}", line.total, receipt)
        for line in receipt.lines
    ]
    included = "of which tax" if receipt.prices_include_tax else "Tax"
    sums = [
        _row("Goods", receipt.totals.subtotal, receipt),
        _row(f"Shipping ({receipt.shipping})", receipt.totals.shipping, receipt),
        *(_row(f"{included} ({_percent(line.rate_bp)})", line.tax, receipt) for line in receipt.tax_lines),
        _row("Total", receipt.totals.total, receipt),
        _row(f"Paid ({paid_by(receipt.payment).lower()})", receipt.paid, receipt),
    ]
    if receipt.refunded:
        sums.append(_row("Refunded", receipt.refunded, receipt))
    return "\n".join([*head, *rows, "-" * _WIDTH, *sums, ""])


def receipt_html(receipt: Receipt) -> str:
    """The receipt as a page that loads nothing; everything that came from outside is escaped."""
    address = () if receipt.contact is None else address_lines(receipt.contact.address)
    return _page.render(receipt=receipt, address=address, paid_by=paid_by(receipt.payment))


def paid_by(payment: PaidBy) -> str:
    """Card (visa, ending in 4242)."""
    method = _METHODS.get(payment.method, payment.method)
    return method if payment.last4 is None else f"{method} ({payment.brand}, ending in {payment.last4})"


def address_lines(address: Address) -> Sequence[str]:
    lines = [address.name, address.line1, address.line2 or "", f"{address.postal_code} {address.city}", address.country]
    return [line for line in lines if line]


def _percent(rate_bp: int) -> str:
    return f"{rate_bp / 100:g} %"


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1_000, UTC):%Y-%m-%d %H:%M} UTC"


def _row(label: str, amount: int, receipt: Receipt) -> str:
    shown = money.plain(amount, receipt.currency)
    return f"{label[: _WIDTH - len(shown) - 1]:<{_WIDTH - len(shown)}}{shown}"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("serve.orders", "templates"),
        autoescape=select_autoescape(enabled_extensions=("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["money"] = money.localised
    made.filters["moment"] = _moment
    made.filters["percent"] = _percent
    return made


_page = _environment().get_template("receipt.html")
