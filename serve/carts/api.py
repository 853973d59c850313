"""The cart's routes. All are lean: carts are what a shop writes most."""

import re

from serve.carts.examples import EXAMPLES
from serve.carts.schemas import AddItem, CartBody, CartQuery, ChangeItem, MergeCart
from serve.carts.service import Carts
from serve.gateway.lean import Request, Response, Routes, json

_TAG = re.compile(r'(?:W/)?"(\d{1,15})"', re.ASCII)
SEEN = {"If-None-Match": "The ETag of a cart that you have seen; the same as `version`."}
KEY = {"Idempotency-Key": "The same key again gets the first answer again; nothing is done twice."}


def cart_routes(carts: Carts) -> Routes:
    """All routes of the cart."""
    routes = Routes(tag="cart", refuses_cards=True, examples=EXAMPLES)
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


def _tagged(sent: str | None) -> int:
    """The version in a tag of ours; 0 for any other, which says nothing about this cart."""
    tag = _TAG.fullmatch(sent.strip()) if sent is not None else None
    return 0 if tag is None else int(tag[1])


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
        description="Never older than `version`. Who says none may be shown the cart as it was a second ago.",
        query=CartQuery,
        headers=SEEN,
        answers={200: CartBody},
        problems=("cart_merged",),
    )
    async def read(request: Request) -> Response:
        seen = max(request.query.version, _tagged(request.header("if-none-match")))
        return answer(await carts.read(request.principal, seen))

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
