"""Order lists show each order as it is."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeAlias

from actors import order
from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from pipelines.flow import Flow, Limits
from pipelines.gathering import Gathering, Versioned
from pipelines.log.base import Happened

NAME = "list_orders"
SECONDS = 0.25
"""How long a change may be kept back: an order on its way to *confirmed* changes several times within it."""

Event: TypeAlias = (
    order.OrderOpened
    | order.OrderPlaced
    | order.OrderConfirmed
    | order.OrderRejected
    | order.OrderCancelled
    | order.OrderPacked
    | order.OrderShipped
    | order.OrderDelivered
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

    status: order.Status
    owner: str | None = None
    placed_at: int | None = None
    total: int | None = None
    currency: str | None = None


class OrderList(Protocol):
    async def note_order(
        self,
        order_id: str,
        owner: str | None,
        placed_at: int | None,
        status: str,
        total: int | None,
        currency: str | None,
        version: int,
    ) -> None:
        """None leaves what is listed; a version lower than the one noted before changes nothing but fills gaps."""
        ...


def listed(event: Event) -> Listed:
    status = STATUS[type(event)]
    if isinstance(event, order.OrderOpened):
        return Listed(status, event.owner, event.at, event.totals.total, event.terms.currency)
    return Listed(status)


def merged(older: Listed, newer: Listed) -> Listed:
    """The newer one, with what only the older one tells."""
    filled = (old if new is None else new for old, new in zip(older[1:], newer[1:], strict=True))
    return Listed(newer.status, *filled)  # type: ignore[arg-type]


def list_orders(orders: OrderList, clock: Clock | None = None) -> Flow:
    """Order events -> the list. The version keeps the order, so events go each by itself."""

    async def write(batch: Mapping[str, Versioned[Listed]]) -> None:
        await asyncio.gather(*(note(order_id, *one) for order_id, one in batch.items()))

    async def note(order_id: str, version: int, one: Listed) -> None:
        await orders.note_order(order_id, one.owner, one.placed_at, one.status, one.total, one.currency, version)

    gathering = Gathering(write, clock or SystemClock(), SECONDS, merged)

    async def handle(happened: Happened, event: Event) -> None:
        await gathering.put(happened.entity, happened.version, listed(event))

    return Flow(NAME, {"order": Event.__args__}, handle, ordered=False, limits=Limits(in_flight=1024))
