"""Orders: checking out, asking how an order stands, and what its owner and the staff may do with it."""

import secrets
from collections.abc import Callable
from typing import Literal, NamedTuple

import uuid_utils

from actors.cart import CheckedOut, CheckOut, PricesNeeded
from actors.decision import Message, Refused
from actors.order import COMMANDS, Cancel, OrderView, PayAgain, Refund
from actors.pricing import Price, Terms
from actors.runtime.ports import Answer, Entities, KeyReused, Overloaded, Unavailable
from serve.carts.seen import SeenSkus
from serve.carts.service import Key, Prices
from serve.carts.terms import ShopTerms
from serve.gateway import clock
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem, invalid, refused
from serve.orders.bodies import order_body, pending_body, receipt_of
from serve.orders.checks import about_order, check_payment, checked_email, not_found, place_of, refused_order
from serve.orders.schemas import Contact, OrderBody, OrderPage, Payment, PlaceOrder, Receipt, RefundOrder
from serve.orders.store import OrderStore
from serve.orders.waiters import Waiters

READ_SECONDS = 3.0
ASK_SECONDS = 10.0
MAX_ROUNDS = 5
"""Times that a cart may ask for prices of lines that came in meanwhile."""


class Outcome(NamedTuple):
    """An order, and whether it is `settled`: it ended, it stands, or it needs the shopper."""

    order: OrderBody
    settled: bool


class Deadlines(NamedTuple):
    """`checkout`: seconds that a caller waits for an order to settle; `payment`: milliseconds to pay in."""

    checkout: float = 5.0
    payment: int = 1_800_000


def owner_of(principal: Principal) -> str:
    """What an order keeps of whose it is: user:<id> or guest:<cart id>."""
    return principal.key


def is_settled(view: OrderView) -> bool:
    """The same as `actors.order.settled`, of what a reader sees."""
    if view.status in ("none", "placed"):
        return False
    if view.status != "reserved":
        return True
    return not view.closing and (view.next_action is not None or view.payment_status == "failed")


class Orders:
    """Each method raises Problem, Overloaded, Unavailable or KeyReused. Orders of others are `not_found`."""

    def __init__(
        self,
        entities: Entities,
        store: OrderStore,
        prices: Prices,
        terms: ShopTerms,
        seen: SeenSkus,
        waiters: Waiters,
        *,
        deadlines: Deadlines = Deadlines(),  # noqa: B008 (immutable)
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._entities = entities
        self._store = store
        self._prices = prices
        self._terms = terms
        self._seen = seen
        self._waiters = waiters
        self._deadlines = deadlines
        self._now = now

    # Checking out

    async def place(self, principal: Principal, wanted: PlaceOrder, key: Key, *, wait: bool) -> Outcome:
        """Checks the caller's cart out. With `wait`, until the order has settled, but not for long.

        Raises Problem, of its own: nothing_to_check_out, total_changed, sku_gone, out_of_stock, email_needed.
        """
        terms = self._terms.under(wanted.shipping_method)
        if terms is None:
            known = ", ".join(shipping.method for shipping in self._terms.shippings)
            raise invalid(f"There are: {known}", "/body/shipping_method")
        check_payment(wanted.payment)
        contact = Contact(checked_email(principal, wanted.email), wanted.address, wanted.language)
        order_id, contact_id = str(uuid_utils.uuid7()), secrets.token_hex(16)
        await self._store.keep_contact(contact_id, order_id, owner_of(principal), contact, self._now())
        command = self._check_out(principal, wanted, terms, order_id, contact_id)
        try:
            answer = await self._told(principal.id, command, key, wait=wait)
        except (KeyReused, Overloaded):  # nothing was done, and nobody will ask for this contact
            await self._store.drop_contact(contact_id)
            raise
        reply = answer.reply
        if isinstance(reply, Refused):
            await self._store.drop_contact(contact_id)
            raise about_order(refused(reply), reply.about.get("order_id"))
        if isinstance(reply, CheckedOut):
            return await self._accepted(reply.order_id, order_id, contact_id, terms)
        assert isinstance(reply, OrderView)
        if reply.id != order_id:  # a repeat: the order was made before, with its own contact
            await self._store.drop_contact(contact_id)
        if answer.version == 0:
            return Outcome(pending_body(reply.id, terms), False)
        return settled_outcome(reply, answer.version)

    def _check_out(
        self, principal: Principal, wanted: PlaceOrder, terms: Terms, order_id: str, contact_id: str
    ) -> CheckOut:
        return CheckOut(
            order_id=order_id,
            owner=owner_of(principal),
            contact_id=contact_id,
            terms=terms,
            method=wanted.payment.method,
            payment_reference=wanted.payment.reference,
            prices={},
            deadline=self._deadlines.payment,
            expected_total=wanted.expected_total,
        )

    async def _told(self, cart_id: str, command: CheckOut, key: Key, *, wait: bool) -> Answer:
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
                    seconds=self._deadlines.checkout if may_wait else ASK_SECONDS,
                    follow=may_wait,
                )
                if not isinstance(answer.reply, PricesNeeded):
                    if not isinstance(answer.reply, Refused):
                        self._seen.remember(cart_id, ())
                    return answer
                skus.update(answer.reply.skus)
        raise Unavailable("the cart is changing all the time")

    async def _accepted(self, order_id: str, new_id: str, contact_id: str, terms: Terms) -> Outcome:
        """The answer to a caller who does not wait. The order may not even exist yet."""
        if order_id != new_id:
            await self._store.drop_contact(contact_id)
        answer = await self._entities.read("order", order_id, seconds=READ_SECONDS)
        if answer.version == 0:
            return Outcome(pending_body(order_id, terms), False)
        assert isinstance(answer.reply, OrderView)
        return settled_outcome(answer.reply, answer.version)

    # Reading

    async def get(self, principal: Principal, order_id: str) -> OrderBody:
        view, version = await self.view(principal, order_id)
        return order_body(view, version)

    async def view(self, principal: Principal, order_id: str) -> tuple[OrderView, int]:
        """The order and its version, for its owner and the staff."""
        answer = await self._entities.read("order", order_id, seconds=READ_SECONDS)
        view = answer.reply
        assert isinstance(view, OrderView)
        owners = {view.owner, view.guest}
        if answer.version == 0:
            # Checked out, and the cart's message has not arrived: the row that was written first tells whose it is.
            kept = await self._store.contact_of_order(order_id)
            if kept is None:
                raise not_found()
            owners = {kept.owner}
            view = OrderView(order_id, "placed", "none", owner=kept.owner, currency=self._terms.currency)
        if owner_of(principal) not in owners and not principal.is_staff:
            raise not_found()
        return view, answer.version

    async def mine(self, principal: Principal, cursor: str | None, limit: int) -> OrderPage:
        return await self._page(owner_of(principal), None, cursor, limit)

    async def all(self, status: str | None, cursor: str | None, limit: int) -> OrderPage:
        """Everybody's, for the staff."""
        return await self._page(None, status, cursor, limit)

    async def _page(self, owner: str | None, status: str | None, cursor: str | None, limit: int) -> OrderPage:
        after = None if cursor is None else place_of(cursor)
        rows = await self._store.page(owner=owner, status=status, after=after, limit=limit + 1)
        more = len(rows) > limit
        last = rows[limit - 1] if more else None
        return OrderPage(rows[:limit], None if last is None else f"{last.placed_at}.{last.id}")

    async def for_staff(self, principal: Principal, order_id: str) -> OrderBody:
        """The order with its owner and contact."""
        view, version = await self.view(principal, order_id)
        kept = await self._store.contact(view.contact_id)
        return order_body(view, version, owner=view.owner, contact=None if kept is None else kept.contact)

    async def receipt(self, principal: Principal, order_id: str) -> Receipt:
        """Raises Problem no_receipt until the order is confirmed."""
        view, _ = await self.view(principal, order_id)
        kept = await self._store.contact(view.contact_id)
        found = receipt_of(view, None if kept is None else kept.contact)
        if found is None:
            raise Problem("no_receipt", "There is a receipt once the order is confirmed.")
        return found

    # Changing

    async def cancel(self, principal: Principal, order_id: str, key: Key, *, wait: bool) -> Outcome:
        """Settled once it is cancelled; not yet while it has to be found out whether money moved."""
        view, _ = await self.view(principal, order_id)
        by: Literal["customer", "staff"] = "customer" if owner_of(principal) in (view.owner, view.guest) else "staff"
        return await self._tell(order_id, Cancel(by), key, wait=wait)

    async def pay_again(
        self, principal: Principal, order_id: str, payment: Payment, key: Key, *, wait: bool
    ) -> Outcome:
        """Tries another method of payment."""
        check_payment(payment)
        await self.view(principal, order_id)
        return await self._tell(order_id, PayAgain(payment.method, payment.reference), key, wait=wait)

    async def carry_out(self, order_id: str, command: COMMANDS, key: Key) -> OrderBody:
        """A step of fulfilment, for the staff."""
        return (await self._tell(order_id, command, key, wait=False)).order

    async def refund(self, order_id: str, wanted: RefundOrder, key: Key) -> OrderBody:
        """A repeat under the same key is the same refund."""
        refund_id = (key.command_id() or secrets.token_hex(16))[:16]
        command = Refund(refund_id, wanted.amount, dict(wanted.lines), wanted.reason)
        return await self.carry_out(order_id, command, key)

    async def _tell(self, order_id: str, command: COMMANDS, key: Key, *, wait: bool) -> Outcome:
        answer = await self._entities.ask(
            "order", order_id, command, command_id=key.command_id(), fingerprint=key.fingerprint()
        )
        view: Message = answer.reply
        version = answer.version
        if isinstance(view, Refused):
            raise refused_order(view, order_id)
        assert isinstance(view, OrderView)
        if wait and not is_settled(view):
            with self._waiters.place() as may_wait:
                if may_wait:
                    seconds = self._deadlines.checkout
                    view, version, _ = await self._entities.watch("order", order_id, seconds=seconds)
                    assert isinstance(view, OrderView)
        return Outcome(order_body(view, version), is_settled(view))


def settled_outcome(view: OrderView, version: int) -> Outcome:
    """Raises Problem out_of_stock."""
    if view.status == "rejected":
        detail = "Not enough is left of some products; your cart has its lines back."
        problem = Problem("out_of_stock", detail, about={"skus": list(view.out_of_stock), "order_id": view.id})
        raise about_order(problem, view.id)
    return Outcome(order_body(view, version), is_settled(view))


def with_prices(command: CheckOut, prices: dict[str, Price | None]) -> CheckOut:
    """What never existed is as good as gone: the cart must not ask for it again."""
    known = {sku: Price(sku, sku, 0, status="gone") if price is None else price for sku, price in prices.items()}
    return CheckOut(
        command.order_id,
        command.owner,
        command.contact_id,
        command.terms,
        command.method,
        command.payment_reference,
        known,
        command.deadline,
        command.expected_total,
    )
