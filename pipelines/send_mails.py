"""Shoppers get mail about their orders: each mail once, whatever happens twice."""

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

from actors import order
from actors.runtime.ports import Entities
from pipelines.flow import Flow, Limits
from pipelines.log.base import Happened

NAME = "send_mails"

Template: TypeAlias = Literal[
    "order_confirmation",
    "receipt",
    "order_shipped",
    "order_refunded",
    "order_cancelled",
    "order_rejected",
    "payment_failed",
]
Facts: TypeAlias = dict[str, str | int | tuple[str, ...]]
Event: TypeAlias = (
    order.OrderConfirmed
    | order.OrderShipped
    | order.OrderDelivered
    | order.OrderRefunded
    | order.OrderCancelled
    | order.OrderRejected
    | order.PaymentChanged
)


class Mail(msgspec.Struct, frozen=True):
    """One mail: what it is about, and no name or address. `facts` are of the event: amounts in minor units."""

    event_id: str
    template: Template
    order: order.OrderView
    facts: Mapping[str, str | int | tuple[str, ...]] = {}


class Mails(Protocol):
    async def send(self, mail: Mail) -> None:
        """Once for each event and template. Raises if it was not sent, or if that isn't known: ask again."""
        ...


def due(event: Event, view: order.OrderView) -> list[tuple[Template, Facts]]:
    """Which mails an event makes, with their facts."""
    match event:
        case order.OrderConfirmed():
            receipt: list[tuple[Template, Facts]] = [("receipt", {"paid": event.paid, "at": event.at})]
            return [("order_confirmation", {"at": event.at}), *(receipt if event.paid > 0 else [])]
        case order.OrderDelivered():
            cash = view.method == order.CASH_ON_DELIVERY and view.paid > 0
            return [("receipt", {"paid": view.paid, "at": event.at})] if cash else []
        case order.OrderShipped():
            return [("order_shipped", {"carrier": event.carrier, "tracking": event.tracking})]
        case order.OrderRefunded():
            return [("order_refunded", {"amount": event.amount, "left": event.left})]
        case order.OrderCancelled():
            return [("order_cancelled", {"reason": event.reason})]
        case order.OrderRejected():
            return [("order_rejected", {"skus": event.skus})]
        case order.PaymentChanged():
            return [("payment_failed", {"code": event.code})] if event.status == "failed" else []


def send_mails(entities: Entities, mails: Mails) -> Flow:
    """Order events -> mails. A mail that cannot be sent holds up no other."""

    async def handle(happened: Happened, event: Event) -> None:
        if isinstance(event, order.PaymentChanged) and event.status != "failed":
            return
        answer = await entities.read("order", happened.entity, at_least=happened.version)
        assert isinstance(answer.reply, order.OrderView)
        for template, facts in due(event, answer.reply):
            await mails.send(Mail(happened.id, template, answer.reply, facts))

    # Enough at a time that they share commits. How many go out in a second is bounded by who sends them.
    return Flow(NAME, {"order": Event.__args__}, handle, ordered=False, limits=Limits(in_flight=16, tries=12))
