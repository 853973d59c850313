"""The orders' routes for shoppers: checking out, looking, following, cancelling, paying. All are lean."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence

from actors.runtime.ports import Entities
from serve.gateway.lean import Event, Request, Response, Routes, empty, events, json
from serve.gateway.problems import Problem
from serve.notifications.languages import Language, accepted, supported
from serve.orders.checkout import Checkout
from serve.orders.examples import EXAMPLES
from serve.orders.following import last_seen, steps
from serve.orders.outcomes import Outcome
from serve.orders.receipts import receipt_html, receipt_text
from serve.orders.schemas import (
    AccessQuery,
    OrderBody,
    OrderPage,
    OrdersQuery,
    Payment,
    PlaceOrder,
    Receipt,
    Tracking,
)
from serve.orders.service import Orders
from serve.orders.waiters import Waiters

KEY = {"Idempotency-Key": "The same key again is the same order: it is answered as it is by then."}
PREFER = {"Prefer": "`respond-async`: do not wait for the order to settle."}
ACCESS = {"X-Order-Access": "The same as `access`, where an address is not the place for it."}
RETRY_SECONDS = "1"
_OPENED = "For its owner, and with `access` for whoever has the link that was mailed."
_NO_STORE = {"Cache-Control": "no-store"}
LANGUAGE = {"Accept-Language": "Of a receipt to read, en or de, where the order has no language of its own."}
_PRIVATE = [(b"cache-control", b"no-store"), (b"vary", b"accept, accept-language")]
_ORDER = {
    "address": {
        "name": "Ada Byron",
        "line1": "12 St James's Square",
        "city": "London",
        "postal_code": "SW1Y 4JH",
        "country": "GB",
    },
    "email": "ada@example.com",
    "shipping_method": "standard",
    "payment": {"method": "card", "reference": "pm_card_visa"},
    "expected_total": 3390,
}


def order_routes(
    checkout: Checkout, orders: Orders, entities: Entities, streams: Waiters, language: Language = "en"
) -> Routes:
    """All routes of orders for shoppers. `streams` bounds how many are followed at once; `language`: of receipts for
    who asked for none."""
    routes = Routes(tag="orders", refuses_cards=True, examples=EXAMPLES)
    _add_checkout(routes, checkout)
    _add_reading(routes, orders)
    _add_receipts(routes, orders, language)
    _add_events(routes, orders, entities, streams)
    _add_changes(routes, orders)
    return routes


def _answer(outcome: Outcome, done: int) -> Response:
    """`done`, or 202 and where to ask while the order is under way."""
    place = {**_NO_STORE, "Location": f"/api/orders/{outcome.order.id}"}
    if outcome.settled:
        return json(outcome.order, done, place)
    return json(outcome.order, 202, {**place, "Retry-After": RETRY_SECONDS})


def _add_checkout(routes: Routes, checkout: Checkout) -> None:
    @routes.post(
        "/api/orders",
        summary="Check the cart out",
        description="Waits a few seconds for the order to be confirmed, to end or to need the shopper (`next_action`): "
        "201. While it is still under way, and always with `Prefer: respond-async`: 202 with Location and Retry-After.",
        access="shopper",
        body=PlaceOrder,
        headers={**KEY, **PREFER},
        answers={201: OrderBody, 202: OrderBody},
        problems=(
            "nothing_to_check_out",
            "total_changed",
            "sku_gone",
            "out_of_stock",
            "too_many_orders",
            "email_needed",
            "cart_full",
            "cart_merged",
        ),
        example=_ORDER,
    )
    async def place(request: Request) -> Response:
        wait = not request.prefers("respond-async")
        return _answer(await checkout.place(request.principal, request.body, request, wait=wait), 201)


def _add_reading(routes: Routes, orders: Orders) -> None:
    @routes.get(
        "/api/orders",
        summary="The caller's orders, newest first",
        description="Send `next` as `cursor` until it is null. A new order may take a moment to be listed. "
        "`from` and before `to`: when it was placed; `q`: the beginning of its id, or a SKU that it has.",
        access="shopper",
        query=OrdersQuery,
        answers={200: OrderPage},
        problems=("bad_cursor",),
    )
    async def mine(request: Request) -> Response:
        return json(await orders.mine(request.principal, request.query), headers=_NO_STORE)

    @routes.get(
        "/api/orders/{id}",
        summary="An order",
        description=_OPENED,
        query=AccessQuery,
        headers=ACCESS,
        answers={200: OrderBody},
        problems=("not_authenticated", "not_found"),
    )
    async def one(request: Request) -> Response:
        order = await orders.get(request.principal, request.params["id"], _access(request))
        return json(order, headers=_NO_STORE)

    @routes.get(
        "/api/orders/{id}/tracking",
        summary="Where an order is",
        description=_OPENED,
        query=AccessQuery,
        headers=ACCESS,
        answers={200: Tracking},
        problems=("not_authenticated", "not_found"),
    )
    async def tracking(request: Request) -> Response:
        order = await orders.get(request.principal, request.params["id"], _access(request))
        body = Tracking(order.id, order.status, order.shipments, order.history, order.partially_shipped)
        return json(body, headers=_NO_STORE)


def _add_receipts(routes: Routes, orders: Orders, language: Language) -> None:
    def language_of(request: Request, receipt: Receipt) -> Language:
        wanted = None if receipt.contact is None else receipt.contact.language
        return supported(wanted, accepted(request.header("accept-language"), language))

    @routes.get(
        "/api/orders/{id}/receipt",
        summary="The receipt of a confirmed order",
        description=_OPENED,
        query=AccessQuery,
        headers={
            **ACCESS,
            "Accept": "`text/html` for a page to print, `text/plain` for a text; else JSON.",
            **LANGUAGE,
        },
        answers={200: Receipt},
        problems=("not_authenticated", "not_found", "no_receipt"),
    )
    async def receipt(request: Request) -> Response:
        found = await orders.receipt(request.principal, request.params["id"], _access(request))
        wanted = best_of(request.header("accept"), ("application/json", "text/html", "text/plain"))
        if wanted == "text/html":
            return await _page(found, language_of(request, found))
        if wanted == "application/json":
            return json(found, headers={**_NO_STORE, "Vary": "Accept"})
        spoken = language_of(request, found)
        headers = [(b"content-type", b"text/plain; charset=utf-8"), _content_language(spoken), *_PRIVATE]
        return Response(200, receipt_text(found, spoken).encode(), headers)

    @routes.get(
        "/api/orders/{id}/receipt.html",
        summary="The receipt as a page to print",
        description=_OPENED,
        query=AccessQuery,
        headers={**ACCESS, **LANGUAGE},
        answers={200: None},
        problems=("not_authenticated", "not_found", "no_receipt"),
    )
    async def page(request: Request) -> Response:
        found = await orders.receipt(request.principal, request.params["id"], _access(request))
        return await _page(found, language_of(request, found))


def _content_language(language: Language) -> tuple[bytes, bytes]:
    return b"content-language", language.encode()


async def _page(receipt: Receipt, language: Language) -> Response:
    html = await asyncio.to_thread(receipt_html, receipt, language)
    headers = [
        _content_language(language),
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
        # The address of the page may have the secret that opens it.
        (b"referrer-policy", b"no-referrer"),
        *_PRIVATE,
    ]
    return Response(200, html.encode(), headers)


def _access(request: Request) -> str | None:
    query: AccessQuery = request.query
    return query.access or request.header("x-order-access")


def best_of(accept: str | None, offered: Sequence[str]) -> str:
    """Of what is offered, best first, what an Accept header likes best; the first if it says nothing of them."""
    likes: dict[str, float] = {}
    for part in (accept or "").lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
        likes[kind] = float(quality) if re.fullmatch(r"[01](\.[0-9]{0,3})?", quality) else 0.0
    return max(offered, key=lambda one: likes.get(one, likes.get(f"{one.partition('/')[0]}/*", likes.get("*/*", 0.0))))


def _add_events(routes: Routes, orders: Orders, entities: Entities, streams: Waiters) -> None:
    @routes.get(
        "/api/orders/{id}/events",
        summary="An order's steps as they happen",
        description="Server-sent events: `step` for each line of the history, with its number as id, and `end` once "
        f"nothing more will happen: close the connection then. {_OPENED}",
        query=AccessQuery,
        headers={**ACCESS, "Last-Event-ID": "Steps up to this one are left out."},
        answers={200: str},
        streams=True,
        problems=("not_authenticated", "not_found", "overloaded"),
    )
    async def follow(request: Request) -> Response:
        view, version = await orders.view(request.principal, request.params["id"], _access(request))
        seen = last_seen(request.header("last-event-id"))
        if streams.waiting >= streams.limit:
            raise Problem("overloaded", "Too many orders are followed here.", headers={"Retry-After": "5"})

        async def counted() -> AsyncIterator[Event | None]:
            with streams.place():
                async for event in steps(entities, view, version, seen):
                    yield event

        return events(counted())


def _add_changes(routes: Routes, orders: Orders) -> None:
    @routes.post(
        "/api/orders/{id}/access/revoke",
        summary="No mailed link opens the order any more",
        access="shopper",
        answers={204: None},
        problems=("not_found", "order_adopted"),
    )
    async def revoke(request: Request) -> Response:
        await orders.revoke_access(request.principal, request.params["id"])
        return empty()

    @routes.post(
        "/api/orders/{id}/cancel",
        summary="Cancel an order that is not packed yet",
        description="What was paid is refunded. 202 while it has to be found out whether money moved.",
        access="shopper",
        headers={**KEY, **PREFER},
        answers={200: OrderBody, 202: OrderBody},
        problems=("not_found", "too_late", "order_adopted"),
    )
    async def cancel(request: Request) -> Response:
        wait = not request.prefers("respond-async")
        return _answer(await orders.cancel(request.principal, request.params["id"], request, wait=wait), 200)

    @routes.post(
        "/api/orders/{id}/payment",
        summary="Pay by another method",
        access="shopper",
        body=Payment,
        headers={**KEY, **PREFER},
        answers={200: OrderBody, 202: OrderBody},
        problems=(
            *("not_found", "not_awaiting_payment", "method_not_allowed_for_order", "too_many_attempts"),
            "order_adopted",
        ),
        example={"method": "card", "reference": "pm_card_visa"},
    )
    async def pay_again(request: Request) -> Response:
        wait = not request.prefers("respond-async")
        order_id = request.params["id"]
        return _answer(await orders.pay_again(request.principal, order_id, request.body, request, wait=wait), 200)
