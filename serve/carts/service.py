"""Carts: commands to cart entities, and carts as a shopper sees them, at today's prices."""

import asyncio
import secrets
import time
from collections.abc import Iterable
from typing import Protocol

from actors.cart import (
    GUEST_PREFIX,
    AddLine,
    AddLines,
    CartChanged,
    CartView,
    ChangeLine,
    Clear,
    ClientCommand,
    Merge,
    RemoveLine,
)
from actors.decision import Message, Refused
from actors.pricing import Line, Price, totals
from actors.runtime.ports import Answer, Entities
from serve.carts.kept import KeptCarts
from serve.carts.schemas import AddItem, AddItems, CartBody, LineBody
from serve.carts.seen import SeenSkus
from serve.carts.terms import ShopTerms
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem, declare, refused

MERGE_SECONDS = 2.0
READ_SECONDS = 3.0

declare("bad_price", 422, "Unusable price")
declare("cannot_merge", 409, "These carts cannot be merged")


class Prices(Protocol):
    """What things cost now, learned from the catalogue's events and kept in memory. The catalogue implements it."""

    async def prices(self, skus: Iterable[str]) -> dict[str, Price | None]:
        """The price of each SKU, also of one that is gone from sale; None for one that never existed."""
        ...


class GuestTokens(Protocol):
    """Signed tokens of guests' carts."""

    async def guest(self, cart_id: str) -> str:
        """The token of the guest whose cart has this id."""
        ...

    async def verify(self, token: str) -> Principal:
        """Raises Problem `invalid_token`."""
        ...


class Key(Protocol):
    """What makes a request repeatable: `serve.gateway.lean.Request` has it."""

    def command_id(self) -> str | None: ...

    def fingerprint(self) -> bytes: ...


class Carts:
    """Each method raises Problem, Overloaded, Unavailable or KeyReused."""

    def __init__(
        self,
        entities: Entities,
        prices: Prices,
        terms: ShopTerms,
        tokens: GuestTokens,
        seen: SeenSkus,
        kept: KeptCarts | None = None,
    ) -> None:
        self._entities = entities
        self._prices = prices
        self._terms = terms
        self._tokens = tokens
        self._seen = seen
        self._kept = kept

    async def add(self, principal: Principal, item: AddItem, key: Key) -> CartBody:
        """Puts a product in the caller's cart; a caller without one gets one, and its token."""
        if item.agreed_price is not None and not principal.is_staff:
            raise Problem("forbidden", "Only staff agree on prices.")
        price = (await self._prices.prices((item.sku,)))[item.sku]
        command = AddLine(item.sku, item.quantity, price, item.agreed_price)
        if principal.kind != "anonymous":
            return await self._tell(principal.id, command, key)
        if price is None:  # else each of these would leave an empty cart behind
            raise Problem("unknown_sku", "There is no such product.", about={"sku": item.sku})
        cart_id = GUEST_PREFIX + secrets.token_hex(16)
        return await self._tell(cart_id, command, key, await self._tokens.guest(cart_id), creates=True)

    async def quote(self, wanted: AddItems, key: Key) -> CartBody:
        """A new guest's cart with these lines, for the staff; its token is the guest's. One cart for each key."""
        command_id = key.command_id()
        # Made from the key, so that a repetition finds the cart that is there; it is the token that grants anything.
        name = secrets.token_hex(16) if command_id is None else command_id[:32]
        cart_id = GUEST_PREFIX + name
        return await self.fill(cart_id, wanted, key, await self._tokens.guest(cart_id))

    async def fill(self, cart_id: str, wanted: AddItems, key: Key, new_token: str | None = None) -> CartBody:
        """Puts many lines in anybody's cart at once, for the staff."""
        prices = await self._prices.prices({item.sku for item in wanted.items})
        lines = (
            AddLine(item.sku, item.quantity, prices[item.sku], item.agreed_price, line=True) for item in wanted.items
        )
        command = AddLines(tuple(lines))
        creates = new_token is not None and key.command_id() is None
        return await self._tell(cart_id, command, key, new_token, creates=creates)

    async def change(self, principal: Principal, line_id: str, quantity: int, key: Key) -> CartBody:
        return await self._tell(principal.id, ChangeLine(line_id, quantity), key)

    async def remove(self, principal: Principal, line_id: str, key: Key) -> CartBody:
        return await self._tell(principal.id, RemoveLine(line_id), key)

    async def clear(self, principal: Principal, key: Key) -> CartBody:
        return await self._tell(principal.id, Clear(), key)

    async def read(self, principal: Principal, at_least: int = 0) -> CartBody:
        """The cart at version `at_least` or a later one; a caller without a cart has an empty one, of version 0."""
        if principal.kind == "anonymous":
            return await self._body("", CartView(), 0)

        async def read() -> Answer:
            return await self._entities.read("cart", principal.id, at_least=at_least, seconds=READ_SECONDS)

        answer = await (read() if self._kept is None else self._kept.read(principal.id, at_least, read))
        return await self._body(principal.id, answer.reply, answer.version)

    async def merge(self, principal: Principal, guest_token: str, key: Key) -> CartBody:
        """Gives a guest's lines to the caller's cart and waits a little for them to arrive. Harmless when repeated."""
        guest = await self._tokens.verify(guest_token)
        if guest.kind != "guest":
            raise Problem("invalid_token", "This is not a guest's token.")
        mine, theirs = await asyncio.gather(
            self._entities.read("cart", principal.id, seconds=READ_SECONDS),
            self._entities.read("cart", guest.id, seconds=READ_SECONDS),
        )
        if theirs.version == 0:
            return await self._body(principal.id, mine.reply, mine.version)
        answer = await self._ask(guest.id, Merge(principal.id), key)
        if isinstance(answer.reply, Refused) and answer.reply.about.get("into") != principal.id:
            raise _refused(answer.reply)
        if isinstance(theirs.reply, CartView) and theirs.reply.lines:
            mine = await self._entities.watch("cart", principal.id, beyond=mine.version, seconds=MERGE_SECONDS)
        return await self._body(principal.id, mine.reply, mine.version)

    async def _ask(self, cart_id: str, command: ClientCommand, key: Key, *, creates: bool = False) -> Answer:
        return await self._entities.ask(
            "cart", cart_id, command, command_id=key.command_id(), fingerprint=key.fingerprint(), creates=creates
        )

    async def _tell(
        self, cart_id: str, command: ClientCommand, key: Key, new_token: str | None = None, *, creates: bool = False
    ) -> CartBody:
        began = time.monotonic()
        answer = await self._ask(cart_id, command, key, creates=creates)
        reply: Message = answer.reply
        version = answer.version
        if isinstance(reply, Refused):
            raise _refused(reply)
        fresh = not answer.repeated  # else the cart is shown as it was then, which is no news to others
        if isinstance(reply, CartChanged):
            reply, version, _ = await self._entities.read("cart", cart_id, at_least=version, seconds=READ_SECONDS)
            fresh = True
        if self._kept is not None and fresh:
            await self._kept.put(cart_id, Answer(reply, version), began)
        return await self._body(cart_id, reply, version, new_token)

    async def _body(self, cart_id: str, reply: Message, version: int, new_token: str | None = None) -> CartBody:
        assert isinstance(reply, CartView)
        if reply.merged_into is not None:
            raise Problem("cart_merged", "This cart has become part of the one of a user: log in to see it.")
        skus = {line.sku for line in reply.lines}
        if cart_id:
            self._seen.remember(cart_id, skus)
        prices = await self._prices.prices(skus) if skus else {}
        lines = [_shown(line, prices.get(line.sku)) for line in reply.lines]
        charged = [
            Line(line.id, line.sku, line.name, line.quantity, line.unit_price) for line in lines if not line.gone
        ]
        terms = self._terms.under()
        assert terms is not None, "the shop has no way to ship"
        body = CartBody(
            cart_id, version, terms.currency, lines, totals(charged, terms), list(reply.slots), reply.last_order
        )
        return body if new_token is None else _with_token(body, new_token)


def _with_token(body: CartBody, token: str) -> CartBody:
    return CartBody(
        body.id, body.version, body.currency, body.lines, body.totals, body.pending_orders, body.last_order, token
    )


def _shown(line: Line, price: Price | None) -> LineBody:
    """A line at today's price. An agreed price holds as long as the product is sold."""
    gone = price is None or price.status == "gone"
    now = line.unit_price if price is None or line.agreed else price.amount
    return LineBody(
        id=line.id,
        sku=line.sku,
        name=line.name if price is None else price.name,
        quantity=line.quantity,
        unit_price=now,
        changed_from=None if now == line.unit_price else line.unit_price,
        gone=gone,
        agreed=line.agreed,
        total=now * line.quantity,
    )


def _refused(answer: Refused) -> Problem:
    if answer.code == "cart_merged":  # whose it became is not told
        return Problem("cart_merged", "This cart has become part of the one of a user: log in to see it.")
    return refused(answer)
