"""What a payment session learned reaches its order."""

from typing import TypeAlias

from actors import order, payment
from actors.decision import Message
from actors.runtime.ports import Entities
from pipelines.flow import Flow, accepted, command_id
from pipelines.log.base import Happened

NAME = "settle_orders"

Event: TypeAlias = (
    payment.PaymentActionRequired
    | payment.PaymentProcessing
    | payment.PaymentAuthorised
    | payment.PaymentCaptured
    | payment.PaymentFailed
    | payment.PaymentClosed
    | payment.PaymentRefunded
    | payment.RefundFailed
)


def told(event: Event) -> Message | None:
    """The command that tells an order of the event; None if it need not know."""
    match event:
        case payment.PaymentActionRequired():
            return order.PaymentActionRequired(event.url, event.kind)
        case payment.PaymentProcessing():
            return order.PaymentProcessing()
        case payment.PaymentAuthorised():
            return order.PaymentAuthorised(event.amount)
        case payment.PaymentCaptured():
            return order.PaymentCaptured(event.amount)
        case payment.PaymentFailed():
            return order.PaymentFailed(event.code)
        case payment.PaymentClosed():
            return order.PaymentClosed()
        case payment.PaymentRefunded():
            return order.PaymentRefunded(event.refund_id, event.amount)
        case payment.RefundFailed():
            # One that is asked for again has not failed yet, as far as the order is concerned.
            return order.RefundFailed(event.refund_id) if event.final else None


def settle_orders(entities: Entities) -> Flow:
    """Public payment events -> commands of the order with the session's id, in their order."""

    async def handle(happened: Happened, event: Event) -> None:
        command = told(event)
        if command is not None:
            accepted(await entities.ask("order", happened.entity, command, command_id=command_id(NAME, happened)))

    return Flow(NAME, {"payment": Event.__args__}, handle)
