"""On real servers: read models made anew from Kafka, a new Kafka told everything, dead letters replayed."""

import itertools
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from pipelines import count_orders, keep_transactions, list_orders, report_sales, show_activity, show_availability
from pipelines.flow import GivenUp
from pipelines.sql.mysql import open_mysql
from serve.audit.auditing import audit
from serve.audit.copying import copy_shop
from serve.audit.report import lines_of
from serve.cli.main import app
from serve.payments import transactions
from serve.rebuilding import search
from serve.settings import load
from serve.setup_steps import set_up
from tests.api.shopping import Buyer, Staff
from tests.contract.own_databases import mongo_database, shop_on_mysql
from tests.servers import address
from tests.unit.whole_shop import CHEAP, WholeShop, whole_shop
from tests.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

NAMES = (
    list_orders.NAME,
    report_sales.NAME,
    count_orders.NAME,
    keep_transactions.NAME,
    show_availability.NAME,
    show_activity.NAME,
    search.NAME,
)


class Place:
    """Servers that are set up for one shop, which can be opened, closed, and spoken to with the `troupe` command."""

    def __init__(self, folder: Path, mysql: str, mongo: str) -> None:
        self.folder = folder
        self.given: dict[str, Any] = {
            **CHEAP,
            "data_dir": folder / "shop",
            "mysql_url": mysql,
            "mongo_url": mongo,
            "kafka_servers": address("KAFKA"),
            "kafka_prefix": f"test-{secrets.token_hex(6)}-",
            "kafka_replication": 1,
            "kafka_partitions": 3,
            "rate_limits": False,
            "checkout_wait_seconds": 15.0,
        }
        self.given["data_dir"].mkdir()
        set_up(load(**self.given), lambda _: None)
        self._opened = ExitStack()
        self._copies = itertools.count()

    def open(self) -> None:
        folder = self.folder / secrets.token_hex(4)
        folder.mkdir()
        self.shop: WholeShop = self._opened.enter_context(whole_shop(folder, **self.given))

    def close(self) -> None:
        self._opened.close()

    def troupe(self, *words: str) -> Result:
        env = {f"TROUPE_{name.upper()}": str(value) for name, value in self.given.items()}
        return CliRunner().invoke(app, words, env=env)

    def rows(self, database: str, statement: str, **values: Any) -> list[Any]:
        engine = open_mysql(load(**self.given).database_url(database), 1)
        try:
            with engine.begin() as connection:
                found = connection.execute(sa.text(statement), values)
                return list(found) if found.returns_rows else []
        finally:
            engine.dispose()

    def mails(self) -> dict[str, int]:
        """Each with when it was written."""
        return {path.name: path.stat().st_mtime_ns for path in load(**self.given).mails.glob("*.eml")}

    def adds_up(self) -> None:
        def look() -> bool:
            folder = self.folder / f"audit-{next(self._copies)}"
            folder.mkdir()
            copy_shop(load(**self.given), folder)
            findings = audit(folder)
            assert not findings.damage, lines_of(findings, settled=True)
            # The declined one waits for another try.
            return not [what for what in findings.waiting if "flow" in what]

        eventually(look, 90.0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A shop that is open, where a customer and two guests bought something."""
    with shop_on_mysql() as mysql, mongo_database() as mongo:
        made = Place(tmp_path_factory.mktemp("place"), mysql, mongo)
        try:
            made.open()
            with made.shop.client() as web:
                staff = Staff(web, made.shop.token("staff", "staff"))
                for sku in ("POT", "PAN"):
                    staff.put_product(sku, 1250)
                    staff.receive(sku, 2_000)
                for buyer in (Buyer.registered(web), Buyer(web), Buyer(web)):
                    assert buyer.buy("POT")["status"] == "confirmed"
                assert Buyer(web).buy("PAN", reference="pm_card_chargeDeclined")["status"] == "reserved"
            yield made
        finally:
            made.close()


def lines(told: Result) -> list[str]:
    return told.stdout.splitlines()


def test_what_is_made_from_kafka_is_what_is_there(place: Place) -> None:
    told = place.troupe("rebuild", "--check", *NAMES)
    assert (told.exit_code, [line.partition(".")[0] for line in lines(told)]) == (0, [f"{n}: equal" for n in NAMES])
    assert lines(told)[0].split()[2] == "4"


def test_a_damaged_row_is_named_and_mended(place: Place) -> None:
    ((order_id,),) = place.rows("orders", "SELECT id FROM orders WHERE payment_status = 'failed'")
    place.rows("orders", "UPDATE orders SET status = 'shipped' WHERE payment_status = 'failed'")
    place.rows("payments", "DELETE FROM payment_transactions")
    place.rows("users", "DELETE FROM activity")
    found = place.troupe("rebuild", "--check", list_orders.NAME)
    assert (found.exit_code, f"  {order_id} is not as the events tell" in lines(found)) == (1, True)
    assert place.troupe("rebuild", *NAMES).exit_code == 0
    told = place.troupe("rebuild", "--check", *NAMES)
    assert [line.partition(".")[0] for line in lines(told)] == [f"{n}: equal" for n in NAMES]


def test_the_shop_sells_meanwhile(place: Place) -> None:
    """The whole list is dropped while orders are placed: it is whole again, with those that came in between."""
    before = len(place.rows("orders", "SELECT id FROM orders"))
    bought: list[str] = []
    stop = threading.Event()

    def buy() -> None:
        with place.shop.client() as web:
            while not stop.is_set():
                buyer = Buyer(web)
                buyer.add("POT")
                answer = buyer.check_out()
                assert answer.status_code in (201, 202), answer.text
                bought.append(answer.json()["id"])

    buying = threading.Thread(target=buy)
    buying.start()
    try:
        eventually(lambda: len(bought) >= 3)
        for table in ("orders", "order_skus"):
            place.rows("orders", f"DELETE FROM {table}")
        told = place.troupe("rebuild", list_orders.NAME)
        assert told.exit_code == 0, told.output
    finally:
        stop.set()
        buying.join(60)
    again = place.troupe("rebuild", "--check", list_orders.NAME)
    assert again.exit_code == 0, again.output

    def listed() -> set[str]:
        return {order_id for (order_id,) in place.rows("orders", "SELECT id FROM orders")}

    eventually(lambda: set(bought) <= listed())
    assert len(listed()) == len(bought) + before


def test_a_dead_letter_is_listed_and_replayed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    keep: Callable[..., None] = transactions._keep

    def broken(*given: Any) -> None:
        raise GivenUp("broken on purpose")

    monkeypatch.setattr(transactions, "_keep", broken)
    with place.shop.client() as web:
        order_id = Buyer(web).buy("PAN")["id"]

    def listed() -> bool:
        told = place.troupe("dead-letters", "list").stdout
        assert f"{keep_transactions.NAME}@{place.given['kafka_prefix']}payments-" in told
        return f"payment/{order_id}/1/0" in told and "broken on purpose" in told

    eventually(listed)
    monkeypatch.setattr(transactions, "_keep", keep)
    asked = place.troupe("dead-letters", "replay", keep_transactions.NAME)
    assert (asked.exit_code, "within seconds" in asked.stdout) == (0, True)
    eventually(lambda: place.troupe("dead-letters", "list").stdout == "There are no dead letters.\n")
    assert place.troupe("rebuild", "--check", keep_transactions.NAME).exit_code == 0


def test_a_new_kafka_is_told_everything(place: Place) -> None:
    refused = place.troupe("republish")
    assert (refused.exit_code, "A shop runs" in refused.stderr) == (2, True)
    place.adds_up()
    place.close()
    nothing = place.troupe("republish")
    assert (nothing.exit_code, nothing.stdout.splitlines()[-1]) == (
        0,
        "Every topic has events already: nothing is told again.",
    )
    mails = place.mails()
    place.given["kafka_prefix"] = f"test-{secrets.token_hex(6)}-"
    for _ in range(2):  # as after one that was broken off
        told = place.troupe("republish")
        assert told.exit_code == 0, told.output
    assert "From the first event on: cart, order, payment, stock, as soon as the shop is open." in told.stdout
    assert "2 products were told as they are; a new search index was asked for." in told.stdout
    place.open()
    with place.shop.client() as web:
        order_id = Buyer(web).buy("POT")["id"]

    def is_whole() -> bool:
        told = place.troupe("rebuild", "--check", *NAMES[:4])
        assert told.exit_code == 0, told.output
        return True

    eventually(is_whole, 90.0)
    assert place.troupe("rebuild", "--check", search.NAME).exit_code == 0
    assert place.rows("orders", "SELECT count(*) FROM orders WHERE id = :order_id", order_id=order_id) == [(1,)]
    # Of accounts there is no journal: what was made of their events stays.
    lost = place.troupe("rebuild", show_activity.NAME)
    assert (lost.exit_code, "stay as they are" in lost.stderr) == (1, True)
    place.adds_up()
    now = place.mails()
    assert {name: now.get(name) for name in mails} == mails
    assert len(now) == len(mails) + 2
