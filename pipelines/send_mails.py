"""Shoppers are told about their orders: each thing once, whatever happens twice."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, TypeVar

import msgspec

from actors import order
from actors.runtime.ports import Entities
from pipelines.flow import Flow, GivenUp, Limits
from pipelines.log.base import Happened

NAME = "send_mails"

Template: TypeAlias = Literal[
    "order_confirmation",
    "receipt",
    "order_shipped",
    "order_delivered",
    "order_refunded",
    "order_cancelled",
    "order_rejected",
    "payment_failed",
]
Fact: TypeAlias = str | int | tuple[str, ...]
Facts: TypeAlias = dict[str, Fact]
Event: TypeAlias = (
    order.OrderConfirmed
    | order.ShipmentAdded
    | order.OrderShipped
    | order.OrderDelivered
    | order.OrderRefunded
    | order.OrderCancelled
    | order.OrderRejected
    | order.PaymentChanged
    | order.OrderPaid
)


class Mail(msgspec.Struct, frozen=True):
    """One message: what it is about, and no name or address. `facts` are of the event: amounts in minor units."""

    event_id: str
    template: Template
    order: order.OrderView
    facts: Mapping[str, Fact] = {}

    @property
    def owner(self) -> str:
        """Whose order it is: user:<id> or guest:<id>."""
        return self.order.owner

    @property
    def order_id(self) -> str:
        return self.order.id


M = TypeVar("M", contravariant=True)


class Mails(Protocol[M]):
    async def send(self, mail: M) -> None:
        """Once for each event and template. Raises if it was not sent, or if that isn't known: ask again.

        Raises GivenUp if asking again is for somebody to decide.
        """
        ...

    async def give_up(self, mail: M) -> None:
        """After GivenUp, before the event becomes a dead letter: whoever has it tried again wants it sent again."""
        ...


N = TypeVar("N")


async def send_all(mails: Mails[N], due: Sequence[N]) -> None:
    """Sends each, whatever became of the others. Raises as `Mails.send`, what may pass before what will not."""
    errors = await asyncio.gather(*(mails.send(mail) for mail in due), return_exceptions=True)
    try:
        raise_foremost(errors)
    except GivenUp:
        for mail, error in zip(due, errors, strict=True):
            if isinstance(error, GivenUp):
                await mails.give_up(mail)
        raise


def raise_foremost(outcomes: Sequence[BaseException | None]) -> None:
    """Raises the first error; one that is final only if there is no other, since it ends all tries."""
    errors = [error for error in outcomes if error is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, GivenUp)):
        raise error


def due(event: Event, view: order.OrderView) -> list[tuple[Template, Facts]]:
    """Which mails an event makes, with their facts."""
    match event:
        case order.OrderConfirmed():
            receipt: list[tuple[Template, Facts]] = [("receipt", {"paid": event.paid, "at": event.at})]
            return [("order_confirmation", {"at": event.at}), *(receipt if event.paid > 0 else [])]
        case order.OrderPaid():
            return [("receipt", {"paid": event.amount, "at": event.at})] if event.stood else []
        case order.OrderDelivered():
            cash: list[tuple[Template, Facts]] = [("receipt", {"paid": view.paid, "at": event.at})]
            paid_now = view.method == order.CASH_ON_DELIVERY and view.paid > 0
            return [("order_delivered", {"at": event.at}), *(cash if paid_now else [])]
        case order.ShipmentAdded(carrier=carrier, tracking=tracking):
            return [("order_shipped", {"carrier": carrier, "tracking": tracking})]
        case order.OrderShipped(carrier=carrier, tracking=tracking, shipment_id=shipment_id):
            # Each parcel has its own news; only records from before there were several have none.
            return [] if shipment_id else [("order_shipped", {"carrier": carrier, "tracking": tracking})]
        case order.OrderRefunded():
            return [("order_refunded", {"amount": event.amount, "left": event.left})]
        case order.OrderCancelled():
            return [("order_cancelled", {"reason": event.reason})]
        case order.OrderRejected():
            return [("order_rejected", {"skus": event.skus})]
        case order.PaymentChanged():
            return [("payment_failed", {"code": event.code})] if event.status == "failed" else []


def _tells_nothing(event: Event) -> bool:
    """Without a look at the order."""
    match event:
        case order.PaymentChanged():
            return event.status != "failed"
        case order.OrderPaid():
            return not event.stood
        case _:
            return False


def send_mails(entities: Entities, mails: Mails[Mail]) -> Flow:
    """Order events -> mails and notices. One that cannot be sent holds up no other."""

    async def handle(happened: Happened, event: Event) -> None:
        if _tells_nothing(event):
            return
        answer = await entities.read("order", happened.entity, at_least=happened.version)
        assert isinstance(answer.reply, order.OrderView)
        view = answer.reply
        await send_all(mails, [Mail(happened.id, template, view, facts) for template, facts in due(event, view)])

    # Enough at a time that they share commits. How many go out in a second is bounded by who sends them.
    return Flow(NAME, {"order": Event.__args__}, handle, ordered=False, limits=Limits(in_flight=16, tries=12))
