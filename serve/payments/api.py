"""The routes of the payment service."""

from serve.gateway.lean import Request, Response, Routes, empty, json
from serve.payments.gateway.outgoing import WebhookEvent
from serve.payments.gateway.pages import FRAME, HEADERS
from serve.payments.gateway.webhooks import SIGNATURE_HEADER
from serve.payments.schemas import PaymentBody
from serve.payments.service import BAD_SIGNATURE, Payments
from serve.payments.stripe.news import SIGNATURE_HEADER as STRIPE_SIGNATURE
from serve.payments.stripe.news import StripeEvent, StripeNews

BACK = "<p>Thank you. Your payment is being looked at; your order shows what came of it. You can close this page.</p>"
EXAMPLE = {
    "id": "evt_0f3c",
    "type": "payment_intent.succeeded",
    "created": 1764000000000,
    "session": "0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10",
    "intent": "pi_5b1e",
    "status": "succeeded",
}
STRIPE_EXAMPLE = {
    "id": "evt_1Q0PsIJvEtkwdCNYMSaVuRz6",
    "object": "event",
    "type": "payment_intent.succeeded",
    "data": {
        "object": {
            "id": "pi_3Q0PsIJvEtkwdCNY1lSeZVXn",
            "object": "payment_intent",
            "metadata": {"session": "0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10"},
        }
    },
}
SESSION = {
    "id": "0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10",
    "version": 4,
    "status": "captured",
    "amount": 3390,
    "currency": "EUR",
    "method": "card",
    "attempts": 1,
    "captured": 3390,
    "refunded": 0,
}


def payment_routes(payments: Payments, *, shop_url: str | None = None) -> Routes:
    """`shop_url`: where a returning browser goes on to, with ``{id}`` for the order's id; None: a page says thanks."""
    routes = Routes(tag="payments", refuses_cards=True, examples={PaymentBody: SESSION})

    @routes.post(
        "/api/payments/webhooks/test",
        body=WebhookEvent,
        answers={204: None},
        problems=(BAD_SIGNATURE,),
        headers={SIGNATURE_HEADER: "`t=<unix seconds>,v1=<HMAC-SHA256 of t.body, hex>`; 300 seconds old at most."},
        summary="News from the test gateway",
        example=EXAMPLE,
    )
    async def take_webhook(request: Request) -> Response:
        await payments.take_webhook(request.raw_body, request.header(SIGNATURE_HEADER))
        return empty()

    @routes.get(
        "/api/payments/{id}",
        access="shopper",
        answers={200: PaymentBody},
        problems=("not_found",),
        summary="A payment session, for its owner and for staff",
    )
    async def show(request: Request) -> Response:
        return json(await payments.show(request.principal, request.params["id"]))

    @routes.get(
        "/api/payments/{id}/return",
        answers={200: None, 303: None},
        problems=("not_found",),
        summary="Where the gateway sends the shopper's browser back to",
    )
    async def come_back(request: Request) -> Response:
        session: str = request.params["id"]
        await payments.note_return(session)
        if shop_url is None:
            return Response(200, FRAME.format(title="Back from the bank", body=BACK).encode(), HEADERS)
        return Response(
            303, b"", [(b"location", shop_url.format(id=session).encode()), (b"cache-control", b"no-store")]
        )

    return routes


def stripe_routes(news: StripeNews) -> Routes:
    """Apart from the others: what Stripe sends may have long numbers in it."""
    routes = Routes(tag="payments")

    @routes.post(
        "/api/payments/webhooks/stripe",
        body=StripeEvent,
        answers={204: None},
        problems=(BAD_SIGNATURE, "unavailable"),
        headers={STRIPE_SIGNATURE: "`t=<unix seconds>,v1=<HMAC-SHA256 of t.body, hex>`; 300 seconds old at most."},
        summary="News from Stripe",
        description="An event that was dealt with is acknowledged and does nothing.",
        example=STRIPE_EXAMPLE,
    )
    async def take_webhook(request: Request) -> Response:
        await news.take(request.raw_body, request.header(STRIPE_SIGNATURE), request.body)
        return empty()

    return routes
