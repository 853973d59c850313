"""What stands on receipts, in each language that people are written to in."""

from collections.abc import Mapping
from typing import NamedTuple

from serve.notifications.languages import Language


class Words(NamedTuple):
    """`placed`, `placed_on`, `ending`: with places for what is filled in."""

    receipt: str
    of_order: str
    issued: str
    order: str
    placed: str
    placed_on: str
    tax_number: str
    delivered_to: str
    item: str
    quantity: str
    price: str
    at: str
    goods: str
    shipping: str
    tax: str
    of_which_tax: str
    total: str
    paid: str
    refunded: str
    tax_rate: str
    net: str
    gross: str
    ending: str
    methods: Mapping[str, str]


WORDS: Mapping[Language, Words] = {
    "en": Words(
        receipt="Receipt",
        of_order="Receipt for order",
        issued="Issued",
        order="Order",
        placed="placed {at}",
        placed_on="Placed on {at}",
        tax_number="Tax number",
        delivered_to="Delivered to",
        item="Item",
        quantity="Quantity",
        price="Price",
        at="at",
        goods="Goods",
        shipping="Shipping",
        tax="Tax",
        of_which_tax="of which tax",
        total="Total",
        paid="Paid",
        refunded="Refunded",
        tax_rate="Tax rate",
        net="Net",
        gross="Gross",
        ending="{method} ({brand}, ending in {last4})",
        methods={"card": "Card", "bank_redirect": "Bank", "wallet": "Wallet", "cash_on_delivery": "Cash on delivery"},
    ),
    "de": Words(
        receipt="Beleg",
        of_order="Beleg für die Bestellung",
        issued="Ausgestellt",
        order="Bestellung",
        placed="aufgegeben {at}",
        placed_on="Aufgegeben am {at}",
        tax_number="Steuernummer",
        delivered_to="Geliefert an",
        item="Artikel",
        quantity="Menge",
        price="Preis",
        at="zu",
        goods="Waren",
        shipping="Versand",
        tax="Steuer",
        of_which_tax="davon Steuer",
        total="Summe",
        paid="Bezahlt",
        refunded="Erstattet",
        tax_rate="Steuersatz",
        net="Netto",
        gross="Brutto",
        ending="{method} ({brand}, endet auf {last4})",
        methods={"card": "Karte", "bank_redirect": "Bank", "wallet": "Wallet", "cash_on_delivery": "Nachnahme"},
    ),
}
