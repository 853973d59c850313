"""Order lists show each order as it is."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from actors import order
from pipelines.projection import Projection, Versioned

NAME = "list_orders"

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
)

STATUS: dict[type, order.Status] = {
    order.OrderOpened: "placed",
    order.OrderPlaced: "reserved",
    order.OrderConfirmed: "confirmed",
    order.OrderRejected: "rejected",
    order.OrderCancelled: "cancelled",
    order.OrderPacked: "packed",
    order.OrderShipped: "shipped",
    order.OrderDelivered: "delivered",
}


class Listed(NamedTuple):
    """What an event tells of an order; None where it does not."""

    status: str
    owner: str | None = None
    placed_at: int | None = None
    total: int | None = None
    currency: str | None = None


class OrderNote(NamedTuple):
    """What the list is told of an order; None leaves what is listed."""

    order_id: str
    owner: str | None
    placed_at: int | None
    status: str
    total: int | None
    currency: str | None
    version: int


class OrderList(Protocol):
    async def note_orders(self, notes: Sequence[OrderNote]) -> None:
        """A version not above the one noted before changes nothing but fills gaps."""
        ...


def listed(event: Event) -> Listed:
    if isinstance(event, order.OrderAdopted):
        return Listed(event.status, event.owner)
    status = STATUS[type(event)]
    if isinstance(event, order.OrderOpened):
        return Listed(status, event.owner, event.at, event.totals.total, event.terms.currency)
    return Listed(status)


def merged(older: Listed, newer: Listed) -> Listed:
    """The newer one, with what only the older one tells."""
    filled = (old if new is None else new for old, new in zip(older[1:], newer[1:], strict=True))
    return Listed(newer.status, *filled)  # type: ignore[arg-type]


def list_orders(orders: OrderList) -> Projection[Listed]:
    """Order events -> the list."""

    async def write(batch: Mapping[str, Versioned[Listed]]) -> None:
        await orders.note_orders([_note(order_id, *one) for order_id, one in batch.items()])

    return Projection(NAME, {"order": Event.__args__}, listed, write, merged)


def _note(order_id: str, version: int, one: Listed) -> OrderNote:
    return OrderNote(order_id, one.owner, one.placed_at, one.status, one.total, one.currency, version)
