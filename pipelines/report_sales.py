"""What was sold: each order that came to stand, with its units and sums, for the staff's reports.

A sale is an order from its confirmation on; one that was cancelled after it stands no longer, and is counted as such.
Amounts are minor units of the order's currency, times UTC milliseconds.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from actors import order
from actors.pricing import Line, Totals
from pipelines.projection import Projection, Versioned

NAME = "report_sales"

Event: TypeAlias = (
    order.OrderOpened | order.OrderConfirmed | order.OrderCancelled | order.OrderRefunded | order.OrderRefundFailed
)


class SoldLine(NamedTuple):
    """All of one SKU in an order. `amount`: at the prices charged, as the lines of the order come to."""

    sku: str
    name: str
    units: int
    amount: int


class Sold(NamedTuple):
    """What an event tells of a sale; None where it does not. `left`: what is paid and not refunded."""

    currency: str | None = None
    totals: Totals | None = None
    lines: tuple[SoldLine, ...] | None = None
    sold_at: int | None = None
    cancelled_at: int | None = None
    left: int | None = None


class Sale(NamedTuple):
    order_id: str
    version: int
    told: Sold


class KeepsSales(Protocol):
    async def note_sales(self, sales: Sequence[Sale]) -> None:
        """A version not above the one noted before changes nothing but fills gaps."""
        ...


def told(event: Event) -> Sold:
    match event:
        case order.OrderOpened():
            return Sold(event.terms.currency, event.totals, lines_of(event.lines))
        case order.OrderConfirmed(at=at):
            return Sold(sold_at=at)
        case order.OrderCancelled(at=at):
            return Sold(cancelled_at=at)
        case order.OrderRefunded(left=left):
            return Sold(left=left)
        case order.OrderRefundFailed(left=left):
            return Sold(left=left)


def lines_of(lines: Sequence[Line]) -> tuple[SoldLine, ...]:
    """By SKU; an order may have several lines of one, at several prices."""
    found: dict[str, SoldLine] = {}
    for line in lines:
        before = found.get(line.sku, SoldLine(line.sku, line.name, 0, 0))
        found[line.sku] = before._replace(units=before.units + line.quantity, amount=before.amount + line.total)
    return tuple(found.values())


def merged(older: Sold, newer: Sold) -> Sold:
    """The newer one, with what only the older one tells."""
    return Sold(*(old if new is None else new for old, new in zip(older, newer, strict=True)))  # type: ignore[arg-type]


def report_sales(sales: KeepsSales) -> Projection[Sold]:
    """Order events -> sales."""

    async def write(batch: Mapping[str, Versioned[Sold]]) -> None:
        await sales.note_sales([Sale(order_id, *one) for order_id, one in batch.items()])

    return Projection(NAME, {"order": Event.__args__}, told, write, merged)
