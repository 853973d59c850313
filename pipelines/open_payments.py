"""A placed order that awaits a payment has a payment session opened."""

from actors import order, payment
from actors.runtime.ports import Entities
from pipelines.flow import Flow, accepted, command_id
from pipelines.log.base import Happened

NAME = "open_payments"


def open_payments(entities: Entities) -> Flow:
    """OrderPlaced -> Open. A session that was closed before ignores it."""

    async def handle(happened: Happened, event: order.OrderPlaced) -> None:
        if not event.awaits_payment:
            return
        command = payment.Open(
            order_id=happened.entity,
            amount=event.amount,
            currency=event.currency,
            method=event.method,
            reference=event.reference,
            deadline_at=event.deadline_at,
            owner=event.owner,
            capture_method=event.capture_method,
        )
        # The session is as good as always new. Where a Close came first, the journal refuses and the session is loaded.
        answer = await entities.ask(
            "payment", happened.entity, command, command_id=command_id(NAME, happened), creates=True
        )
        accepted(answer)

    return Flow(NAME, {"order": (order.OrderPlaced,)}, handle)
