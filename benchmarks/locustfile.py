"""Shoppers who look around, fill carts and buy: `locust -f benchmarks/locustfile.py --host http://127.0.0.1:8000`.

Headless for 20 seconds: add `--headless -u 20 -r 10 -t 20s`. Any answer that a shopper of a healthy shop does not get
counts as a failure, so the exit status says whether the shop was well.
"""

import random
import uuid
from typing import Any

from locust import FastHttpUser, between, task

RUNNING = ("placed", "reserved")
POLLS = 40
CARDS = ("pm_card_visa",) * 9 + ("pm_card_chargeDeclined",)
SORTS = ("name", "price", "-price", "newest")


class Shopper(FastHttpUser):  # type: ignore[misc]
    """A guest with one cart: mostly looks, sometimes adds, now and then buys."""

    wait_time = between(0.2, 1.5)

    def on_start(self) -> None:
        """Arrives with nothing, and looks around first."""
        self.token: str | None = None
        self.filled = 0
        self.seen: list[dict[str, Any]] = []
        self.browse()

    @task(6)  # type: ignore[untyped-decorator]
    def browse(self) -> None:
        """Reads the tree, a page of products and one product."""
        tree = self._get("/api/catalog/categories")
        paths = [node["path"] for node in tree.get("items", [])] if tree else []
        query = f"?sort={random.choice(SORTS)}&limit=20"
        if paths and random.random() < 0.7:
            query += f"&category={random.choice(paths)}"
        page = self._get(f"/api/catalog/products{query}", "/api/catalog/products")
        items = page.get("items", []) if page else []
        self.seen = [item for item in items if item.get("available") is None or item["available"] > 0] or self.seen
        if self.seen:
            self._get(f"/api/catalog/products/{random.choice(self.seen)['slug']}", "/api/catalog/products/{slug}")

    @task(4)  # type: ignore[untyped-decorator]
    def add(self) -> None:
        """Puts something that it has seen into the cart."""
        if not self.seen:
            return
        item = {"sku": random.choice(self.seen)["sku"], "quantity": random.randint(1, 3)}
        cart = self._post("/api/cart/items", item)
        if cart is not None:
            self.token = cart.get("guest_token") or self.token
            self.filled += 1

    @task(2)  # type: ignore[untyped-decorator]
    def look_at_cart(self) -> None:
        """Reads the cart, and drops a line from a full one."""
        if self.token is None:
            return
        cart = self._get("/api/cart")
        if cart and len(cart["lines"]) > 4:
            self._delete(f"/api/cart/items/{cart['lines'][0]['id']}", "/api/cart/items/{id}")

    @task(1)  # type: ignore[untyped-decorator]
    def buy(self) -> None:
        """Checks out, watches the order to its end, and comes back as somebody else."""
        if self.filled == 0:
            return
        card = random.choice(CARDS)
        order = self._post(
            "/api/orders",
            {
                "email": f"shopper-{uuid.uuid4().hex}@example.com",
                "address": {
                    "name": "A Shopper",
                    "line1": "1 High Street",
                    "city": "Bath",
                    "postal_code": "BA1 1AA",
                    "country": "GB",
                },
                "shipping_method": random.choice(("standard", "express", "pickup")),
                "payment": {"method": "card", "reference": card},
            },
        )
        for _ in range(POLLS):
            if order is None or order["status"] not in RUNNING or order["payment_status"] == "failed":
                break
            self._sleep(0.25)
            order = self._get(f"/api/orders/{order['id']}", "/api/orders/{id}")
        self.token, self.filled = None, 0

    def _sleep(self, seconds: float) -> None:
        import gevent

        gevent.sleep(seconds)

    def _get(self, path: str, name: str | None = None) -> dict[str, Any] | None:
        return self._call("GET", path, name)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        return self._call("POST", path, None, json=body)

    def _delete(self, path: str, name: str) -> dict[str, Any] | None:
        return self._call("DELETE", path, name)

    def _call(self, method: str, path: str, name: str | None, **more: Any) -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if method != "GET":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        with self.client.request(method, path, name=name, headers=headers, catch_response=True, **more) as answer:
            if answer.status_code in (200, 201, 202):
                answer.success()
                found: dict[str, Any] = answer.json()
                return found
            if answer.status_code == 204 or (answer.status_code == 409 and path == "/api/orders"):
                # A line that went short, or a price that changed, is part of shopping.
                answer.success()
            else:
                answer.failure(f"{answer.status_code}: {(answer.text or '')[:200]}")
            return None
