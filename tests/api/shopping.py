"""What shoppers and staff do over HTTP, in the words of the tests."""

import secrets
import sqlite3
from typing import Any, NamedTuple, Self

import httpx

from tests.running import RunningShop
from tests.waiting import eventually

Json = dict[str, Any]

ADDRESS = {
    "name": "Ada Byron",
    "line1": "12 St James's Square",
    "city": "London",
    "postal_code": "SW1Y 4JH",
    "country": "GB",
}
PASSWORD = "three wet umbrellas"
MOVING = ("none", "placed", "reserved")


def new_email() -> str:
    return f"t{secrets.token_hex(6)}@example.com"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def order_form(reference: str = "pm_card_visa", method: str = "card", **more: Any) -> Json:
    """The body of a checkout by a guest; `more` goes over it."""
    payment = {"method": method, **({"reference": reference} if reference else {})}
    form: Json = {"email": "guest@example.com", "address": ADDRESS, "shipping_method": "standard", "payment": payment}
    return {**form, **more}


def body(answer: httpx.Response, status: int = 200) -> Json:
    """The answer's JSON; AssertionError with all of it when the status is another."""
    assert answer.status_code == status, f"{answer.status_code} {answer.headers} {answer.text}"
    found: Json = answer.json()
    return found


def problem(answer: httpx.Response, status: int, code: str) -> Json:
    """The answer's problem; AssertionError if it is not this one, or not told as RFC 9457 wants it."""
    found = body(answer, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert found["code"] == code, found
    assert found["status"] == status
    assert found["type"] == f"urn:troupe:problem:{code}"
    assert found["title"]
    assert found["detail"]
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


class Buyer:
    """A guest, or a user; a guest's token comes with the first thing put in the cart."""

    def __init__(self, web: httpx.Client, token: str = "", email: str = "") -> None:
        self.web = web
        self.token = token
        self.email = email

    @classmethod
    def registered(cls, web: httpx.Client) -> Self:
        email = new_email()
        made = web.post("/api/users", json={"email": email, "password": PASSWORD, "name": "Ada Byron"})
        assert made.status_code == 201, made.text
        return cls(web, log_in(web, email)["access_token"], email)

    def call(self, method: str, path: str, **how: Any) -> httpx.Response:
        headers = {**(bearer(self.token) if self.token else {}), **how.pop("headers", {})}
        return self.web.request(method, path, headers=headers, **how)

    def add(self, sku: str, quantity: int = 1, **more: Any) -> Json:
        cart = body(self.call("POST", "/api/cart/items", json={"sku": sku, "quantity": quantity, **more}))
        self.token = cart.get("guest_token", self.token)
        return cart

    def cart(self, version: int = 0) -> Json:
        return body(self.call("GET", "/api/cart", params={"version": version}))

    def check_out(
        self, reference: str = "pm_card_visa", method: str = "card", headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        form = order_form(reference, method, **more)
        return self.call("POST", "/api/orders", json=form, headers=headers or {})

    def buy(self, sku: str, quantity: int = 1, reference: str = "pm_card_visa", **more: Any) -> Json:
        """Puts it in the cart and checks out; the order as the answer has it."""
        self.add(sku, quantity)
        return body(self.check_out(reference, **more), 201)

    def order(self, order_id: str) -> Json:
        return body(self.call("GET", f"/api/orders/{order_id}"))

    def pay(self, order_id: str, reference: str = "pm_card_visa", method: str = "card") -> httpx.Response:
        payment = {"method": method, **({"reference": reference} if reference else {})}
        return self.call("POST", f"/api/orders/{order_id}/payment", json=payment)

    def cancel(self, order_id: str) -> httpx.Response:
        return self.call("POST", f"/api/orders/{order_id}/cancel")

    def order_when(self, order_id: str, **wanted: Any) -> Json:
        """The order once these fields are so."""

        def found() -> Json | None:
            order = self.order(order_id)
            assert {name: order[name] for name in wanted} == wanted, order
            return order

        order = eventually(found)
        assert order is not None
        return order


def log_in(web: httpx.Client, email: str) -> Json:
    return body(web.post("/api/users/sessions", json={"email": email, "password": PASSWORD}), 201)


class Staff:
    def __init__(self, web: httpx.Client, token: str) -> None:
        self.web = web
        self.token = token

    def call(self, method: str, path: str, **how: Any) -> httpx.Response:
        headers = {**bearer(self.token), **how.pop("headers", {})}
        return self.web.request(method, path, headers=headers, **how)

    def put_product(self, sku: str, price: int, category: str = "Tests", name: str = "A thing") -> Json:
        draft = {"name": name, "category": category, "price": price, "description": "For tests only."}
        return body(self.call("PUT", f"/api/admin/products/{sku}", json=draft), 201)

    def change_product(self, sku: str, **changes: Any) -> Json:
        return body(self.call("PATCH", f"/api/admin/products/{sku}", json=changes))

    def receive(self, sku: str, quantity: int) -> Json:
        return body(self.call("POST", f"/api/admin/stock/{sku}/receipts", json={"quantity": quantity}))

    def stock(self, sku: str) -> Json:
        return body(self.call("GET", f"/api/admin/stock/{sku}"))

    def stock_when(self, sku: str, **wanted: int) -> Json:
        """What there is of it once these counts are so."""

        def found() -> Json | None:
            stock = self.stock(sku)
            assert {name: stock[name] for name in wanted} == wanted, stock
            return stock

        stock = eventually(found)
        assert stock is not None
        assert stock["on_hand"] + stock["sold"] - stock["returned"] == stock["received"] + stock["corrected"]
        return stock

    def fulfil(self, order_id: str, step: str, **how: Any) -> Json:
        return body(self.call("POST", f"/api/admin/orders/{order_id}/{step}", json=how or None))

    def refund(self, order_id: str, **how: Any) -> httpx.Response:
        return self.call("POST", f"/api/admin/orders/{order_id}/refunds", json={"reason": "a test", **how})


class Money(NamedTuple):
    """What the gateway has of one order: how many captures, and the sums in minor units."""

    captures: int
    captured: int
    refunded: int


def money(shop: RunningShop, order_id: str) -> Money:
    """The gateway's own truth, from its own book."""
    query = """
        SELECT (SELECT count(*) FROM captures c WHERE c.intent = i.id),
            (SELECT coalesce(sum(amount), 0) FROM captures c WHERE c.intent = i.id),
            (SELECT coalesce(sum(amount), 0) FROM refunds r WHERE r.intent = i.id AND r.ok)
        FROM intents i WHERE i.session = ?"""
    rows = _gateway(shop, query, order_id)
    assert len(rows) <= 1, "more than one intent for one order"
    return Money(*rows[0]) if rows else Money(0, 0, 0)


def webhooks_owed(shop: RunningShop, order_id: str) -> int:
    """Webhooks about an order that the gateway still means to send."""
    return int(_gateway(shop, "SELECT count(*) FROM webhooks WHERE instr(CAST(body AS TEXT), ?)", order_id)[0][0])


def _gateway(shop: RunningShop, query: str, value: str) -> list[tuple[int, ...]]:
    database = sqlite3.connect(f"file:{shop.settings.database('gateway')}?mode=ro", uri=True, timeout=10.0)
    try:
        return database.execute(query, (value,)).fetchall()
    finally:
        database.close()
