"""Orders as readers get them: bodies, and receipts as text."""

from datetime import UTC, datetime

from msgspec import UNSET, UnsetType

from actors.order import OrderView
from actors.pricing import Line, Terms, Totals
from serve.orders.schemas import Address, Contact, OrderBody, OrderLine, Receipt, RefundBody

_NO_RECEIPT = ("none", "placed", "reserved", "rejected")
_WITHOUT_CENTS = frozenset({"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF"})
_WIDTH = 64


def order_body(
    view: OrderView,
    version: int,
    *,
    owner: str | UnsetType = UNSET,
    contact: Contact | UnsetType | None = UNSET,
) -> OrderBody:
    return OrderBody(
        id=view.id,
        version=version,
        status=view.status,
        payment_status=view.payment_status,
        closing=view.closing,
        currency=view.currency,
        lines=_lines(view.lines),
        totals=view.totals or Totals(0, 0, 0, 0),
        shipping_method=view.terms.shipping.method if view.terms is not None else "",
        payment_method=view.method,
        next_action=view.next_action,
        payment_failure=view.failure or None,
        placed_at=view.placed_at,
        deadline_at=view.deadline_at,
        history=list(view.history),
        shipments=list(view.shipments),
        refunds=[RefundBody(refund.id, refund.amount, refund.status) for refund in view.refunds],
        out_of_stock=list(view.out_of_stock),
        owner=owner,
        contact=contact,
    )


def pending_body(order_id: str, terms: Terms) -> OrderBody:
    """An order that is on its way from the cart."""
    return order_body(OrderView(order_id, "placed", "none", terms=terms, currency=terms.currency), 0)


def receipt_of(view: OrderView, contact: Contact | None) -> Receipt | None:
    """None as long as the order is not confirmed; a cancelled one has a receipt if it was paid."""
    if view.status in _NO_RECEIPT or (view.status == "cancelled" and not view.paid) or view.terms is None:
        return None
    return Receipt(
        order_id=view.id,
        placed_at=view.placed_at,
        currency=view.currency,
        lines=_lines(view.lines),
        totals=view.totals or Totals(0, 0, 0, 0),
        tax_rate_bp=view.terms.tax_rate_bp,
        prices_include_tax=view.terms.prices_include_tax,
        shipping=view.terms.shipping.label,
        payment_method=view.method,
        paid=view.paid,
        refunded=view.refunded,
        contact=contact,
    )


def receipt_text(receipt: Receipt) -> str:
    """The receipt as plain text, for mail and print."""
    placed = datetime.fromtimestamp(receipt.placed_at / 1_000, UTC)
    head = [f"Receipt for order {receipt.order_id}", f"Placed on {placed:%Y-%m-%d %H:%M} UTC", ""]
    if receipt.contact is not None:
        head += [*_address(receipt.contact.address), ""]
    rows = [
        _row(f"{line.quantity} x {line.name} at {_plain(line.unit_price, receipt)}", line.total, receipt)
        for line in receipt.lines
    ]
    included = "of which tax" if receipt.prices_include_tax else "Tax"
    sums = [
        _row("Goods", receipt.totals.subtotal, receipt),
        _row(f"Shipping ({receipt.shipping})", receipt.totals.shipping, receipt),
        _row(f"{included} ({receipt.tax_rate_bp / 100:g} %)", receipt.totals.tax, receipt),
        _row("Total", receipt.totals.total, receipt),
        _row(f"Paid ({receipt.payment_method.replace('_', ' ')})", receipt.paid, receipt),
    ]
    if receipt.refunded:
        sums.append(_row("Refunded", receipt.refunded, receipt))
    return "\n".join([*head, *rows, "-" * _WIDTH, *sums, ""])


def money(amount: int, currency: str) -> str:
    """12.34 EUR; 1234 JPY."""
    if currency in _WITHOUT_CENTS:
        return f"{amount} {currency}"
    return f"{amount // 100}.{amount % 100:02d} {currency}"


def _plain(amount: int, receipt: Receipt) -> str:
    return money(amount, receipt.currency)


def _row(label: str, amount: int, receipt: Receipt) -> str:
    shown = _plain(amount, receipt)
    return f"{label[: _WIDTH - len(shown) - 1]:<{_WIDTH - len(shown)}}{shown}"


def _address(address: Address) -> list[str]:
    lines = [address.name, address.line1, address.line2 or "", f"{address.postal_code} {address.city}", address.country]
    return [line for line in lines if line]


def _lines(lines: tuple[Line, ...]) -> list[OrderLine]:
    return [OrderLine(line.sku, line.name, line.quantity, line.unit_price, line.total) for line in lines]
