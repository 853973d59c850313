"""A whole shop in one process, on the real servers that it is given."""

import itertools
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from serve.audit.auditing import audit
from serve.audit.copying import copy_shop
from serve.audit.findings import Findings
from serve.audit.owed import FOUND
from serve.audit.report import lines_of
from serve.settings import load
from serve.setup_steps import set_up
from tests.api.shopping import Buyer, Staff, body
from tests.contract.own_databases import mongo_database, shop_on_mysql
from tests.servers import address
from tests.unit.whole_shop import WholeShop, whole_shop
from tests.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeShop]:
    """On all of them, each with a place of this test's own, set up as an operator would."""
    mark = secrets.token_hex(6)
    with shop_on_mysql() as mysql, mongo_database() as mongo:
        given: dict[str, Any] = {
            "kafka_servers": address("KAFKA"),
            "kafka_prefix": f"test-{mark}-",
            "kafka_replication": 1,
            "kafka_partitions": 3,
            "mongo_url": mongo,
            "mysql_url": mysql,
        }
        set_up(load(**given), lambda _: None)
        with whole_shop(tmp_path_factory.mktemp("shop"), **given) as running:
            yield running


@pytest.fixture
def staff(shop: WholeShop) -> Iterator[Staff]:
    with shop.client() as web:
        yield Staff(web, shop.token("staff", "staff"))


def test_something_is_bought_and_all_services_know(shop: WholeShop, staff: Staff) -> None:
    staff.put_product("KAFKA-1", 1250)
    staff.receive("KAFKA-1", 3)
    with shop.client() as web:
        buyer = Buyer(web)
        order = buyer.buy("KAFKA-1")
        assert order["status"] == "confirmed"
        staff.stock_when("KAFKA-1", sold=1, on_hand=2, held=0, reserved=0, waiting=0)
        # The catalogue hears of the stock, the search of the product, the list of the order, and a mail goes out.
        eventually(lambda: [one["id"] for one in body(buyer.call("GET", "/api/orders"))["items"]] == [order["id"]])
        eventually(lambda: list(shop.settings.mails.glob("*.eml")))


def test_everything_adds_up_on_the_servers(shop: WholeShop, staff: Staff, tmp_path: Path) -> None:
    staff.put_product("KAFKA-2", 990)
    staff.receive("KAFKA-2", 5)
    with shop.client() as web:
        for _ in range(3):
            assert Buyer(web).buy("KAFKA-2")["status"] == "confirmed"
        paid = Buyer(web).buy("KAFKA-2", reference="pm_card_chargeDeclined")
    assert paid["status"] == "reserved"
    copies = (tmp_path / str(n) for n in itertools.count())

    def look() -> Findings:
        folder = next(copies)
        folder.mkdir()
        copy_shop(shop.settings, folder)
        return audit(folder)

    def adds_up() -> bool:
        findings = look()
        assert not findings.damage, lines_of(findings, settled=True)
        # The declined one waits for another try; all that is told has been heard.
        return not [what for what in findings.waiting if "flow" in what]

    eventually(adds_up, 60.0)
    with closing(sqlite3.connect(tmp_path / "0" / "journal.db")) as journal:
        how = journal.execute(f"EXPLAIN QUERY PLAN {FOUND}", ("cart", "c", "m")).fetchall()
    assert [step for *_, step in how if step.startswith("SEARCH records USING")]
