"""Orders once they are placed: how they stand, and what their owners and the staff may do with them."""

import secrets
from collections.abc import Callable
from typing import Literal
from urllib.parse import quote

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
from actors.runtime.ports import Entities
from serve.carts.service import Key
from serve.gateway import clock
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem
from serve.orders.bodies import order_body
from serve.orders.carriers import check_time, page_of
from serve.orders.checks import check_payment, not_found, place_of, refused_order
from serve.orders.outcomes import Outcome, is_settled
from serve.orders.receipts import receipt_of
from serve.orders.schemas import (
    NewShipment,
    NewStep,
    OrderBody,
    OrderPage,
    OrdersQuery,
    Payment,
    Receipt,
    RefundOrder,
    Seller,
)
from serve.orders.store import Filters, OrderStore
from serve.orders.waiters import Waiters

READ_SECONDS = 3.0


class Orders:
    """Each method raises Problem, Overloaded, Unavailable or KeyReused. Orders of others are `not_found`.

    `wait`: seconds that a caller waits for an order to settle. `currency`: of orders that are still on their way.
    `hosted`: see `check_payment`.
    """

    def __init__(
        self,
        entities: Entities,
        store: OrderStore,
        waiters: Waiters,
        *,
        currency: str,
        wait: float = 5.0,
        now: Callable[[], int] = clock.now_ms,
        seller: Seller = Seller(),  # noqa: B008 (immutable)
        hosted: bool = False,
    ) -> None:
        self._entities = entities
        self._store = store
        self._waiters = waiters
        self._currency = currency
        self._wait = wait
        self._now = now
        self._seller = seller
        self._hosted = hosted

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
            view = OrderView(order_id, "placed", "none", owner=kept.owner, currency=self._currency)
        if principal.is_staff or principal.key in owners - {""}:
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
        return await self._page(principal.key, query)

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
        if not principal.is_staff and principal.key != view.owner:
            raise Problem("order_adopted", "The order is an account's now, and only its owner changes it: log in.")
        return view

    async def cancel(self, principal: Principal, order_id: str, key: Key, *, wait: bool) -> Outcome:
        """Settled once it is cancelled; not yet while it has to be found out whether money moved."""
        view = await self._to_change(principal, order_id)
        by: Literal["customer", "staff"] = "customer" if principal.key == view.owner else "staff"
        return await self._tell(order_id, Cancel(by), key, wait=wait)

    async def pay_again(
        self, principal: Principal, order_id: str, payment: Payment, key: Key, *, wait: bool
    ) -> Outcome:
        """Tries another method of payment."""
        check_payment(payment, hosted=self._hosted)
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
                    watched = await self._entities.watch("order", order_id, seconds=self._wait)
                    assert isinstance(watched.reply, OrderView)
                    view, version = watched.reply, watched.version
        return Outcome(order_body(view, version), is_settled(view))
