"""Sends invoices to the shop: each sale as a cart and a checkout, each return as a refund."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

import httpx

from serve.replay.calling import Calls, GaveUp, problem_of
from serve.replay.comparing import Order, Refused
from serve.replay.countries import code_of
from serve.replay.invoices import Invoice
from serve.replay.returning import Refund

T = TypeVar("T")
R = TypeVar("R")

PAYMENT = {"method": "card", "reference": "pm_card_visa"}
UNDER_WAY = ("placed", "reserved")
LOOK_EVERY = 0.5


class Seller:
    """`key` begins all Idempotency-Keys: a second replay of the same file finds what the first has done.

    `seconds`: how long an order or a refund may take to settle.
    """

    def __init__(self, calls: Calls, skus: dict[str, str], key: str, shipping: str, seconds: float) -> None:
        self._calls = calls
        self._skus = skus
        self._key = key
        self._shipping = shipping
        self._seconds = seconds

    async def receive(self, code: str, quantity: int, key: str) -> None:
        """Units come in. Raises GaveUp."""
        path = f"/api/admin/stock/{self._skus[code]}/receipts"
        answer = await self._calls.send("POST", path, json={"quantity": quantity}, key=f"{self._key}/{key}/{code}")
        if not answer.is_success:
            raise GaveUp(f"{quantity} units of {code} were not received: {problem_of(answer)}")

    async def sell(self, sale: Invoice) -> Order | Refused:
        """The order that came of it."""
        try:
            return await self._sell(sale)
        except GaveUp as error:
            return Refused(f"no_answer: {error}")

    async def refund(self, refund: Refund, order: Order) -> Refused | None:
        """Asks for it; None if that was accepted."""
        body = {
            "amount": refund.amount,
            "lines": {self._skus[code]: units for code, units in refund.units.items()},
            "reason": f"return {refund.number}",
        }
        key = f"{self._key}/{refund.number}/{refund.sale}"
        try:
            answer = await self._calls.send("POST", f"/api/admin/orders/{order.id}/refunds", json=body, key=key)
        except GaveUp as error:
            return Refused(f"no_answer: {error}")
        return None if answer.is_success else Refused(problem_of(answer))

    async def settled(self, order_id: str, token: str | None = None) -> Order | Refused:
        """The order once it is no longer under way and nothing of it waits to be refunded, or as it is in the end."""
        path = f"/api/admin/orders/{order_id}" if token is None else f"/api/orders/{order_id}"
        until = asyncio.get_running_loop().time() + self._seconds
        while True:
            try:
                answer = await self._calls.send("GET", path, token=token)
            except GaveUp as error:
                return Refused(f"no_answer: {error}")
            if not answer.is_success:
                return Refused(problem_of(answer))
            body = answer.json()
            if not _under_way(body) or asyncio.get_running_loop().time() > until:
                return order_of(body)
            await asyncio.sleep(LOOK_EVERY)

    async def _sell(self, sale: Invoice) -> Order | Refused:
        items = [
            {"sku": self._skus[line.code], "quantity": line.quantity, "agreed_price": line.price} for line in sale.lines
        ]
        key = f"{self._key}/{sale.number}"
        cart = await self._calls.send("POST", "/api/admin/carts", json={"items": items}, key=key)
        if not cart.is_success:
            return Refused(problem_of(cart))
        token: str = cart.json()["guest_token"]
        answer = await self._calls.send("POST", "/api/orders", json=self._checkout(sale), key=key, token=token)
        if not answer.is_success:
            return Refused(problem_of(answer))
        body = answer.json()
        return await self.settled(body["id"], token) if _under_way(body) else order_of(body)

    def _checkout(self, sale: Invoice) -> dict[str, Any]:
        who = f"Customer {sale.customer}" if sale.customer else f"Guest of invoice {sale.number}"
        local = f"customer-{sale.customer}" if sale.customer else f"guest-{sale.number}"
        address = {
            "name": who,
            "line1": f"Invoice {sale.number}",
            "city": sale.country or "London",
            "postal_code": "N1 9GU",
            "country": code_of(sale.country),
        }
        return {
            "email": f"{local.lower()}@example.com",
            "address": address,
            "shipping_method": self._shipping,
            "payment": PAYMENT,
        }


def order_of(body: dict[str, Any]) -> Order:
    """What an answer of the shop says of an order."""
    return Order(
        id=body["id"],
        status=body["status"],
        total=body["totals"]["total"],
        currency=body["currency"],
        units=sum(line["quantity"] for line in body["lines"]),
        placed_at=body["placed_at"],
        refunded=sum(refund["amount"] for refund in body["refunds"] if refund["status"] == "refunded"),
    )


def _under_way(body: dict[str, Any]) -> bool:
    return body["status"] in UNDER_WAY or any(refund["status"] == "requested" for refund in body["refunds"])


async def concurrently(
    items: Iterable[T], work: Callable[[T], Awaitable[R]], at_once: int
) -> AsyncGenerator[tuple[T, R], None]:
    """Each item with what came of it, as it is done; `at_once` at a time. The first error ends it and is raised."""
    waiting = iter(items)
    running: dict[asyncio.Task[R], T] = {}
    try:
        while True:
            for item in waiting:
                running[asyncio.ensure_future(_as_coroutine(work(item)))] = item
                if len(running) >= at_once:
                    break
            if not running:
                return
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield running.pop(task), task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _as_coroutine(work: Awaitable[R]) -> R:
    return await work


async def currency_of(calls: Calls) -> str:
    """What the running shop sells in. Raises GaveUp, httpx.HTTPStatusError."""
    answer: httpx.Response = await calls.send("GET", "/api/cart")
    answer.raise_for_status()
    return str(answer.json()["currency"])
