"""What every HTTP application answers of itself: its description, whether it is ready, its metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric

from serve.gateway import openapi, telemetry
from serve.gateway.health import Health
from serve.gateway.lean import Request, Response, Routes, json

Ready = Callable[[], Awaitable[Health]]
Measured = Callable[[], Awaitable[Sequence[Metric]]]

READY_SECONDS = 5.0
_DOCS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
]


async def always_ready() -> Health:
    return Health(True, {})


async def nothing_more() -> Sequence[Metric]:
    return ()


def own_routes(described: Callable[[], dict[str, Any]], ready: Ready, measured: Measured | None) -> Routes:
    """`measured`: what /metrics tells besides this process's own; None: there is no such route."""
    own = Routes()

    @own.get("/openapi.json", summary="The description of this interface")
    async def document(_: Request) -> Response:
        return json(described())

    @own.get("/docs", summary="The description of this interface, to read")
    async def docs(_: Request) -> Response:
        return Response(200, openapi.page(described()).encode(), _DOCS)

    @own.get("/api/health/ready", summary="Whether requests can be served")
    async def show_ready(_: Request) -> Response:
        async with asyncio.timeout(READY_SECONDS):
            health = await ready()
        return json(health, 200 if health.ready else 503)

    if measured is not None:

        @own.get("/metrics", summary="Metrics for Prometheus")
        async def show_metrics(_: Request) -> Response:
            body = await asyncio.to_thread(telemetry.exposition, await measured())
            return Response(200, body, [(b"content-type", CONTENT_TYPE_LATEST.encode())])

    return own
