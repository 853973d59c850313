"""Order lists show each order as it is."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from actors import order
from pipelines.projection import Projection, Versioned

NAME = "list_orders_2"
"""With a number: when a row has to tell more than before, the list is made again from the log under a new name."""

Event: TypeAlias = (
    order.OrderOpened
    | order.OrderPlaced
    | order.OrderConfirmed
    | order.OrderRejected
    | order.OrderCancelled
    | order.OrderPacked
    | order.OrderShipped
    | order.OrderDelivered
    | order.OrderAdopted
    | order.ShipmentAdded
    | order.PaymentChanged
    | order.MethodChosen
    | order.OrderPaid
    | order.OrderRefunded
    | order.OrderRefundFailed
)

STATUS: dict[type, order.Status | None] = {
    order.OrderOpened: "placed",
    order.OrderPlaced: "reserved",
    order.OrderConfirmed: "confirmed",
    order.OrderRejected: "rejected",
    order.OrderCancelled: "cancelled",
    order.OrderPacked: "packed",
    order.OrderShipped: "shipped",
    order.OrderDelivered: "delivered",
    # These leave it as it is.
    order.ShipmentAdded: None,
    order.PaymentChanged: None,
    order.MethodChosen: None,
    order.OrderPaid: None,
    order.OrderRefunded: None,
    order.OrderRefundFailed: None,
}


class Parcel(NamedTuple):
    """How a carrier finds a shipment of an order. `carrier`: as it stands in addresses, see `slug`."""

    carrier: str
    tracking: str
    shipment_id: str


class Listed(NamedTuple):
    """What an event tells of an order; None where it does not."""

    status: order.Status | None
    owner: str | None = None
    placed_at: int | None = None
    total: int | None = None
    currency: str | None = None
    payment_status: order.PaymentStatus | None = None
    skus: tuple[str, ...] | None = None
    parcels: tuple[Parcel, ...] = ()


class OrderNote(NamedTuple):
    """What the list is told of an order; None leaves what is listed, but that a cancelled one has no payment open."""

    order_id: str
    owner: str | None
    placed_at: int | None
    status: str | None
    total: int | None
    currency: str | None
    version: int
    payment_status: str | None = None
    skus: tuple[str, ...] | None = None
    parcels: tuple[Parcel, ...] = ()


def slug(carrier: str) -> str:
    """Royal Mail -> royal-mail."""
    return "-".join(re.findall(r"[a-z0-9]+", carrier.lower()))[:64]


class OrderList(Protocol):
    async def note_orders(self, notes: Sequence[OrderNote]) -> None:
        """A version not above the one noted before changes nothing but fills gaps."""
        ...


def listed(event: Event) -> Listed:
    if isinstance(event, order.OrderAdopted):
        return Listed(None, event.owner)
    status = STATUS[type(event)]
    match event:
        case order.OrderOpened():
            skus = tuple(dict.fromkeys(line.sku for line in event.lines))
            return Listed(status, event.owner, event.at, event.totals.total, event.terms.currency, "none", skus)
        case order.ShipmentAdded(shipment_id, carrier, tracking):
            return Listed(status, parcels=(Parcel(slug(carrier), tracking, shipment_id),))
        case order.OrderShipped(carrier, tracking, shipment_id=""):
            return Listed(status, parcels=(Parcel(slug(carrier), tracking, "1"),))
        case _:
            return Listed(status, payment_status=_payment_status(event))


def _payment_status(event: Event) -> order.PaymentStatus | None:
    match event:
        case order.OrderPlaced():
            if event.awaits_payment:
                return "pending"
            return "cash_due" if event.amount else "none"
        case order.PaymentChanged(status):
            return status
        case order.MethodChosen():
            return "pending"
        case order.OrderPaid():
            return "paid"
        case order.OrderRefunded(left=left):
            return "refunded" if left <= 0 else "partially_refunded"
        case order.OrderRefundFailed(payment_status=after):
            return after
        case _:
            return None


def merged(older: Listed, newer: Listed) -> Listed:
    """The newer one, with what only the older one tells."""
    filled = (old if new is None else new for old, new in zip(older[:-1], newer[:-1], strict=True))
    return Listed(*filled)._replace(parcels=older.parcels + newer.parcels)  # type: ignore[arg-type]


def list_orders(orders: OrderList) -> Projection[Listed]:
    """Order events -> the list."""

    async def write(batch: Mapping[str, Versioned[Listed]]) -> None:
        await orders.note_orders([_note(order_id, *one) for order_id, one in batch.items()])

    return Projection(NAME, {"order": Event.__args__}, listed, write, merged)


def _note(order_id: str, version: int, one: Listed) -> OrderNote:
    return OrderNote(
        order_id,
        one.owner,
        one.placed_at,
        one.status,
        one.total,
        one.currency,
        version,
        _settled_payment(one),
        one.skus,
        one.parcels,
    )


def _settled_payment(one: Listed) -> str | None:
    """Whatever was open ends with the order; the list cannot tell that of an order it is told of for the first time."""
    paid = one.payment_status in ("paid", "refunded", "partially_refunded", None)
    return "none" if one.status == "cancelled" and not paid else one.payment_status
