"""A customer's confirmed orders are counted, and stand on the activity page."""

from typing import TypeAlias

from actors import order
from pipelines.flow import Flow
from pipelines.join_guest_orders import GUEST, USER, Joining
from pipelines.log.base import Happened
from pipelines.show_activity import ORDER_CONFIRMED, KeepsActivity, Note

NAME = "count_orders"
STANDS = frozenset({"confirmed", "packed", "shipped", "delivered"})

Event: TypeAlias = order.OrderConfirmed | order.OrderAdopted


def count_orders(activity: KeepsActivity, joining: Joining) -> Flow:
    """OrderConfirmed -> counted; a guest's first joins the account whose confirmed address it has, if there is one.

    OrderAdopted -> its contact is the account's; counted, if the order stands already.
    """

    async def handle(happened: Happened, event: Event) -> None:
        if isinstance(event, order.OrderAdopted) and event.contact_id:
            await joining.adopted(event.contact_id, event.owner)
        if event.owner.startswith(USER):
            if isinstance(event, order.OrderConfirmed) or event.status in STANDS:
                await activity.note(_note(happened.entity, event.owner, event.at))
        elif event.owner.startswith(GUEST) and isinstance(event, order.OrderConfirmed):
            await joining.one(happened.entity, event.contact_id)

    return Flow(NAME, {"order": Event.__args__}, handle, ordered=False)


def _note(order_id: str, owner: str, at: int) -> Note:
    # One an order, whichever event told of it first.
    return Note(f"order/{order_id}", owner.removeprefix(USER), at, ORDER_CONFIRMED, {"order": order_id})
