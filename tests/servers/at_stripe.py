"""A shop's account at a gateway with Stripe's wire interface: its settings, troubles, and what it has in the end."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from serve.audit.findings import Findings
from serve.gateway.clock import now_ms
from serve.opened import Opened
from serve.payments.stripe.calls import StripeCalls
from serve.payments.stripe.intents import SESSION
from serve.payments.stripe.reconciling import Reconciliation
from serve.payments.transactions import TransactionStore
from serve.settings import Settings
from tests.api.shopping import Json, Money
from tests.running import RunningShop
from tests.stripe_wire.running import Wire

EVENTS = "/api/payments/webhooks/stripe"
SECRET = "whsec_" + "new" * 8
ALWAYS = 1_000_000


class AtStripe(NamedTuple):
    wire: Wire
    account: str

    def settings(self, base: str = "") -> dict[str, str]:
        """`base`: where the shop finds the gateway, if something stands between."""
        return {
            "TROUPE_STRIPE_SECRET_KEY": self.account,
            "TROUPE_STRIPE_WEBHOOK_SECRETS": SECRET,
            "TROUPE_STRIPE_API_BASE": base or self.wire.url,
        }

    def calls(self, shop: RunningShop) -> None:
        """Webhooks go to the shop from now on."""
        self.wire.pull(self.account, "hook", {"url": shop.url + EVENTS, "secrets": [SECRET]})

    @property
    def state(self) -> Json:
        return self.wire.state(self.account)

    @contextmanager
    def troubled(self, trouble: Mapping[str, Any]) -> Iterator[None]:
        """Within, every request meets it; see `tests.stripe_wire.account.Fault`."""
        self.wire.pull(self.account, "faults", [{"times": ALWAYS, **trouble}])
        try:
            yield
        finally:
            self.wire.pull(self.account, "faults", [])

    def money(self) -> dict[str, Money]:
        """What it has of each order, by its own charges and not by its intents, of which an order might have two."""
        state = self.state
        of = {one["id"]: one["metadata"].get(SESSION, "") for one in state["intents"]}
        found = [(of[one["payment_intent"]], one) for one in state["charges"] if one["status"] == "succeeded"]
        counts = Counter(order for order, _ in found)
        return {
            order: Money(
                count,
                sum(one["amount"] for of_order, one in found if of_order == order),
                sum(one["amount_refunded"] for of_order, one in found if of_order == order),
            )
            for order, count in counts.items()
        }


def reconciled(settings: Settings) -> Findings:
    """What `troupe reconcile` finds."""

    async def run() -> Findings:
        assert settings.stripe_secret_key is not None
        async with Opened() as opened:
            calls = StripeCalls(settings.stripe_secret_key.get_secret_value(), base=settings.stripe_api_base)
            opened.closing(calls)
            store = opened.closing(TransactionStore(settings.database_url("payments")))
            return await Reconciliation(calls, store, now_ms()).run(1)

    return asyncio.run(run())
