"""Which sale each returned line belongs to."""

from collections.abc import Sequence
from typing import NamedTuple

from serve.replay.invoices import Invoice, InvoiceLine


class Refund(NamedTuple):
    """Money back for one sale, in minor units, and units back in stock by stock code: what one return says of it."""

    number: str
    sale: str
    amount: int
    units: dict[str, int]


class Unmatched(NamedTuple):
    """A returned line without a sale that it could be of."""

    number: str
    line: InvoiceLine


class _Sold:
    """What of one sale could still come back."""

    def __init__(self, sale: Invoice) -> None:
        self.number = sale.number
        self.place = sale.place
        self.money = sale.total
        self.units: dict[str, int] = {}
        for line in sale.lines:
            self.units[line.code] = self.units.get(line.code, 0) + line.quantity


def match(sales: Sequence[Invoice], returns: Sequence[Invoice]) -> tuple[list[Refund], list[Unmatched]]:
    """A returned line is of the latest sale before it to the same customer that has so many units of it left.

    Such a sale must also have that much money left: prices of returns are not always those of sales.
    """
    by_customer: dict[tuple[str, str], list[_Sold]] = {}
    for sale in sales:
        if sale.customer:
            sold = _Sold(sale)
            for code in sold.units:
                by_customer.setdefault((sale.customer, code), []).append(sold)
    refunds: list[Refund] = []
    unmatched: list[Unmatched] = []
    for returned in returns:
        found: dict[str, Refund] = {}
        for line in returned.lines:
            sold_before = _latest(by_customer.get((returned.customer, line.code), []), returned.place, line)
            if sold_before is None:
                unmatched.append(Unmatched(returned.number, line))
                continue
            sold_before.units[line.code] -= line.quantity
            sold_before.money -= line.total
            number = sold_before.number
            before = found.get(number, Refund(returned.number, number, 0, {}))
            units = {**before.units, line.code: before.units.get(line.code, 0) + line.quantity}
            found[number] = Refund(returned.number, number, before.amount + line.total, units)
        refunds += found.values()
    return refunds, unmatched


def _latest(sold: list[_Sold], before: int, line: InvoiceLine) -> _Sold | None:
    for one in reversed(sold):
        if one.place < before and one.units[line.code] >= line.quantity and one.money >= line.total:
            return one
    return None
