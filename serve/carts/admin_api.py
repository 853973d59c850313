"""The staff's routes to carts: quotations, and lines in a shopper's cart at agreed prices."""

from serve.carts.api import KEY, answer
from serve.carts.examples import EXAMPLES
from serve.carts.schemas import AddItems, CartBody
from serve.carts.service import Carts
from serve.gateway.lean import Request, Response, Routes

_PROBLEMS = ("unknown_sku", "sku_gone", "bad_price", "cart_full")
_EXAMPLE = {"items": [{"sku": "MUG-1", "quantity": 200, "agreed_price": 990}, {"sku": "TEA-1", "quantity": 50}]}


def admin_cart_routes(carts: Carts) -> Routes:
    routes = Routes(tag="staff: carts", refuses_cards=True, examples=EXAMPLES)

    @routes.post(
        "/api/admin/carts",
        summary="Make a quotation: a new guest's cart, filled",
        description="Whoever is given the answer's guest token can look at the cart, change it and check it out.",
        access="staff",
        body=AddItems,
        headers=KEY,
        answers={201: CartBody},
        problems=_PROBLEMS,
        example=_EXAMPLE,
    )
    async def quote(request: Request) -> Response:
        return answer(await carts.quote(request.body, request), 201)

    @routes.post(
        "/api/admin/carts/{id}/items",
        summary="Put lines in a shopper's cart",
        description="The id is the cart's: a user's is the user's id. All lines are taken or none.",
        access="staff",
        body=AddItems,
        headers=KEY,
        answers={200: CartBody},
        problems=(*_PROBLEMS, "cart_merged"),
        example=_EXAMPLE,
    )
    async def fill(request: Request) -> Response:
        return answer(await carts.fill(request.params["id"], request.body, request))

    return routes
