"""Holds what the shop made of each invoice against the invoice, to the penny."""

from collections import Counter
from typing import NamedTuple

from serve.replay.invoices import Invoice

CURRENCY = "GBP"


class Order(NamedTuple):
    """What the shop says of an order. Money in minor units."""

    id: str
    status: str
    total: int
    currency: str
    units: int
    placed_at: int
    refunded: int = 0


class Refused(NamedTuple):
    """`why`: the problem's code and text, or that there was no answer."""

    why: str

    @property
    def code(self) -> str:
        return self.why.partition(":")[0]


class Difference(NamedTuple):
    number: str
    order_id: str
    what: str


class Comparison:
    """Everything that came of a replay. `clean`: each sale became an order over exactly its invoice's total."""

    def __init__(self) -> None:
        self.equal = 0
        self.before = 0
        self.different: list[Difference] = []
        self.refused: Counter[str] = Counter()
        self.refused_because: list[tuple[str, str]] = []
        self.refunds = 0
        self.orders: dict[str, Order] = {}

    @property
    def replayed(self) -> int:
        """Sales that became orders."""
        return len(self.orders)

    @property
    def clean(self) -> bool:
        return not self.different and not self.refused

    def take_order(self, invoice: Invoice, outcome: Order | Refused, began: int) -> None:
        """`began`: when this replay did (UTC, milliseconds); an order older than that was made by an earlier one."""
        if isinstance(outcome, Refused):
            self.refuse(invoice.number, outcome)
            return
        self.orders[invoice.number] = outcome
        self.before += outcome.placed_at < began
        wrong = differences(invoice, outcome)
        self.equal += not wrong
        self.different += [Difference(invoice.number, outcome.id, what) for what in wrong]

    def compare_refunds(self, number: str, order: Order, expected: int) -> None:
        """`expected`: all that went back for this order, in minor units."""
        if order.refunded != expected:
            what = f"has {pounds(order.refunded)} refunded, not {pounds(expected)}"
            self.different.append(Difference(number, order.id, what))

    def refuse(self, number: str, refused: Refused) -> None:
        self.refused[refused.code] += 1
        self.refused_because.append((number, refused.why))


def differences(invoice: Invoice, order: Order) -> list[str]:
    """In what the order differs from its invoice."""
    found: list[str] = []
    if order.status not in ("confirmed", "packed", "shipped", "delivered"):
        found.append(f"is {order.status}, not confirmed")
    if order.currency != CURRENCY:
        found.append(f"is in {order.currency}, not {CURRENCY}")
    if order.total != invoice.total:
        found.append(f"comes to {pounds(order.total)}, not {pounds(invoice.total)}")
    if order.units != invoice.units:
        found.append(f"has {order.units} units, not {invoice.units}")
    return found


def pounds(amount: int) -> str:
    """Minor units as people write them: 1234 is 12.34."""
    sign, size = "-" if amount < 0 else "", abs(amount)
    return f"{sign}{size // 100:,}.{size % 100:02}"
