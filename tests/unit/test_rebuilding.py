"""Read models made anew from the log: equal to what was there, damage named and mended, nothing dropped in silence."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from actors.order import OrderRefunded
from actors.stock import StockReceived, UnitsHeld
from pipelines import count_orders, keep_transactions, list_orders, report_sales, show_activity, show_availability
from pipelines.events import users as user_events
from pipelines.log.history import DatabaseHistory
from pipelines.progress import SqlProgress
from serve.catalog.search.indexing import Indexing
from serve.cli.main import app
from serve.databases import open_engine
from serve.gateway.passwords import Passwords
from serve.gateway.principals import Principal
from serve.orders.tables import metadata
from serve.rebuilding import search
from serve.rebuilding.comparing import Difference
from serve.rebuilding.models import TABLES
from serve.rebuilding.tables import Mode, Rebuilt, rebuild
from serve.settings import load
from serve.users.accounts import Accounts
from serve.users.schemas import Registration
from serve.users.store import open_engine as open_users
from tests.unit.audited_shop import CASH, PAID, Folder, History
from tests.unit.flow_world import MemoryLog
from tests.unit.searching import Outbox, product, written

NAMES = [model.name for model in TABLES]
PASSWORD = "three dry umbrellas"


class Customers(History):
    """Guests, and two with accounts: one of them deletes hers."""

    async def _live(self) -> None:
        await super()._live()
        engine, passwords = open_users(self.folder / "users.db"), Passwords(memory_kib=64, time_cost=1)
        self.accounts = Accounts(engine, passwords)
        ann, bea = [await self._customer(name) for name in ("Ann", "Bea")]
        await self.accounts.delete(Principal("user", bea), PASSWORD)
        while (await self.accounts.profile(ann)).order_count != 1:  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.05)
        passwords.close()
        await asyncio.to_thread(engine.dispose)

    async def _customer(self, name: str) -> str:
        wanted = Registration(email=f"{name}@example.com", password=PASSWORD, name=name)
        made = (await self.accounts.register(wanted)).id
        await self.buy(f"o-{name}", "card", "pm_card_visa", ("MUG", 1), owner=f"user:{made}")
        return made


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    made = Customers(tmp_path_factory.mktemp("rebuilding") / "data")
    asyncio.run(made.make())
    return made


@pytest.fixture
def folder(history: History, tmp_path: Path) -> Folder:
    shutil.copytree(history.folder, tmp_path / "data")
    return Folder(tmp_path / "data")


def call(folder: Folder, *words: str) -> Result:
    return CliRunner().invoke(app, ["rebuild", *words, "--data", str(folder.path)])


def test_what_is_made_anew_is_what_is_there(folder: Folder) -> None:
    told = call(folder, *NAMES)
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert [line.partition(". ")[0] for line in lines] == [f"{name}: equal" for name in NAMES]
    assert [line.split(". ")[1].split(" of ")[0] for line in lines] == ["8", "8", "1", "6", "2", "1"]


def test_without_a_name_it_says_what_there_is() -> None:
    told = CliRunner().invoke(app, ["rebuild"])
    assert told.exit_code == 0
    assert [line.split()[0] for line in told.stdout.splitlines()] == [*NAMES, search.NAME]


def test_damage_is_named_and_put_right(folder: Folder) -> None:
    folder.run("orders", "UPDATE orders SET total = total + 1 WHERE id = ?", values=(PAID,))
    folder.run("orders", "DELETE FROM parcels WHERE order_id = ?", values=(CASH,))
    checked = call(folder, list_orders.NAME, "--check")
    assert checked.exit_code == 1
    assert "2 differ of 8" in checked.stdout
    assert f"  {CASH} is not as the events tell\n  {PAID} is not as the events tell\n" in checked.stdout
    mended = call(folder, list_orders.NAME)
    assert (mended.exit_code, "2 put right" in mended.stdout) == (0, True)
    assert call(folder, list_orders.NAME, "--check").stdout.startswith("list_orders_2: equal. 8 of")
    assert folder.audit().damage == []


@pytest.mark.parametrize(
    ("name", "database", "statement", "rows"),
    [
        (list_orders.NAME, "orders", "DELETE FROM orders", 8),
        (report_sales.NAME, "orders", "DELETE FROM sales", 8),
        (report_sales.NAME, "orders", "UPDATE sale_lines SET units = units + 1", 8),
        (count_orders.NAME, "users", "DELETE FROM activity WHERE what = 'order_confirmed'", 1),
        (keep_transactions.NAME, "payments", "DELETE FROM payment_transactions", 6),
        (show_availability.NAME, "catalog", "UPDATE availability SET available = 7", 2),
        (show_activity.NAME, "users", "DELETE FROM activity WHERE what != 'order_confirmed'", 1),
    ],
)
def test_a_read_model_that_was_dropped_comes_back(
    folder: Folder, name: str, database: str, statement: str, rows: int
) -> None:
    before = call(folder, name, "--check").stdout
    assert folder.run(database, statement) >= 1
    assert f"{rows} put right" in call(folder, name).stdout
    assert call(folder, name, "--check").stdout == before


def test_whoever_was_erased_stays_so(folder: Folder) -> None:
    erased = "SELECT id FROM users WHERE deleted_at IS NOT NULL"
    ((bea,),) = folder.ask("users", erased)
    folder.run("users", "DELETE FROM activity")
    for name in (count_orders.NAME, show_activity.NAME):
        assert call(folder, name, "--drop").exit_code == 0
    assert folder.ask("users", "SELECT count(*) FROM activity WHERE user_id = ?", (bea,)) == [(0,)]
    # A row that came back all the same is not of the log: it is dropped only when that is said.
    folder.run("users", "INSERT INTO activity VALUES ('order/o-Bea', ?, 1, 'order_confirmed', '{}')", values=(bea,))
    assert "stay as they are" in call(folder, count_orders.NAME).stderr
    assert call(folder, count_orders.NAME, "--drop").exit_code == 0
    assert folder.ask("users", "SELECT count(*) FROM activity WHERE user_id = ?", (bea,)) == [(0,)]


def test_what_the_log_does_not_tell_stays(folder: Folder) -> None:
    forged = "INSERT INTO orders VALUES ('o-forged', 'guest:g', 1, 'placed', 1, 'GBP', 1, 'none')"
    folder.run("orders", forged)
    folder.run("orders", "UPDATE orders SET version = version + 1 WHERE id = ?", values=(PAID,))
    told = call(folder, list_orders.NAME)
    assert told.exit_code == 1
    assert "o-forged is there, and the events tell nothing of it, or not of all" in told.stdout
    assert f"{PAID} is of a later version than the last event" in told.stdout
    assert "2 stay as they are; --drop has only the events count." in told.stderr
    assert call(folder, list_orders.NAME, "--drop").exit_code == 0
    assert folder.ask("orders", "SELECT count(*) FROM orders WHERE id = 'o-forged'") == [(0,)]
    assert folder.audit().damage == []


def test_what_cannot_be_rebuilt_is_said(folder: Folder, tmp_path: Path) -> None:
    told = call(folder, "keep_prices")
    assert (told.exit_code, "whenever it starts" in told.stderr) == (2, True)
    assert "Nothing is called sales" in call(folder, "sales").stderr
    nowhere = CliRunner().invoke(app, ["rebuild", list_orders.NAME, "--data", str(tmp_path / "nowhere")])
    assert (nowhere.exit_code, "There is no shop in" in nowhere.stderr) == (2, True)
    assert not (tmp_path / "nowhere").exists()


class Listing:
    """An empty list of orders, and a log that the test writes."""

    def __init__(self, folder: Path) -> None:
        self.log = MemoryLog()
        self.progress = SqlProgress(f"sqlite:///{folder / 'flows.db'}")
        self.live: Engine = open_engine(f"sqlite:///{folder / 'orders.db'}", metadata, 2)

    async def rebuild(self, mode: Mode = "mend") -> Rebuilt:
        async def end() -> int:
            return self.log.events[-1].position if self.log.events else 0

        (model,) = [model for model in TABLES if model.name == list_orders.NAME]
        return await rebuild(model, DatabaseHistory(self.log, end), self.progress, self.live, mode, patience=0.0)

    async def close(self) -> None:
        await self.progress.close()
        await asyncio.to_thread(self.live.dispose)


async def test_a_history_without_its_beginning_replaces_nothing(tmp_path: Path) -> None:
    world = Listing(tmp_path)
    world.log.append("order", "o-1", 7, OrderRefunded("r1", 5, 0, "GBP", "guest:g", "k-1", 1))
    world.log.append("user", "u-1", 1, user_events.UserDeleted(1))
    await world.progress.save(list_orders.NAME, 2, ())
    found = await world.rebuild()
    assert (found.events, found.left, found.equal) == (1, [Difference("o-1", "partial")], False)
    assert found.now == found.there != found.made
    await world.close()


async def test_what_the_flow_has_not_read_is_not_called_damage(tmp_path: Path) -> None:
    world = Listing(tmp_path)
    world.log.append("order", "o-1", 7, OrderRefunded("r1", 5, 0, "GBP", "guest:g", "k-1", 1))
    found = await world.rebuild()
    assert (found.found, found.moving, found.equal) == ([], frozenset({"o-1"}), False)
    await world.close()


class Shelf:
    """A catalogue's outbox, a log of the stock and an index, in a shop's folder; somebody may keep the index."""

    def __init__(self, folder: Path) -> None:
        self.settings = load(data_dir=folder)
        self.outbox, self.stock = Outbox(self.settings.database("catalog")), MemoryLog()

    async def rebuild(self, mode: Mode, *, open_shop: bool = True) -> Rebuilt:
        async def end() -> int:
            return self.stock.events[-1].position if self.stock.events else 0

        products = DatabaseHistory(self.outbox.log, self.outbox.log.end)
        indexing = Indexing(self.settings, self.stock)
        if open_shop:
            await indexing.start()
        try:
            stock = DatabaseHistory(self.stock, end)
            return await search.rebuild_index(
                self.settings, products, stock, mode, building_seconds=20.0 if open_shop else 0.0
            )
        finally:
            if open_shop:
                await indexing.stop()


@pytest.fixture
async def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shelf]:
    """A kettle that is there, a pan that is not, and a cup that is gone from sale."""
    monkeypatch.setattr(search, "STEADY_SECONDS", 1.0)
    made = Shelf(tmp_path)
    await made.outbox.tell(product("a", "Kettle"), product("b", "Pan"), product("c", "Cup", gone=True))
    for sku, units in (("A", 5), ("B", 1)):
        made.stock.append("stock", sku, 1, StockReceived(quantity=units, available=units))
    made.stock.append("stock", "B", 2, UnitsHeld("o-1", 1, 0, 1, 0))
    yield made
    made.outbox.close()


async def test_the_index_is_compared_with_the_log(shelf: Shelf) -> None:
    found = await shelf.rebuild("check")
    assert (found.keys, found.equal, found.there) == (2, True, found.made)
    assert found.events == 6


async def test_an_index_that_lost_a_product_is_built_anew(shelf: Shelf) -> None:
    await shelf.rebuild("check")
    await written(shelf.settings.search_dir, [product("a", "Kettle"), product("x", "Never told of")])
    closed = await shelf.rebuild("mend", open_shop=False)
    expected = [Difference("a", "different"), Difference("b", "missing"), Difference("x", "unknown")]
    assert (closed.found, closed.left) == (expected, expected)
    dropped = await shelf.rebuild("drop")
    assert (dropped.equal, dropped.now) == (True, dropped.made)
