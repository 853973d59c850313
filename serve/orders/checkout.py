"""Checking out: a cart becomes an order, and whoever waits is told how it stands before their deadline."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
import uuid_utils

from actors.cart import CheckedOut, CheckOut, PricesNeeded
from actors.decision import Refused
from actors.order import CaptureMethod, OrderView
from actors.pricing import Line, Price, Terms, totals
from actors.runtime.ports import Answer, Entities, KeyReused, Overloaded, Unavailable
from serve.carts.schemas import CartBody
from serve.carts.seen import SeenSkus
from serve.carts.service import Key, Prices
from serve.carts.terms import ShopTerms
from serve.gateway import clock
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem, invalid, refused
from serve.orders.bodies import order_body, pending_body
from serve.orders.checks import about_order, check_payment, checked_email
from serve.orders.outcomes import Outcome, settled_outcome
from serve.orders.schemas import Contact, PlaceOrder
from serve.orders.store import OrderStore
from serve.orders.waiters import Waiters

READ_SECONDS = 3.0
ASK_SECONDS = 10.0
KEEP_SECONDS = 4.0
"""How long a caller waits for the database to keep whom the order goes to; it is a part of their deadline."""
LEAST_SECONDS = 0.05
MAX_ROUNDS = 5
"""Times that a cart may ask for prices of lines that came in meanwhile."""


class Deadlines(NamedTuple):
    """`checkout`: seconds that a caller waits for an order to settle; `payment`: milliseconds to pay in."""

    checkout: float = 5.0
    payment: int = 1_800_000


class Checkout:
    """`show_cart` gives the caller's cart as it is, to be shown when its total is not the expected one."""

    def __init__(
        self,
        entities: Entities,
        store: OrderStore,
        prices: Prices,
        terms: ShopTerms,
        seen: SeenSkus,
        waiters: Waiters,
        show_cart: Callable[[Principal], Awaitable[CartBody]],
        *,
        deadlines: Deadlines = Deadlines(),  # noqa: B008 (immutable)
        hosted: bool = False,
        capture_method: CaptureMethod = "automatic",
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._entities = entities
        self._store = store
        self._prices = prices
        self._terms = terms
        self._seen = seen
        self._waiters = waiters
        self._show_cart = show_cart
        self._capture_method = capture_method
        self._deadlines = deadlines
        self._hosted = hosted
        self._now = now

    async def place(self, principal: Principal, wanted: PlaceOrder, key: Key, *, wait: bool) -> Outcome:
        """Checks the caller's cart out. With `wait`, until the order has settled, but not for long.

        Raises Problem, of its own: nothing_to_check_out, total_changed, sku_gone, out_of_stock, email_needed;
        Overloaded, Unavailable and KeyReused.
        """
        began = time.monotonic()
        terms = self._terms.under(wanted.shipping_method)
        if terms is None:
            known = ", ".join(shipping.method for shipping in self._terms.shippings)
            raise invalid(f"There are: {known}", "/body/shipping_method")
        check_payment(wanted.payment, hosted=self._hosted)
        contact = Contact(checked_email(principal, wanted.email), wanted.address, wanted.language)
        order_id, contact_id = str(uuid_utils.uuid7()), secrets.token_hex(16)
        await self._keep(contact_id, order_id, principal, contact)
        command = self._command(principal, wanted, terms, order_id, contact_id)
        try:
            answer = await self._told(principal.id, command, key, began, wait=wait)
        except (KeyReused, Overloaded):  # nothing was done, and nobody will ask for this contact
            await self._drop(contact_id)
            raise
        reply = answer.reply
        if isinstance(reply, Refused):
            await self._drop(contact_id)
            problem = await self._explained(refused(reply), principal, terms, self._left(began))
            raise about_order(problem, reply.about.get("order_id"))
        if isinstance(reply, CheckedOut):
            made = reply.order_id
            view, version = await self._known(made, self._left(began))
        else:
            assert isinstance(reply, OrderView)
            made, view, version = reply.id, reply, answer.version
        if made != order_id:  # a repeat: the order was made before, with its own contact
            await self._drop(contact_id)
        if version == 0:
            return Outcome(pending_body(made, terms), False)
        return settled_outcome(view, version)

    async def _keep(self, contact_id: str, order_id: str, principal: Principal, contact: Contact) -> None:
        """Raises Unavailable. What is kept late is of no order, and is cleared away as such."""
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                await self._store.keep_contact(contact_id, order_id, principal.key, contact, self._now())
        except TimeoutError:
            raise Unavailable("the orders' database does not answer") from None

    async def _drop(self, contact_id: str) -> None:
        """As far as the database is there: what is of no order is cleared away sooner or later."""
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                await self._store.drop_contact(contact_id)
        except (TimeoutError, Unavailable):
            return

    def _command(
        self, principal: Principal, wanted: PlaceOrder, terms: Terms, order_id: str, contact_id: str
    ) -> CheckOut:
        return CheckOut(
            order_id=order_id,
            owner=principal.key,
            contact_id=contact_id,
            terms=terms,
            method=wanted.payment.method,
            payment_reference=wanted.payment.reference,
            prices={},
            deadline=self._deadlines.payment,
            expected_total=wanted.expected_total,
            capture_method=self._capture_method,
        )

    async def _told(self, cart_id: str, command: CheckOut, key: Key, began: float, *, wait: bool) -> Answer:
        """Asks the cart, with the prices of what it seemed to have, and again with those that it says are missing."""
        skus = set(self._seen.of(cart_id))
        with self._waiters.place(wait) as may_wait:
            for _ in range(MAX_ROUNDS):
                answer = await self._entities.ask(
                    "cart",
                    cart_id,
                    with_prices(command, await self._prices.prices(skus) if skus else {}),
                    command_id=key.command_id(),
                    fingerprint=key.fingerprint(),
                    seconds=self._left(began) if may_wait else ASK_SECONDS,
                    follow=may_wait,
                )
                if not isinstance(answer.reply, PricesNeeded):
                    if not isinstance(answer.reply, Refused):
                        self._seen.remember(cart_id, ())
                    return answer
                skus.update(answer.reply.skus)
        raise Unavailable("the cart is changing all the time")

    def _left(self, began: float) -> float:
        """Seconds until the caller's deadline."""
        return max(LEAST_SECONDS, began + self._deadlines.checkout - time.monotonic())

    async def _known(self, order_id: str, seconds: float) -> tuple[OrderView, int]:
        """The order of a cart, and its version: 0 if it does not exist yet, or if nobody can tell at the moment."""
        try:
            answer = await self._entities.read("order", order_id, seconds=min(READ_SECONDS, seconds))
        except (Overloaded, Unavailable):  # the cart has said what matters: it is checked out
            return OrderView(order_id, "placed", "none"), 0
        assert isinstance(answer.reply, OrderView)
        return answer.reply, answer.version

    async def _explained(self, problem: Problem, principal: Principal, terms: Terms, seconds: float) -> Problem:
        """With what the caller needs to go on: the new cart, under the terms asked for, or the order under way."""
        about = problem.about.get("about", {})
        if problem.code == "total_changed":
            cart = await self._show_cart(principal)
            sold = [Line(one.id, one.sku, one.name, one.quantity, one.unit_price) for one in cart.lines if not one.gone]
            problem.about["about"] = {**about, "cart": msgspec.structs.replace(cart, totals=totals(sold, terms))}
        elif problem.code == "nothing_to_check_out" and about.get("order_id") is not None:
            view, version = await self._known(about["order_id"], seconds)
            order = order_body(view, version) if version else pending_body(about["order_id"], terms)
            problem.about["about"] = {**about, "order": order}
        return problem


def with_prices(command: CheckOut, prices: dict[str, Price | None]) -> CheckOut:
    """What never existed is as good as gone: the cart must not ask for it again."""
    known = {sku: Price(sku, sku, 0, status="gone") if price is None else price for sku, price in prices.items()}
    return msgspec.structs.replace(command, prices=known)
