"""The staff's routes: fulfilment, refunds, stock."""

from typing import Any

from actors.order import COMMANDS, Deliver, Pack, Ship
from serve.gateway.lean import Handler, Request, Response, Routes, empty, json
from serve.orders.carriers import page_of
from serve.orders.examples import EXAMPLES
from serve.orders.schemas import (
    CorrectStock,
    NewShipment,
    NewStep,
    OrderBody,
    OrderPage,
    OrdersQuery,
    ReceiveStock,
    RefundOrder,
    ShipOrder,
    StockBody,
)
from serve.orders.service import Orders
from serve.orders.stock import Stock

KEY = {"Idempotency-Key": "The same key again gets the first answer again; nothing is done twice."}
# A parcel's number may be as long as a card's, and is none.
TRACKING = frozenset({"tracking"})


def admin_order_routes(orders: Orders, stock: Stock) -> Routes:
    routes = Routes(tag="staff: orders and stock", refuses_cards=True, examples=EXAMPLES)
    _add_reading(routes, orders)
    _add_fulfilment(routes, orders)
    _add_stock(routes, stock)
    return routes


def _add_reading(routes: Routes, orders: Orders) -> None:
    @routes.get(
        "/api/admin/orders",
        summary="Everybody's orders, newest first",
        access="staff",
        query=OrdersQuery,
        answers={200: OrderPage},
        problems=("bad_cursor",),
    )
    async def all_orders(request: Request) -> Response:
        return json(await orders.all(request.query))

    @routes.get(
        "/api/admin/orders/{id}",
        summary="An order with its owner and contact",
        access="staff",
        answers={200: OrderBody},
        problems=("not_found",),
    )
    async def one(request: Request) -> Response:
        return json(await orders.for_staff(request.principal, request.params["id"]))

    @routes.post(
        "/api/admin/orders/{id}/access/revoke",
        summary="No mailed link opens the order any more",
        access="staff",
        answers={204: None},
        problems=("not_found",),
    )
    async def revoke(request: Request) -> Response:
        await orders.revoke_access(request.principal, request.params["id"])
        return empty()


def _add_fulfilment(routes: Routes, orders: Orders) -> None:
    declared: dict[str, Any] = {
        "access": "staff",
        "headers": KEY,
        "answers": {200: OrderBody},
        "problems": ("not_found", "wrong_status"),
    }

    def carrying_out(command: COMMANDS) -> Handler:
        async def carry_out(request: Request) -> Response:
            return json(await orders.carry_out(request.params["id"], command, request))

        return carry_out

    routes.post("/api/admin/orders/{id}/pack", summary="The order is packed", **declared)(carrying_out(Pack()))
    routes.post("/api/admin/orders/{id}/deliver", summary="The order has arrived", **declared)(carrying_out(Deliver()))

    @routes.post(
        "/api/admin/orders/{id}/ship",
        summary="The order is on its way, all that has yet to leave in one parcel",
        body=ShipOrder,
        long_numbers=TRACKING,
        example={"carrier": "DHL", "tracking": "JD014600006281230701"},
        **{**declared, "problems": (*declared["problems"], "not_captured", "bad_shipment_lines", "too_many_shipments")},
    )
    async def ship(request: Request) -> Response:
        sent: ShipOrder = request.body
        command = Ship(sent.carrier, sent.tracking, page_of(sent.carrier, sent.tracking))
        return json(await orders.carry_out(request.params["id"], command, request))

    _add_shipments(routes, orders)
    refunds = ("not_captured", "bad_refund_lines", "bad_amount", "refund_too_large", "too_many_refunds")

    @routes.post(
        "/api/admin/orders/{id}/refunds",
        summary="Pay money back, in part or whole, and put units back in stock or not",
        description="Several may follow each other, up to what was paid. `lines` as units by SKU are all put back.",
        body=RefundOrder,
        example={"lines": [{"sku": "MUG-1", "quantity": 1, "restock": False}], "reason": "broken on arrival"},
        **{**declared, "problems": (*declared["problems"], *refunds)},
    )
    async def refund(request: Request) -> Response:
        return json(await orders.refund(request.params["id"], request.body, request))


def _add_shipments(routes: Routes, orders: Orders) -> None:
    @routes.post(
        "/api/admin/orders/{id}/shipments",
        summary="A parcel is on its way",
        description="The order is shipped once all of it has left. Without `lines`: all that has yet to leave.",
        access="staff",
        body=NewShipment,
        headers=KEY,
        answers={201: OrderBody},
        problems=("not_found", "wrong_status", "not_captured", "bad_shipment_lines", "too_many_shipments"),
        long_numbers=TRACKING,
        example={
            "carrier": "DHL",
            "tracking": "JD014600006281230701",
            "lines": {"MUG-1": 2},
            "expected_on": "2026-03-04",
        },
    )
    async def add(request: Request) -> Response:
        return json(await orders.add_shipment(request.params["id"], request.body, request), 201)

    @routes.post(
        "/api/admin/orders/{id}/shipments/{shipment}/steps",
        summary="News of a parcel",
        description="The order is delivered once all of its parcels are.",
        access="staff",
        body=NewStep,
        headers=KEY,
        answers={200: OrderBody},
        problems=("not_found", "no_such_shipment", "too_many_steps", "bad_time"),
        example={"step": "out_for_delivery"},
    )
    async def note(request: Request) -> Response:
        params = request.params
        return json(await orders.note_shipment(params["id"], params["shipment"], request.body, request))


def _add_stock(routes: Routes, stock: Stock) -> None:
    @routes.get(
        "/api/admin/stock/{sku}",
        summary="What there is of a product",
        access="staff",
        answers={200: StockBody},
        problems=("unknown_sku",),
    )
    async def read(request: Request) -> Response:
        return json(await stock.read(request.params["sku"]))

    @routes.post(
        "/api/admin/stock/{sku}/receipts",
        summary="Goods came in",
        access="staff",
        body=ReceiveStock,
        headers=KEY,
        answers={200: StockBody},
        problems=("unknown_sku", "bad_quantity"),
        example={"quantity": 100},
    )
    async def receive(request: Request) -> Response:
        return json(await stock.receive(request.params["sku"], request.body.quantity, request))

    @routes.post(
        "/api/admin/stock/{sku}/corrections",
        summary="Someone counted",
        access="staff",
        body=CorrectStock,
        headers=KEY,
        answers={200: StockBody},
        problems=("unknown_sku", "bad_quantity", "units_promised"),
        example={"on_hand": 97, "reason": "three were broken"},
    )
    async def correct(request: Request) -> Response:
        counted: CorrectStock = request.body
        return json(await stock.correct(request.params["sku"], counted.on_hand, counted.reason, request))
