"""The reconciliation beside what speaks Stripe's interface, of money that is taken days after it was set aside."""

from pathlib import Path

import httpx

from actors import payment
from pipelines.keep_transactions import Event
from pipelines.log.base import Happened
from serve.gateway.clock import now_ms
from serve.payments.gateway.base import Attempt, IntentState
from serve.payments.stripe.calls import StripeCalls
from serve.payments.stripe.gateway import StripeGateway
from serve.payments.stripe.reconciling import DAY, Reconciliation
from serve.payments.transactions import TransactionStore
from tests.stripe_wire.running import new_account, wire

OPENED = payment.SessionOpened(1999, "EUR", "card", "", 9_000, "u1", "manual")
ASIDE = payment.PaymentAuthorised(1999, "EUR")


async def set_aside_on_page(gateway: StripeGateway) -> IntentState:
    attempt = Attempt("s1/attempt/1", "card", None, "https://shop/back")
    page = await gateway.create_intent("s1", 1999, "EUR", attempt=attempt, capture_method="manual")
    assert page.action_url is not None
    async with httpx.AsyncClient() as browser:
        await browser.post(page.action_url, data={"means": "pm_card_visa"})
    return page


async def keep(store: TransactionStore, *told: tuple[int, Event]) -> None:
    for version, (at, event) in enumerate(told, 1):
        await store.keep(Happened(version, "payment", "s1", version, 0, at, b""), event)


async def test_what_was_paid_on_a_page_days_before_is_compared(tmp_path: Path) -> None:
    """Stripe's list of these days has not its intent, and the shop knows it by the page's name only."""
    now = now_ms()
    later = now + 5 * DAY
    store = TransactionStore(f"sqlite:///{tmp_path / 'payments.db'}")
    with wire() as running:
        calls = StripeCalls(new_account(), base=running.url)
        gateway = StripeGateway(calls)
        page = await set_aside_on_page(gateway)
        taken = await gateway.capture(page.id, key="s1/capture/1")
        made = payment.IntentMade(page.id)
        captured = payment.PaymentCaptured(taken.captured, "EUR")
        await keep(store, (now, OPENED), (now, made), (now, ASIDE), (later - DAY // 2, captured))
        assert (await Reconciliation(calls, store, later).run(1)).damage == []
        await gateway.close()
    await store.close()


async def test_what_was_just_let_go_of_is_under_way(tmp_path: Path) -> None:
    """However long before it was set aside."""
    intent = {"id": "pi", "created": 1, "currency": "eur", "amount_received": 0, "amount_capturable": 0}
    store = TransactionStore(f"sqlite:///{tmp_path / 'payments.db'}")
    reconciliation = Reconciliation(StripeCalls("sk_test_123"), store, 90_000)
    assert reconciliation._at_stripe([intent | {"canceled_at": None}]).at == 1_000
    assert reconciliation._at_stripe([intent | {"canceled_at": 70}]).at == 70_000
    await store.close()
