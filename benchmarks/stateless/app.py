"""The stateless service's routes: `uvicorn benchmarks.stateless.app:create --factory --workers 2`.

Routes are coroutines that hand the whole request to one thread: PyMySQL blocks, and one hop a request is the least
that it can cost. On SQLite even that hop is spared: it has one writer anyway, and answers from its own memory.
"""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import uuid_utils
from fastapi import FastAPI, Request, Response
from pydantic_core import to_json

from benchmarks.stateless.schemas import ItemIn, OrderIn
from benchmarks.stateless.settings import Settings
from benchmarks.stateless.shop import Key, Refusal, Shop

T = TypeVar("T")


class Tokens:
    """Guest tokens: a cart's id and its signature. Only the signature is unguessable: ids in order suit the index."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def sign(self, cart: str) -> str:
        """The token of a cart."""
        return f"{cart}.{self._mark(cart)}"

    def read(self, authorization: str | None) -> str | None:
        """The cart that a bearer token names; None without one. Raises Refusal if it is not ours."""
        if authorization is None:
            return None
        cart, _, mark = authorization.removeprefix("Bearer ").partition(".")
        if not hmac.compare_digest(mark, self._mark(cart)):
            raise Refusal(401, "bad_token")
        return cart

    def _mark(self, cart: str) -> str:
        return hmac.new(self._secret, cart.encode(), hashlib.sha256).hexdigest()


def create(settings: Settings | None = None) -> FastAPI:
    """The application, with its pools; the tables must be there (`Shop.create_tables`)."""
    settings = settings if settings is not None else Settings()
    shop, tokens = Shop(settings), Tokens(settings.signing_key)
    threads = ThreadPoolExecutor(settings.pool, thread_name_prefix="request")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        threads.shutdown()
        shop.close()

    async def run(work: Callable[..., T], *arguments: Any) -> T:
        if settings.on_the_loop:
            return work(*arguments)
        return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)

    app = FastAPI(title="A stateless shop", lifespan=lifespan)
    app.add_exception_handler(Refusal, _problem)

    @app.post("/api/cart/items")
    async def add_item(item: ItemIn, request: Request) -> Response:
        owner = tokens.read(request.headers.get("authorization"))
        cart = owner if owner is not None else str(uuid_utils.uuid7())
        cart, body = await run(shop.add, cart, item, await _key(request, owner))
        if owner is not None:
            return _json(body)
        token = tokens.sign(cart)
        return _json(body | {"guest_token": token}, headers={"X-Guest-Token": token})

    @app.get("/api/cart")
    async def read_cart(request: Request) -> Response:
        return _json(await run(shop.cart, _owner(request)))

    @app.post("/api/orders")
    async def check_out(order: OrderIn, request: Request) -> Response:
        owner = _owner(request)
        body = await run(shop.check_out, owner, order, await _key(request, owner))
        return _json(body, 201, {"Location": f"/api/orders/{body['id']}"})

    @app.get("/api/orders/{order}")
    async def read_order(order: str, request: Request) -> Response:
        return _json(await run(shop.order, _owner(request), order))

    @app.get("/api/health/ready")
    async def ready() -> Response:
        return _json({"status": "ready"})

    def _owner(request: Request) -> str:
        owner = tokens.read(request.headers.get("authorization"))
        if owner is None:
            raise Refusal(401, "token_needed")
        return owner

    return app


async def _key(request: Request, owner: str | None) -> Key | None:
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    scope = "\0".join((owner or "", request.method, request.url.path, given))
    return Key(hashlib.sha256(scope.encode()).hexdigest(), hashlib.sha256(await request.body()).hexdigest())


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(to_json(body), status, headers, "application/json")


async def _problem(_: Request, error: Exception) -> Response:
    refusal = error if isinstance(error, Refusal) else Refusal(500, "internal")
    body = {"type": "about:blank", "title": refusal.code, "status": refusal.status, "code": refusal.code}
    return Response(to_json(body | refusal.about), refusal.status, media_type="application/problem+json")
