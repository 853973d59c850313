"""What the payment service says over HTTP."""

import msgspec

from actors.payment import PaymentView


class PaymentBody(msgspec.Struct, frozen=True):
    """A payment session; its id is the order's. Amounts in minor units of `currency`.

    `status`: none, opening, running, failed, closing, closed, captured.
    """

    id: str
    version: int
    status: str
    amount: int
    currency: str
    method: str
    attempts: int
    captured: int
    refunded: int


def body(view: PaymentView, version: int) -> PaymentBody:
    """The view without what only the shop need know."""
    return PaymentBody(
        id=view.id,
        version=version,
        status=view.status,
        amount=view.amount,
        currency=view.currency,
        method=view.method,
        attempts=view.attempts,
        captured=view.captured,
        refunded=view.refunded,
    )
