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
        if (note := counted(happened, event)) is not None:
            await activity.note(note)
        elif event.owner.startswith(GUEST) and isinstance(event, order.OrderConfirmed):
            await joining.one(happened.entity, event.contact_id)

    return Flow(NAME, {"order": Event.__args__}, handle, ordered=False)


def counted(happened: Happened, event: Event) -> Note | None:
    """What an event adds to a customer's count: one an order, whichever event told of it first."""
    if not event.owner.startswith(USER):
        return None
    if isinstance(event, order.OrderAdopted) and event.status not in STANDS:
        return None
    owner = event.owner.removeprefix(USER)
    return Note(f"order/{happened.entity}", owner, event.at, ORDER_CONFIRMED, {"order": happened.entity})
