"""Projections: many events, few writes, nothing skipped."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from actors import order, stock
from actors.pricing import Line
from pipelines.index_products import ProductIndexer, index_stock
from pipelines.list_orders import OrderNote, list_orders
from pipelines.log.base import Happened
from pipelines.progress import SqlProgress
from pipelines.projection import Projection, ProjectionRunner, Versioned, gather
from pipelines.show_availability import show_availability
from pipelines.wanted import Types
from serve.orders.store import OrderStore
from tests.databases import Databases
from tests.unit.flow_world import DEADLINE, HastyClock, MemoryLog
from tests.unit.test_flows import CONFIRMED, OPENED, PLACED


async def run(projection: Projection[Any], log: MemoryLog, folder: Path) -> int:
    """Runs until all of the log is written; answers where it stands after a restart would load it."""
    progress = SqlProgress(f"sqlite:///{folder / 'flows.db'}")
    runner = ProjectionRunner(projection, log, progress, clock=HastyClock())
    await runner.start()
    async with asyncio.timeout(DEADLINE):
        await runner.reached(log.events[-1].position)
    await runner.stop()
    return (await progress.load(projection.name)).position


def place(version: int, index: int = 0) -> int:
    """Of the decision's event with this index; the first one's if there is no other."""
    return Happened(1, "order", "o1", version, index, 1, b"").place


class Shelf:
    def __init__(self, failures: int = 0) -> None:
        self.writes: list[list[tuple[str, int, int]]] = []
        self._failures = failures

    async def note_availabilities(self, notes: Sequence[tuple[str, int, int]]) -> None:
        if self._failures:
            self._failures -= 1
            raise ConnectionError("away")
        self.writes.append(sorted(notes))


def stocked() -> MemoryLog:
    log = MemoryLog()
    log.append("stock", "MUG", 1, stock.StockReceived(10, 10))
    log.append("stock", "POT", 1, stock.StockReceived(4, 4))
    log.append("stock", "MUG", 2, stock.UnitsHeld("o1", 2, 1, 5, 8))
    log.append("stock", "MUG", 3, stock.UnitsSold("o1", 2))
    return log


async def test_the_newest_availability_of_each_sku_is_written_once(tmp_path: Path) -> None:
    shelf, log = Shelf(), stocked()
    assert await run(show_availability(shelf), log, tmp_path) == log.events[-1].position
    assert shelf.writes == [[("MUG", 8, place(2)), ("POT", 4, place(1))]]


class Index:
    def __init__(self) -> None:
        self.left: dict[str, int] = {}

    async def note_stock(self, left: Mapping[str, Versioned[int]]) -> None:
        self.left |= {sku: note.value for sku, note in left.items()}


async def test_units_that_an_order_gave_back_and_waits_for_are_left_for_the_catalogue(tmp_path: Path) -> None:
    shelf, index, log = Shelf(), Index(), MemoryLog()
    log.append("stock", "MUG", 1, stock.UnitsHeld("o2", 2, 1, 5, 0))
    log.append("stock", "MUG", 2, stock.HoldWaited("o2", 2, 2, 2))
    await run(show_availability(shelf), log, tmp_path)
    await run(index_stock(cast(ProductIndexer, index)), log, tmp_path)
    assert (shelf.writes, index.left) == ([[("MUG", 2, place(2))]], {"MUG": 2})


async def test_a_write_that_fails_is_made_again_and_skips_nothing(tmp_path: Path) -> None:
    shelf = Shelf(failures=3)
    await run(show_availability(shelf), stocked(), tmp_path)
    assert shelf.writes == [[("MUG", 8, place(2)), ("POT", 4, place(1))]]


class Endless(MemoryLog):
    """Something has happened whenever it is read."""

    async def read(self, after: int, limit: int) -> list[Happened]:
        await asyncio.sleep(0)
        self.append("stock", "MUG", after + 1, stock.StockReceived(1, after + 1))
        return await super().read(after, limit)


async def test_it_is_written_in_time_where_something_happens_all_the_time(tmp_path: Path) -> None:
    shelf = Shelf()
    progress = SqlProgress(f"sqlite:///{tmp_path / 'flows.db'}")
    runner = ProjectionRunner(show_availability(shelf), Endless(), progress)
    await runner.start()
    async with asyncio.timeout(DEADLINE):
        while len(shelf.writes) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await runner.stop()
    written = [note[0] for note in shelf.writes]
    assert [sku for sku, _, _ in written] == ["MUG"] * len(written)
    assert sorted(written) == written


async def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    log = stocked()
    await run(show_availability(Shelf()), log, tmp_path)
    log.append("stock", "POT", 2, stock.StockReceived(1, 5))
    shelf = Shelf()
    await run(show_availability(shelf), log, tmp_path)
    assert shelf.writes == [[("POT", 5, place(2))]]


async def test_a_write_may_end_in_the_middle_of_a_decision(tmp_path: Path) -> None:
    """Both events of the decision are of one version, and the second of them tells more."""
    store = OrderStore(f"sqlite:///{tmp_path / 'orders.db'}")
    projection = list_orders(store)
    log = MemoryLog()
    log.append("order", "o1", 1, OPENED)
    log.append("order", "o1", 2, order.OrderPaid(2999, 6), CONFIRMED)
    decoded = Types(projection.reads)
    for happened in log.events:
        gathered: dict[str, Versioned[Any]] = {}
        gather(projection, gathered, happened, decoded.decode(happened))
        await projection.write(gathered)
    (row,) = await store.page(owner="user:ada", after=None, limit=10)
    assert (row.status, row.payment_status) == ("confirmed", "paid")
    await store.close()


class Listing:
    def __init__(self) -> None:
        self.notes: list[OrderNote] = []

    async def note_orders(self, notes: Sequence[OrderNote]) -> None:
        self.notes += notes


async def test_an_order_on_its_way_is_listed_once_as_it_is(tmp_path: Path) -> None:
    orders, log = Listing(), MemoryLog()
    for version, event in enumerate((OPENED, PLACED, CONFIRMED), 1):
        log.append("order", "o1", version, event)
    await run(list_orders(orders), log, tmp_path)
    assert orders.notes == [("o1", "user:ada", 1_000, "confirmed", 2999, "EUR", place(3), "pending", (), ())]
    log.append("order", "o1", 9, order.OrderPacked(at=5))
    await run(list_orders(orders), log, tmp_path)
    assert orders.notes[1:] == [("o1", None, None, "packed", None, None, place(9), None, None, ())]


async def test_an_order_is_listed_with_its_skus_payment_and_parcels(tmp_path: Path) -> None:
    orders, log = Listing(), MemoryLog()
    lines = (Line("l1", "MUG", "Mug", 1, 500), Line("l2", "POT", "Pot", 1, 500), Line("l3", "MUG", "Mug", 1, 400))
    log.append("order", "o1", 1, msgspec.structs.replace(OPENED, lines=lines), PLACED)
    log.append("order", "o1", 2, order.PaymentChanged("failed", 5, "declined"))
    log.append("order", "o1", 3, order.OrderPaid(2999, 6), CONFIRMED, order.OrderPacked(7))
    log.append("order", "o1", 4, order.ShipmentAdded("1", "Royal Mail", "T1", {"MUG": 2}, "u", "c", 8))
    log.append("order", "o1", 5, order.ShipmentAdded("2", "DHL", "T2", {"POT": 1}, "u", "c", 9))
    log.append("order", "o1", 6, order.OrderRefunded("r1", 100, 2899, "EUR", "u", "c", 10))
    log.append("order", "old", 1, OPENED, order.OrderShipped("UPS", "T3", "u", "c", 11))
    log.append("order", "off", 1, OPENED, PLACED, order.OrderCancelled("customer", "u", "c", 12))
    await run(list_orders(orders), log, tmp_path)
    one, old, off = orders.notes
    assert (one.status, one.payment_status, one.skus) == ("packed", "partially_refunded", ("MUG", "POT"))
    assert one.parcels == (("royal-mail", "T1", "1"), ("dhl", "T2", "2"))
    assert (old.status, old.parcels) == ("shipped", (("ups", "T3", "1"),))
    assert (off.status, off.payment_status) == ("cancelled", "none")


async def test_a_save_left_under_way_by_one_that_stopped_is_no_error(databases: Databases) -> None:
    progress = SqlProgress(databases("flows"))
    for number in range(20):
        await asyncio.gather(*(progress.save(f"flow-{number}", position, ()) for position in (1, 2, 1, 2)))
        assert (await progress.load(f"flow-{number}")).position == 2
    await progress.close()
