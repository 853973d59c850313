"""A whole shop whose money is at what speaks Stripe's interface, and who buys there."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from typer.testing import CliRunner

from serve.cli.main import app
from serve.payments.stripe import reconciling
from tests.api.shopping import Buyer, Json, Staff, body
from tests.stripe_wire.running import Wire, new_account, wire
from tests.unit.whole_shop import WholeShop, whole_shop
from tests.waiting import eventually

OLD, NEW = "whsec_" + "old" * 8, "whsec_" + "new" * 8
EVENTS = "/api/payments/webhooks/stripe"


class World(NamedTuple):
    """The shop, its account at the gateway, and who buys there."""

    shop: WholeShop
    wire: Wire
    account: str
    web: httpx.Client
    staff: Staff

    def buy(self, means: str, **more: Any) -> tuple[Buyer, Json]:
        buyer = Buyer(self.web)
        return buyer, buyer.buy("MUG", 1, means, **more)

    @property
    def state(self) -> Json:
        return self.wire.state(self.account)

    def intents(self, order_id: str) -> list[Json]:
        return [one for one in self.state["intents"] if one["metadata"]["session"] == order_id]

    def events(self, order_id: str) -> list[Json]:
        """Those of its intent, in the order in which they happened."""
        return [
            one for one in self.state["events"] if one["data"]["object"].get("metadata", {}).get("session") == order_id
        ]

    def hook(self, *secrets: str, held: bool = False) -> None:
        url = f"{self.shop.url}{EVENTS}"
        self.wire.pull(self.account, "hook", {"url": url, "secrets": list(secrets), "held": held})

    def inbox(self) -> list[tuple[str, str]]:
        path = self.shop.settings.database("webhooks")
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)) as database:
            return database.execute("SELECT event_id, session FROM webhook_inbox").fetchall()

    def dealt_with(self, *events: str) -> None:
        eventually(lambda: set(events) <= {name for name, _ in self.inbox()}, 30.0)

    def transactions(self, order_id: str, *kinds: str) -> list[tuple[str, int]]:
        """Rows of these kinds, once there is one of each: kind and amount."""

        def found() -> list[tuple[str, int]]:
            rows = body(self.staff.call("GET", f"/api/admin/payments/{order_id}/transactions"))["items"]
            assert {row["kind"] for row in rows} >= set(kinds), rows
            return [(row["kind"], row["amount"]) for row in rows if row["kind"] in kinds]

        return eventually(found, 30.0)


@contextmanager
def shop_on_stripe(folder: Path, **more: Any) -> Iterator[World]:
    """With 100 mugs at 12.00. `more`: settings."""
    account = new_account()
    with wire() as running:
        given: dict[str, Any] = {
            "stripe_secret_key": account,
            "stripe_webhook_secrets": f"{OLD},{NEW}",
            "stripe_api_base": running.url,
            "checkout_wait_seconds": 20.0,
            **more,
        }
        with whole_shop(folder, **given) as shop, shop.client() as web:
            staff = Staff(web, shop.token("staff", "staff"))
            staff.put_product("MUG", 1200)
            staff.receive("MUG", 100)
            made = World(shop, running, account, web, staff)
            made.hook(OLD)
            yield made


def reconciled(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """What `troupe reconcile` ends with and says."""
    settings = world.shop.settings
    monkeypatch.setattr(reconciling, "YOUNG_MS", 0)
    monkeypatch.setenv("TROUPE_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("TROUPE_STRIPE_SECRET_KEY", world.account)
    monkeypatch.setenv("TROUPE_STRIPE_API_BASE", world.wire.url)
    ended = CliRunner().invoke(app, ["reconcile"])
    return ended.exit_code, ended.stdout.splitlines()
