"""Orders: checking out, asking how an order stands, and what its owner and the staff may do with it."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple
from urllib.parse import quote

import msgspec
import uuid_utils

from actors.cart import CheckedOut, CheckOut, PricesNeeded
from actors.decision import Refused
from actors.order import (
    CASH_ON_DELIVERY,
    COMMANDS,
    AddShipment,
    Cancel,
    NoteShipment,
    OrderView,
    PayAgain,
    Refund,
)
from actors.payment import PaymentView
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
from serve.orders.carriers import check_time, page_of
from serve.orders.checks import about_order, check_payment, checked_email, not_found, place_of, refused_order
from serve.orders.receipts import receipt_of
from serve.orders.schemas import (
    Contact,
    NewShipment,
    NewStep,
    OrderBody,
    OrderPage,
    OrdersQuery,
    Payment,
    PlaceOrder,
    Receipt,
    RefundOrder,
    Seller,
)
from serve.orders.store import Filters, OrderStore
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
    """Each method raises Problem, Overloaded, Unavailable or KeyReused. Orders of others are `not_found`.

    `show_cart` gives the caller's cart as it is, to be shown when its total is not the expected one.
    """

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
        show_cart: Callable[[Principal], Awaitable[CartBody]] | None = None,
        seller: Seller = Seller(),  # noqa: B008 (immutable)
    ) -> None:
        self._entities = entities
        self._store = store
        self._prices = prices
        self._terms = terms
        self._seen = seen
        self._waiters = waiters
        self._deadlines = deadlines
        self._now = now
        self._show_cart = show_cart
        self._seller = seller

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
            raise about_order(await self._explained(refused(reply), principal, terms), reply.about.get("order_id"))
        if isinstance(reply, CheckedOut):
            return await self._accepted(reply.order_id, order_id, contact_id, terms)
        assert isinstance(reply, OrderView)
        if reply.id != order_id:  # a repeat: the order was made before, with its own contact
            await self._store.drop_contact(contact_id)
        if answer.version == 0:
            return Outcome(pending_body(reply.id, terms), False)
        return settled_outcome(reply, answer.version)

    async def _explained(self, problem: Problem, principal: Principal, terms: Terms) -> Problem:
        """With what the caller needs to go on: the new cart, under the terms asked for, or the order under way."""
        about = problem.about.get("about", {})
        if problem.code == "total_changed" and self._show_cart is not None:
            cart = await self._show_cart(principal)
            sold = [Line(one.id, one.sku, one.name, one.quantity, one.unit_price) for one in cart.lines if not one.gone]
            problem.about["about"] = {**about, "cart": msgspec.structs.replace(cart, totals=totals(sold, terms))}
        elif problem.code == "nothing_to_check_out" and about.get("order_id") is not None:
            order = await self.get(principal, about["order_id"])
            problem.about["about"] = {**about, "order": order}
        return problem

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

    async def get(self, principal: Principal, order_id: str, access: str | None = None) -> OrderBody:
        view, version = await self.view(principal, order_id, access)
        return order_body(view, version)

    async def view(self, principal: Principal, order_id: str, access: str | None = None) -> tuple[OrderView, int]:
        """The order and its version, for its owner, the staff, and who knows its `access` token."""
        if access is None and principal.kind == "anonymous":
            raise Problem("not_authenticated", "Send a token: Authorization: Bearer ..., or the one of the link.")
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
        if principal.is_staff or owner_of(principal) in owners - {""}:
            return view, answer.version
        if access is None or not await self._store.opens(order_id, access):
            raise not_found()
        return view, answer.version

    async def access_link(self, order_id: str) -> str | None:
        """The path, with the secret in it, that opens an order to whom it is mailed; None once it was revoked."""
        kept = await self._store.contact_of_order(order_id)
        token = None if kept is None else await self._store.access_token(kept.id)
        return None if token is None else f"/api/orders/{quote(order_id, safe='')}?access={token}"

    async def revoke_access(self, principal: Principal, order_id: str) -> None:
        """No link opens the order any more; for its owner and the staff."""
        await self._to_change(principal, order_id)
        await self._store.revoke_access(order_id)

    async def mine(self, principal: Principal, query: OrdersQuery) -> OrderPage:
        return await self._page(owner_of(principal), query)

    async def all(self, query: OrdersQuery) -> OrderPage:
        """Everybody's, for the staff."""
        return await self._page(None, query)

    async def _page(self, owner: str | None, query: OrdersQuery) -> OrderPage:
        limit = query.limit
        after = None if query.cursor is None else place_of(query.cursor)
        filters = Filters(query.status, query.payment_status, query.since, query.until, query.q)
        rows = await self._store.page(owner=owner, filters=filters, after=after, limit=limit + 1)
        more = len(rows) > limit
        last = rows[limit - 1] if more else None
        return OrderPage(rows[:limit], None if last is None else f"{last.placed_at}.{last.id}")

    async def for_staff(self, principal: Principal, order_id: str) -> OrderBody:
        """The order with its owner and contact."""
        view, version = await self.view(principal, order_id)
        kept = await self._store.contact(view.contact_id)
        return order_body(view, version, owner=view.owner, contact=None if kept is None else kept.contact)

    async def receipt(self, principal: Principal, order_id: str, access: str | None = None) -> Receipt:
        """Raises Problem no_receipt until the order is confirmed."""
        view, _ = await self.view(principal, order_id, access)
        kept = await self._store.contact(view.contact_id)
        payment = None
        if view.paid and view.method != CASH_ON_DELIVERY:
            session = await self._entities.read("payment", order_id, seconds=READ_SECONDS)
            assert isinstance(session.reply, PaymentView)
            payment = session.reply
        found = receipt_of(view, None if kept is None else kept.contact, payment, self._seller)
        if found is None:
            raise Problem("no_receipt", "There is a receipt once the order is confirmed.")
        return found

    # Changing

    async def _to_change(self, principal: Principal, order_id: str) -> OrderView:
        """Raises Problem order_adopted for the guest whose order it was: such a token looks, as a mailed link does."""
        view, _ = await self.view(principal, order_id)
        if not principal.is_staff and owner_of(principal) != view.owner:
            raise Problem("order_adopted", "The order is an account's now, and only its owner changes it: log in.")
        return view

    async def cancel(self, principal: Principal, order_id: str, key: Key, *, wait: bool) -> Outcome:
        """Settled once it is cancelled; not yet while it has to be found out whether money moved."""
        view = await self._to_change(principal, order_id)
        by: Literal["customer", "staff"] = "customer" if owner_of(principal) == view.owner else "staff"
        return await self._tell(order_id, Cancel(by), key, wait=wait)

    async def pay_again(
        self, principal: Principal, order_id: str, payment: Payment, key: Key, *, wait: bool
    ) -> Outcome:
        """Tries another method of payment."""
        check_payment(payment)
        await self._to_change(principal, order_id)
        return await self._tell(order_id, PayAgain(payment.method, payment.reference), key, wait=wait)

    async def carry_out(self, order_id: str, command: COMMANDS, key: Key) -> OrderBody:
        """A step of fulfilment, for the staff."""
        view, version = await self._told_order(order_id, command, key)
        return order_body(view, version, owner=view.owner)

    async def add_shipment(self, order_id: str, wanted: NewShipment, key: Key) -> OrderBody:
        url = page_of(wanted.carrier, wanted.tracking) if wanted.url is None else wanted.url
        day = "" if wanted.expected_on is None else wanted.expected_on.isoformat()
        command = AddShipment(wanted.carrier, wanted.tracking, dict(wanted.lines), url, day)
        return await self.carry_out(order_id, command, key)

    async def note_shipment(self, order_id: str, shipment_id: str, news: NewStep, key: Key) -> OrderBody:
        now = self._now()
        at = now if news.at is None else news.at
        check_time(at, now)
        return await self.carry_out(order_id, NoteShipment(shipment_id, news.step, at, news.code), key)

    async def refund(self, order_id: str, wanted: RefundOrder, key: Key) -> OrderBody:
        """A repeat under the same key is the same refund."""
        refund_id = (key.command_id() or secrets.token_hex(16))[:16]
        back, discarded = wanted.units(restock=True), wanted.units(restock=False)
        command = Refund(refund_id, wanted.amount, back, wanted.reason, discarded, wanted.shipped())
        return await self.carry_out(order_id, command, key)

    async def _told_order(self, order_id: str, command: COMMANDS, key: Key) -> tuple[OrderView, int]:
        answer = await self._entities.ask(
            "order", order_id, command, command_id=key.command_id(), fingerprint=key.fingerprint()
        )
        if isinstance(answer.reply, Refused):
            raise refused_order(answer.reply, order_id)
        assert isinstance(answer.reply, OrderView)
        return answer.reply, answer.version

    async def _tell(self, order_id: str, command: COMMANDS, key: Key, *, wait: bool) -> Outcome:
        view, version = await self._told_order(order_id, command, key)
        if wait and not is_settled(view):
            with self._waiters.place() as may_wait:
                if may_wait:
                    watched = await self._entities.watch("order", order_id, seconds=self._deadlines.checkout)
                    assert isinstance(watched.reply, OrderView)
                    view, version = watched.reply, watched.version
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
