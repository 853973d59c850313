"""How an order stands, for who waited for it."""

from typing import NamedTuple

from actors.order import OrderView
from serve.gateway.problems import Problem
from serve.orders.bodies import order_body
from serve.orders.checks import about_order
from serve.orders.schemas import OrderBody


class Outcome(NamedTuple):
    """An order, and whether it is `settled`: it ended, it stands, or it needs the shopper."""

    order: OrderBody
    settled: bool


def is_settled(view: OrderView) -> bool:
    """The same as `actors.order.settled`, of what a reader sees."""
    if view.status in ("none", "placed"):
        return False
    if view.status != "reserved":
        return True
    return not view.closing and (view.next_action is not None or view.payment_status == "failed")


def settled_outcome(view: OrderView, version: int) -> Outcome:
    """Raises Problem out_of_stock."""
    if view.status == "rejected":
        detail = "Not enough is left of some products; your cart has its lines back."
        problem = Problem("out_of_stock", detail, about={"skus": list(view.out_of_stock), "order_id": view.id})
        raise about_order(problem, view.id)
    return Outcome(order_body(view, version), is_settled(view))
