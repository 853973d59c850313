"""The orders' routes for shoppers: checking out, looking, following, cancelling, paying. All are lean."""

from collections.abc import AsyncIterator

from actors.runtime.ports import Entities
from serve.gateway.lean import Event, Request, Response, Routes, events, json
from serve.gateway.problems import Problem
from serve.orders.bodies import receipt_text
from serve.orders.following import last_seen, steps
from serve.orders.schemas import (
    OrderBody,
    OrderPage,
    OrdersQuery,
    Payment,
    PlaceOrder,
    Receipt,
    Tracking,
)
from serve.orders.service import Orders, Outcome
from serve.orders.waiters import Waiters

KEY = {"Idempotency-Key": "The same key again is the same order: it is answered as it is by then."}
PREFER = {"Prefer": "`respond-async`: do not wait for the order to settle."}
RETRY_SECONDS = "1"
_NO_STORE = {"Cache-Control": "no-store"}
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


def order_routes(orders: Orders, entities: Entities, streams: Waiters) -> Routes:
    """All routes of orders for shoppers. `streams` bounds how many are followed at once."""
    routes = Routes(tag="orders")
    _add_checkout(routes, orders)
    _add_reading(routes, orders)
    _add_events(routes, orders, entities, streams)
    _add_changes(routes, orders)
    return routes


def _answer(outcome: Outcome, done: int) -> Response:
    """`done`, or 202 and where to ask while the order is under way."""
    place = {**_NO_STORE, "Location": f"/api/orders/{outcome.order.id}"}
    if outcome.settled:
        return json(outcome.order, done, place)
    return json(outcome.order, 202, {**place, "Retry-After": RETRY_SECONDS})


def _add_checkout(routes: Routes, orders: Orders) -> None:
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
        return _answer(await orders.place(request.principal, request.body, request, wait=wait), 201)


def _add_reading(routes: Routes, orders: Orders) -> None:
    @routes.get(
        "/api/orders",
        summary="The caller's orders, newest first",
        description="Send `next` as `cursor` until it is null. A new order may take a moment to be listed.",
        access="shopper",
        query=OrdersQuery,
        answers={200: OrderPage},
        problems=("bad_cursor",),
    )
    async def mine(request: Request) -> Response:
        query: OrdersQuery = request.query
        return json(await orders.mine(request.principal, query.cursor, query.limit), headers=_NO_STORE)

    @routes.get(
        "/api/orders/{id}", summary="An order", access="shopper", answers={200: OrderBody}, problems=("not_found",)
    )
    async def one(request: Request) -> Response:
        return json(await orders.get(request.principal, request.params["id"]), headers=_NO_STORE)

    @routes.get(
        "/api/orders/{id}/tracking",
        summary="Where an order is",
        access="shopper",
        answers={200: Tracking},
        problems=("not_found",),
    )
    async def tracking(request: Request) -> Response:
        order = await orders.get(request.principal, request.params["id"])
        return json(Tracking(order.id, order.status, order.shipments, order.history), headers=_NO_STORE)

    @routes.get(
        "/api/orders/{id}/receipt",
        summary="The receipt of a confirmed order",
        access="shopper",
        headers={"Accept": "`text/plain` for a text to print; else JSON."},
        answers={200: Receipt},
        problems=("not_found", "no_receipt"),
    )
    async def receipt(request: Request) -> Response:
        found = await orders.receipt(request.principal, request.params["id"])
        if not (request.header("accept") or "").startswith("text/plain"):
            return json(found, headers=_NO_STORE)
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
        return Response(200, receipt_text(found).encode(), headers)


def _add_events(routes: Routes, orders: Orders, entities: Entities, streams: Waiters) -> None:
    @routes.get(
        "/api/orders/{id}/events",
        summary="An order's steps as they happen",
        description="Server-sent events: `step` for each line of the history, with its number as id, and `end` once "
        "nothing more will happen: close the connection then.",
        access="shopper",
        headers={"Last-Event-ID": "Steps up to this one are left out."},
        answers={200: str},
        streams=True,
        problems=("not_found", "overloaded"),
    )
    async def follow(request: Request) -> Response:
        view, version = await orders.view(request.principal, request.params["id"])
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
        "/api/orders/{id}/cancel",
        summary="Cancel an order that is not packed yet",
        description="What was paid is refunded. 202 while it has to be found out whether money moved.",
        access="shopper",
        headers={**KEY, **PREFER},
        answers={200: OrderBody, 202: OrderBody},
        problems=("not_found", "too_late"),
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
        problems=("not_found", "not_awaiting_payment", "method_not_allowed_for_order", "too_many_attempts"),
        example={"method": "card", "reference": "pm_card_visa"},
    )
    async def pay_again(request: Request) -> Response:
        wait = not request.prefers("respond-async")
        order_id = request.params["id"]
        return _answer(await orders.pay_again(request.principal, order_id, request.body, request, wait=wait), 200)
