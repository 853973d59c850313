"""The cart's routes. All are lean: carts are what a shop writes most."""

from serve.carts.schemas import AddItem, CartBody, CartQuery, ChangeItem, MergeCart
from serve.carts.service import Carts
from serve.gateway.lean import Request, Response, Routes, json

KEY = {"Idempotency-Key": "The same key again gets the first answer again; nothing is done twice."}
_CART = {
    "id": "g-6f1c8a0be6f94f0db0c6d0f0a7b1f7c2",
    "version": 1,
    "currency": "EUR",
    "lines": [
        {
            "id": "9a1fd2c7b0a4e3d5",
            "sku": "MUG-1",
            "name": "Stoneware mug, moss",
            "quantity": 2,
            "unit_price": 1450,
            "changed_from": None,
            "gone": False,
            "agreed": False,
            "total": 2900,
        }
    ],
    "totals": {"subtotal": 2900, "shipping": 490, "tax": 565, "total": 3390},
    "pending_orders": [],
    "last_order": None,
}


def cart_routes(carts: Carts) -> Routes:
    """All routes of the cart."""
    routes = Routes(tag="cart", refuses_cards=True)
    _add_line_routes(routes, carts)
    _add_cart_routes(routes, carts)
    return routes


def answer(body: CartBody, status: int = 200) -> Response:
    """A cart, and its guest token in a header too if it was just made.

    The tag is weak: prices change without the cart's version.
    """
    headers = {"Cache-Control": "no-store", "ETag": f'W/"{body.version}"'}
    if isinstance(body.guest_token, str):
        headers["X-Guest-Token"] = body.guest_token
    return json(body, status, headers)


def _add_line_routes(routes: Routes, carts: Carts) -> None:
    @routes.post(
        "/api/cart/items",
        summary="Put a product in the cart",
        description="Without a token a new cart is made, and the answer has its guest token, also in X-Guest-Token.",
        body=AddItem,
        headers=KEY,
        answers={200: CartBody},
        problems=("unknown_sku", "sku_gone", "bad_quantity", "bad_price", "cart_full", "cart_merged"),
        example={"sku": "MUG-1", "quantity": 2},
        answer_examples={200: _CART},
    )
    async def add_item(request: Request) -> Response:
        return answer(await carts.add(request.principal, request.body, request))

    @routes.patch(
        "/api/cart/items/{id}",
        summary="Change a line's quantity",
        access="shopper",
        body=ChangeItem,
        headers=KEY,
        answers={200: CartBody},
        problems=("no_such_line", "bad_quantity", "cart_merged"),
        example={"quantity": 3},
    )
    async def change_item(request: Request) -> Response:
        return answer(await carts.change(request.principal, request.params["id"], request.body.quantity, request))

    @routes.delete(
        "/api/cart/items/{id}",
        summary="Take a line out of the cart",
        access="shopper",
        headers=KEY,
        answers={200: CartBody},
        problems=("no_such_line", "cart_merged"),
    )
    async def remove_item(request: Request) -> Response:
        return answer(await carts.remove(request.principal, request.params["id"], request))

    @routes.delete(
        "/api/cart/items",
        summary="Take every line out of the cart",
        access="shopper",
        headers=KEY,
        answers={200: CartBody},
        problems=("cart_merged",),
    )
    async def clear(request: Request) -> Response:
        return answer(await carts.clear(request.principal, request))


def _add_cart_routes(routes: Routes, carts: Carts) -> None:
    @routes.get(
        "/api/cart",
        summary="The cart at today's prices",
        query=CartQuery,
        answers={200: CartBody},
        problems=("cart_merged",),
        answer_examples={200: _CART},
    )
    async def read(request: Request) -> Response:
        return answer(await carts.read(request.principal, request.query.version))

    @routes.post(
        "/api/cart/merge",
        summary="Take over a guest's cart",
        description="After a login: the guest's lines move to the user's cart. Orders under way keep theirs.",
        access="user",
        body=MergeCart,
        headers=KEY,
        answers={200: CartBody},
        problems=("invalid_token", "cart_merged", "cannot_merge"),
        example={"guest_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6Imd1ZXN0K2p3dCJ9.eyJzdWIiOiJnLTZmMWMifQ.c2lnbmF0dXJl"},
    )
    async def merge(request: Request) -> Response:
        return answer(await carts.merge(request.principal, request.body.guest_token, request))
