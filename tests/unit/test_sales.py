"""What was sold, kept for reports: by orders' events, in any order and twice, on each database."""

from collections.abc import AsyncIterator
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import order
from actors.pricing import Line, Shipping, Terms, totals
from pipelines.report_sales import Event, Sale, SoldLine, lines_of, merged, told
from serve.orders.sales import DAY, SalesOfDay, SalesOfProduct
from serve.orders.store import OrderStore
from tests.databases import Databases

NOON = DAY // 2
TERMS = Terms("GBP", 2000, True, Shipping("standard", "Standard", 495))
LINES = (
    Line("l1", "MUG", "Mug", 2, 1_000),
    Line("l2", "CUP", "Cup", 1, 600),
    Line("l3", "MUG", "Mug", 1, 900, agreed=True),
)
SUMS = totals(LINES, TERMS)
"""3500 of goods, 495 for their way, tax in it."""


def opened(lines: tuple[Line, ...] = LINES) -> order.OrderOpened:
    return order.OrderOpened("c", "user:u", "k", lines, TERMS, totals(lines, TERMS), "card", "pm", 60_000, 1)


def confirmed(at: int) -> order.OrderConfirmed:
    return order.OrderConfirmed(SUMS.total, SUMS.total, "GBP", "user:u", "k", at)


def cancelled(at: int) -> order.OrderCancelled:
    return order.OrderCancelled("customer", "user:u", "k", at)


def refunded(amount: int, left: int) -> order.OrderRefunded:
    return order.OrderRefunded("r", amount, left, "GBP", "user:u", "k", 9)


@pytest.fixture
async def store(databases: Databases) -> AsyncIterator[OrderStore]:
    made = OrderStore(databases("orders"))
    yield made
    await made.close()


async def note(store: OrderStore, order_id: str, *events: Event, version: int = 1) -> None:
    """The events one by one, each of its own version."""
    for number, event in enumerate(events):
        await store.note_sales([Sale(order_id, version + number, told(event))])


def day(day: str, orders: int, **other: int) -> SalesOfDay:
    sums = {
        "cancelled": 0,
        "units": 4 * orders,
        "subtotal": SUMS.subtotal * orders,
        "shipping": SUMS.shipping * orders,
        "tax": SUMS.tax * orders,
        "total": SUMS.total * orders,
        "refunded": 0,
    }
    return SalesOfDay(day=day, currency="GBP", orders=orders, **{**sums, **other})


async def test_orders_count_on_the_day_on_which_they_came_to_stand(store: OrderStore) -> None:
    await note(store, "o1", opened(), confirmed(NOON))
    await note(store, "o2", opened(), confirmed(DAY - 1), refunded(100, SUMS.total - 100))
    await note(store, "o3", opened(), confirmed(DAY))
    await note(store, "o4", opened())
    await note(store, "o5", opened(), cancelled(NOON))
    assert await store.sales_by_day(0, 10 * DAY) == [
        day("1970-01-01", 2, refunded=100),
        day("1970-01-02", 1),
    ]
    assert await store.sales_by_day(DAY, 10 * DAY) == [day("1970-01-02", 1)]
    assert await store.sales_by_day(2 * DAY, 10 * DAY) == []


async def test_what_stands_no_longer_is_counted_apart(store: OrderStore) -> None:
    await note(store, "o1", opened(), confirmed(NOON), cancelled(2 * DAY), refunded(SUMS.total, 0))
    await note(store, "o2", opened(), confirmed(NOON))
    assert await store.sales_by_day(0, DAY) == [day("1970-01-01", 1, cancelled=1)]
    assert [one.orders for one in await store.sales_by_product(0, DAY, 10)] == [1, 1]


async def test_products_are_in_order_of_what_they_came_to(store: OrderStore) -> None:
    await note(store, "o1", opened(), confirmed(NOON))
    await note(store, "o2", opened((Line("l1", "CUP", "Cup", 1, 600),)), confirmed(NOON))
    mug, cup = SalesOfProduct("MUG", "Mug", "GBP", 1, 3, 2_900), SalesOfProduct("CUP", "Cup", "GBP", 2, 2, 1_200)
    assert await store.sales_by_product(0, DAY, 10) == [mug, cup]
    assert await store.sales_by_product(0, DAY, 1) == [mug]
    assert await store.sales_by_product(DAY, 2 * DAY, 10) == []


async def test_a_refund_that_failed_later_did_not_go_back(store: OrderStore) -> None:
    failed = order.OrderRefundFailed("r", 9, "paid", SUMS.total)
    await note(store, "o1", opened(), confirmed(NOON), refunded(100, SUMS.total - 100), failed)
    assert await store.sales_by_day(0, DAY) == [day("1970-01-01", 1)]
    # One that was refused at once, in a record from before it told what is left.
    await note(store, "o1", refunded(100, SUMS.total - 100), order.OrderRefundFailed("s", 9), version=7)
    assert await store.sales_by_day(0, DAY) == [day("1970-01-01", 1, refunded=100)]


async def test_older_news_changes_nothing_but_fills_gaps(store: OrderStore) -> None:
    await store.note_sales([Sale("o1", 5, told(refunded(300, SUMS.total - 300)))])
    await store.note_sales([Sale("o1", 4, told(refunded(100, SUMS.total - 100)))])
    for _ in range(2):
        await note(store, "o1", opened(), confirmed(NOON))
    assert await store.sales_by_day(0, DAY) == [day("1970-01-01", 1, refunded=300)]
    assert [one.units for one in await store.sales_by_product(0, DAY, 10)] == [3, 1]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_it_does_not_matter_how_events_come_together(sizes: list[int]) -> None:
    events: list[Event] = [opened(), confirmed(NOON), refunded(1, 9), refunded(2, 7), cancelled(8)]
    parts, rest = [], [told(event) for event in events]
    for size in sizes:
        parts.append(reduce(merged, rest[:size]) if rest else None)
        rest = rest[size:]
    whole = [part for part in parts if part is not None] + rest
    assert reduce(merged, whole) == reduce(merged, [told(event) for event in events])


def test_lines_of_one_sku_are_one() -> None:
    assert lines_of(LINES) == (SoldLine("MUG", "Mug", 3, 2_900), SoldLine("CUP", "Cup", 1, 600))
