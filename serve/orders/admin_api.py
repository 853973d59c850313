"""The staff's routes: fulfilment, refunds, stock."""

from typing import Any

from actors.order import COMMANDS, Deliver, Pack, Ship
from serve.gateway.lean import Handler, Request, Response, Routes, json
from serve.orders.schemas import (
    AdminOrdersQuery,
    CorrectStock,
    OrderBody,
    OrderPage,
    ReceiveStock,
    RefundOrder,
    ShipOrder,
    StockBody,
)
from serve.orders.service import Orders
from serve.orders.stock import Stock

KEY = {"Idempotency-Key": "The same key again gets the first answer again; nothing is done twice."}


def admin_order_routes(orders: Orders, stock: Stock) -> Routes:
    routes = Routes(tag="staff: orders and stock", refuses_cards=True)
    _add_reading(routes, orders)
    _add_fulfilment(routes, orders)
    _add_stock(routes, stock)
    return routes


def _add_reading(routes: Routes, orders: Orders) -> None:
    @routes.get(
        "/api/admin/orders",
        summary="Everybody's orders, newest first",
        access="staff",
        query=AdminOrdersQuery,
        answers={200: OrderPage},
        problems=("bad_cursor",),
    )
    async def all_orders(request: Request) -> Response:
        query: AdminOrdersQuery = request.query
        return json(await orders.all(query.status, query.cursor, query.limit))

    @routes.get(
        "/api/admin/orders/{id}",
        summary="An order with its owner and contact",
        access="staff",
        answers={200: OrderBody},
        problems=("not_found",),
    )
    async def one(request: Request) -> Response:
        return json(await orders.for_staff(request.principal, request.params["id"]))


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
        summary="The order is on its way",
        body=ShipOrder,
        example={"carrier": "DHL", "tracking": "JD014600006281230701"},
        **declared,
    )
    async def ship(request: Request) -> Response:
        sent: ShipOrder = request.body
        return json(await orders.carry_out(request.params["id"], Ship(sent.carrier, sent.tracking), request))

    refunds = ("bad_refund_lines", "bad_amount", "refund_too_large", "too_many_refunds")

    @routes.post(
        "/api/admin/orders/{id}/refunds",
        summary="Pay money back, and put units back in stock",
        body=RefundOrder,
        example={"lines": {"MUG-1": 1}, "reason": "broken on arrival"},
        **{**declared, "problems": (*declared["problems"], *refunds)},
    )
    async def refund(request: Request) -> Response:
        return json(await orders.refund(request.params["id"], request.body, request))


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
