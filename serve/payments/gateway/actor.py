"""The test gateway as one named Ray actor, for a shop that runs in several processes or on several nodes."""

from collections.abc import Sequence
from typing import Any

import httpx
import ray

from serve.payments.gateway.book import GatewayBook
from serve.payments.gateway.calls import Account, Call, Reply
from serve.payments.gateway.client import GatewayClient
from serve.payments.gateway.desk import GatewayDesk
from serve.payments.gateway.webhooks import HttpDelivery

NAME = "gateway"


class GatewayActor:
    """`webhook_url`: where the shop takes webhooks, an absolute address. Its state is its file, so it may die."""

    def __init__(self, path: str, pages: str, webhook_url: str, secret: str) -> None:
        self._client = httpx.AsyncClient()
        book = GatewayBook(path, pages=pages)
        self._desk = GatewayDesk(book, secret=secret, deliver=HttpDelivery(webhook_url, self._client))

    async def ready(self) -> None:
        """Start sending webhooks; after a restart the first call does it."""
        self._desk.start()

    async def carry_out(self, calls: Sequence[Call]) -> list[Reply]:
        return await self._desk.carry_out(calls)

    async def accounts(self, after: str = "", limit: int = 1000) -> list[Account]:
        return await self._desk.accounts(after, limit)


def gateway_actor(namespace: str, path: str, pages: str, webhook_url: str, secret: str) -> Any:
    """The actor's handle; it is made if there is none."""
    options = {
        "name": NAME,
        "namespace": namespace,
        "get_if_exists": True,
        "lifetime": "detached",
        "num_cpus": 0,
        "max_restarts": -1,
    }
    return ray.remote(GatewayActor).options(**options).remote(path, pages, webhook_url, secret)


def gateway_client(handle: Any) -> GatewayClient:
    """The port, spoken to the actor. While it restarts, calls raise GatewayUnavailable."""

    async def carry_out(calls: Sequence[Call]) -> Sequence[Reply]:
        replies: list[Reply] = await handle.carry_out.remote(list(calls))
        return replies

    return GatewayClient(carry_out)
