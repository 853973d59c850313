"""A whole shop in one process, on the real servers that it is given."""

import asyncio
import itertools
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.journal.mongo import MongoJournal
from pipelines.log.cloud_events import KafkaCluster
from pipelines.log.topics import make_topics
from serve.audit.auditing import audit
from serve.audit.copying import copy_shop
from serve.audit.findings import Findings
from serve.audit.report import lines_of
from tests.api.shopping import Buyer, Staff, body
from tests.servers import address
from tests.unit.whole_shop import WholeShop, whole_shop
from tests.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeShop]:
    cluster = KafkaCluster(address("KAFKA"), f"test-{secrets.token_hex(6)}-")
    mongo = address("MONGO").replace("/?", f"/{cluster.prefix}carts?")
    asyncio.run(_set_up(cluster, mongo))
    given = {"kafka_servers": cluster.servers, "kafka_prefix": cluster.prefix, "mongo_url": mongo}
    with whole_shop(tmp_path_factory.mktemp("shop"), **given) as running:
        yield running


async def _set_up(cluster: KafkaCluster, mongo: str) -> None:
    await make_topics(cluster, 3, 1, lambda _: None)
    journal = MongoJournal(mongo)
    await journal.setup()
    await journal.close()


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
