"""A whole shop in one process on MySQL or MariaDB alone, by its settings: whatever can be asked of it is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.shopping import Buyer, Staff, body
from tests.databases import shop_on
from tests.unit.everything import ask_for_everything
from tests.unit.interface import Interface
from tests.unit.whole_shop import WholeShop, whole_shop
from tests.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


@pytest.fixture(params=["mysql", "mariadb"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WholeShop]:
    with shop_on(request.param) as url, whole_shop(tmp_path, mysql_url=url, rate_limits=False) as running:
        yield running


def test_somebody_registers_logs_in_and_buys(shop: WholeShop) -> None:
    with shop.client() as web:
        staff = Staff(web, shop.token("staff", "staff"))
        staff.put_product("MUG", 1250)
        staff.receive("MUG", 3)
        buyer = Buyer.registered(web)
        order = buyer.buy("MUG")
        assert order["status"] == "confirmed"
        eventually(lambda: [one["id"] for one in body(buyer.call("GET", "/api/orders"))["items"]] == [order["id"]])
        eventually(lambda: body(web.get("/api/catalog/products"))["items"][0]["available"] == 2)
        eventually(lambda: list(shop.settings.mails.glob("*.eml")))
        ask_for_everything(shop, Interface(shop.url, web.get("/openapi.json").json()))
    assert [path.name for path in shop.settings.data_dir.glob("*.db")] == ["gateway.db"]
