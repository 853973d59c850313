"""A whole shop in the process of the tests, answering over real HTTP: everything but Ray, HAProxy and second processes.

It is what a shop with no hosts of its own runs in its web process, with the test gateway beside it instead of in an
actor.
"""

import asyncio
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import httpx
import uvicorn

from serve import settings as settings_module
from serve.gateway.front import Front
from serve.gateway.keys import Keys
from serve.gateway.tokens import Tokens
from serve.payments.gateway.book import GatewayBook
from serve.payments.gateway.client import GatewayClient
from serve.payments.gateway.desk import GatewayDesk
from serve.payments.gateway.webhooks import HttpDelivery
from serve.settings import Settings
from serve.users.store import open_engine
from tests.running import free_port
from tests.waiting import eventually

with warnings.catch_warnings():
    # What Ray's own modules do at their import is not ours to mend.
    warnings.simplefilter("ignore")
    from serve import app

SECRET = "whsec_of_a_test"
STRIPE_SECRET = "whsec_of_a_test_of_stripe"
CHEAP: dict[str, Any] = {"argon2_memory_kib": 64, "argon2_time_cost": 1, "sync": "normal", "shards": 4}


class WholeShop(NamedTuple):
    settings: Settings
    front: Front

    @property
    def url(self) -> str:
        return self.settings.url

    def client(self, token: str = "") -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30.0)

    def token(self, user_id: str, *roles: str) -> str:
        """An access token of a few minutes. Not for use on an event loop."""
        return self._made(lambda tokens: tokens.access(user_id, roles, "tests"))

    def guest_token(self, cart_id: str) -> str:
        """Not for use on an event loop."""
        return self._made(lambda tokens: tokens.guest(cart_id))

    def _made(self, make: Callable[[Tokens], Coroutine[Any, Any, str]]) -> str:
        async def made() -> str:
            engine = open_engine(self.settings.database_url("users"))
            try:
                return await make(Tokens(Keys(engine)))
            finally:
                engine.dispose()

        return asyncio.run(made())


@contextmanager
def whole_shop(folder: Path, **given: Any) -> Iterator[WholeShop]:
    """Open until the block ends. `given`: settings."""
    data = folder / "data"
    data.mkdir()
    chosen: dict[str, Any] = {"hosts": 0, "port": free_port(), "data_dir": data, "webhook_secret": SECRET}
    chosen |= {"carrier_secret": SECRET, "stripe_webhook_secrets": STRIPE_SECRET}
    settings = settings_module.load(**{**CHEAP, **chosen, **given})
    with ending_desk(settings) as desk:

        async def carry_out(calls: Any) -> Any:
            return await desk.carry_out(calls)

        def beside(*_: Any) -> None:
            """There is no actor to find."""

        with (
            patch.object(app, "gateway", beside),
            patch.object(app, "gateway_client", lambda _: GatewayClient(carry_out)),
        ):
            front = app.build_whole(settings)
            with answering(front, settings.port):
                yield WholeShop(settings, front)


@contextmanager
def ending_desk(settings: Settings) -> Iterator[GatewayDesk]:
    """The gateway on an event loop of its own, as it has in its actor."""
    with own_loop() as loop:

        async def open_desk() -> tuple[GatewayDesk, httpx.AsyncClient]:
            client = httpx.AsyncClient()
            book = GatewayBook(str(settings.database("gateway")), pages=f"{settings.url}/test-gateway")
            deliver = HttpDelivery(f"{settings.url}/api/payments/webhooks/test", client)
            desk = GatewayDesk(book, secret=SECRET, deliver=deliver)
            desk.start()
            return desk, client

        desk, client = asyncio.run_coroutine_threadsafe(open_desk(), loop).result(10)
        try:
            yield Across(desk, loop)
        finally:
            asyncio.run_coroutine_threadsafe(desk.stop(), loop).result(10)
            asyncio.run_coroutine_threadsafe(client.aclose(), loop).result(10)


class Across(GatewayDesk):
    """A desk that is spoken to from another loop."""

    def __init__(self, desk: GatewayDesk, loop: asyncio.AbstractEventLoop) -> None:
        self._desk = desk
        self._loop = loop

    async def carry_out(self, calls: Any) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._desk.carry_out(calls), self._loop))


@contextmanager
def own_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="test-gateway")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def answering(front: Front, port: int) -> Iterator[None]:
    """uvicorn in a thread, with the application's whole life."""
    config = uvicorn.Config(
        front, host="127.0.0.1", port=port, lifespan="on", log_config=None, ws="none", access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="whole-shop")
    thread.start()
    try:

        def is_open() -> bool:
            if not thread.is_alive():
                raise AssertionError("the shop did not start")
            return server.started

        eventually(is_open, 30.0)
        yield
    finally:
        server.should_exit = True
        thread.join(30)
