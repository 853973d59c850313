"""What staff are shown of sales."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from serve.gateway import clock
from serve.gateway.lean import Request, Response, Routes, json
from serve.gateway.problems import Problem
from serve.orders.sales import DAY, SalesOfDay, SalesOfProduct
from serve.orders.schemas import Moment
from serve.orders.store import OrderStore

DAYS = 30
"""Of a report that says nothing of its time."""
LONGEST = 731
"""Days."""


class SalesQuery(msgspec.Struct, frozen=True):
    """`from` and before `to`: when orders were confirmed. Without `to` until now, without `from` 30 days."""

    since: Moment | None = msgspec.field(default=None, name="from")
    until: Moment | None = msgspec.field(default=None, name="to")


class ProductsQuery(SalesQuery, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class SalesReport(msgspec.Struct, frozen=True):
    """Of each UTC day on which anything was sold. `since` and before `until`: what it is of."""

    since: int
    until: int
    items: list[SalesOfDay]


class ProductReport(msgspec.Struct, frozen=True):
    since: int
    until: int
    items: list[SalesOfProduct]


_DAY = SalesOfDay("2026-03-02", "GBP", 41, 2, 96, 178_410, 12_375, 31_797, 190_785, 1_299)
_PRODUCT = SalesOfProduct("MUG-1", "Enamel mug", "GBP", 17, 23, 29_877)
_MARCH = (1_772_409_600_000, 1_772_496_000_000)
EXAMPLES: Mapping[type, Any] = {
    SalesReport: SalesReport(*_MARCH, [_DAY]),
    ProductReport: ProductReport(*_MARCH, [_PRODUCT]),
}


def report_routes(store: OrderStore) -> Routes:
    routes = Routes(tag="staff: reports", examples=EXAMPLES)

    @routes.get(
        "/api/admin/reports/sales",
        summary="What was sold, by day",
        description="An order counts on the day on which it was confirmed. A sale may take a moment to be in it.",
        access="staff",
        query=SalesQuery,
        answers={200: SalesReport},
        problems=("bad_period",),
    )
    async def by_day(request: Request) -> Response:
        since, until = _period(request.query)
        return json(SalesReport(since, until, await store.sales_by_day(since, until)))

    @routes.get(
        "/api/admin/reports/products",
        summary="What was sold, by product, what came to most first",
        access="staff",
        query=ProductsQuery,
        answers={200: ProductReport},
        problems=("bad_period",),
    )
    async def by_product(request: Request) -> Response:
        since, until = _period(request.query)
        return json(ProductReport(since, until, await store.sales_by_product(since, until, request.query.limit)))

    return routes


def _period(query: SalesQuery) -> tuple[int, int]:
    """Raises Problem bad_period."""
    until = clock.now_ms() if query.until is None else query.until
    since = max(0, until - DAYS * DAY) if query.since is None else query.since
    if not since < until <= since + LONGEST * DAY:
        raise Problem("bad_period", f"`from` has to be before `to`, by at most {LONGEST} days.")
    return since, until
