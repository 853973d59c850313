"""Every request that the shop makes of Stripe, held by stripe-mock against Stripe's own description of its interface.

It says nothing about behaviour: its answers are the description's examples, whatever was asked.
"""

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import stripe

from serve.gateway.clock import now_ms
from serve.payments.gateway.base import Attempt, GatewayRejected
from serve.payments.stripe import calls as calls_module
from serve.payments.stripe.calls import StripeCalls
from serve.payments.stripe.gateway import KEYS_LIVE_MS, StripeGateway
from serve.payments.stripe.reconciling import Reconciliation
from serve.payments.transactions import TransactionStore
from tests.servers import address

pytestmark = pytest.mark.servers

SOURCES = Path(calls_module.__file__).parent
SECONDS = 30.0
ATTEMPT = Attempt("s1/attempt/1", "card", "pm_card_visa", "https://shop.example.com/back")
HOSTED = Attempt("s1/attempt/2", "card", None, ATTEMPT.return_url)
ASKED = {
    "POST /v1/payment_intents",
    "POST /v1/payment_intents/*",
    "POST /v1/payment_intents/*/confirm",
    "POST /v1/payment_intents/*/cancel",
    "POST /v1/payment_intents/*/capture",
    "GET /v1/payment_intents",
    "GET /v1/payment_intents/*",
    "GET /v1/payment_intents/search",
    "POST /v1/checkout/sessions",
    "GET /v1/checkout/sessions/*",
    "POST /v1/checkout/sessions/*/expire",
    "POST /v1/refunds",
    "GET /v1/refunds",
    "GET /v1/refunds/*",
    "GET /v1/charges",
    "GET /v1/disputes",
    "GET /v1/disputes/*",
}


@pytest.fixture
async def calls() -> AsyncIterator[StripeCalls]:
    made = StripeCalls("sk_test_123", base=address("STRIPE_MOCK"))
    yield made
    await made.close()


async def test_it_refuses_what_stripe_does_not_know(calls: StripeCalls) -> None:
    params: Any = {"amount": 1999, "currency": "eur", "colour": "blue"}
    with pytest.raises(stripe.InvalidRequestError):
        await calls.run(lambda: calls.v1.payment_intents.create_async(params), SECONDS)


async def test_every_request_is_as_stripe_describes_it(
    calls: StripeCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[str] = set()
    send = calls_module._Http.request_async

    async def noting(
        http: calls_module._Http, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> Any:
        path = re.sub(
            r"(/v1/(?:checkout/)?\w+/)(?!search|sessions)\w+",
            r"\1*",
            url.partition("?")[0].removeprefix(address("STRIPE_MOCK")),
        )
        asked.add(f"{method.upper()} {path}")
        return await send(http, method, url, headers, post_data)

    monkeypatch.setattr(calls_module._Http, "request_async", noting)
    gateway, old = StripeGateway(calls), now_ms() - KEYS_LIVE_MS
    await gateway.create_intent("s1", 1999, "EUR", seconds=SECONDS)
    made = await gateway.create_intent("s1", 1999, "EUR", attempt=ATTEMPT, seconds=SECONDS)
    await gateway.create_intent("s1", 1999, "EUR", attempt=ATTEMPT, at=old, seconds=SECONDS)
    how: dict[str, Any] = {"method": "card", "reference": "pm_card_visa", "return_url": ATTEMPT.return_url}
    await gateway.confirm(made.id, key="s1/attempt/2", seconds=SECONDS, **how)
    with pytest.raises(GatewayRejected, match="attempt_expired"):
        await gateway.confirm(made.id, key="s1/attempt/2", at=old, seconds=SECONDS, **how)
    assert await gateway.look_up("s1", seconds=SECONDS)
    assert await gateway.look_up("s1", intent=made.id, seconds=SECONDS)
    await gateway.create_intent("s1", 1999, "EUR", attempt=ATTEMPT, capture_method="manual", seconds=SECONDS)
    await gateway.capture(made.id, key="s1/capture/1", seconds=SECONDS)
    await gateway.cancel(made.id, seconds=SECONDS)
    await gateway.refund(made.id, refund_id="s1/refund/r1/1", amount=100, seconds=SECONDS)
    await gateway.refund(made.id, refund_id="s1/refund/r1/1", amount=100, at=old, seconds=SECONDS)
    page = await gateway.create_intent("s1", 1999, "EUR", attempt=HOSTED, seconds=SECONDS)
    await gateway.create_intent("s1", 1999, "EUR", attempt=HOSTED, capture_method="manual", seconds=SECONDS)
    await gateway.look_up("s1", intent=page.id, seconds=SECONDS)
    await gateway.cancel(page.id, seconds=SECONDS)
    await gateway.session_of(made.id)
    await gateway.dispute("dp_1")
    await gateway.paid_back("re_1")
    store = TransactionStore(f"sqlite:///{tmp_path / 'payments.db'}")
    await Reconciliation(calls, store, now_ms()).run(1)
    await store.close()
    assert asked == ASKED


def test_there_is_no_other_request() -> None:
    """What the sources call of Stripe's services is what was asked above."""
    sources = "".join(path.read_text() for path in SOURCES.glob("*.py"))
    called = set(re.findall(r"_?(intents|payment_intents|pages|refunds|charges|disputes)\.(\w+)_async", sources))
    named = {(kind.removeprefix("payment_"), what) for kind, what in called}
    assert len(re.findall(r"_async\b(?=[,(])", sources)) >= len(called)
    assert named == {
        *(
            ("intents", what)
            for what in ("create", "update", "confirm", "cancel", "capture", "list", "retrieve", "search")
        ),
        *(("pages", what) for what in ("create", "retrieve", "expire")),
        ("refunds", "create"),
        ("refunds", "list"),
        ("refunds", "retrieve"),
        ("charges", "list"),
        ("disputes", "list"),
        ("disputes", "retrieve"),
    }
