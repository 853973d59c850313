"""A shop that ran in a folder goes on on the real servers: nobody and nothing is lost, and nobody is told twice."""

import itertools
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from pipelines.sql.mysql import open_mysql
from serve.audit.auditing import audit
from serve.audit.copying import copy_shop
from serve.audit.report import lines_of
from serve.migrating.failing import CannotMigrate
from serve.migrating.moving import Moved, move
from serve.notifications.tables import MAILS
from serve.settings import Settings, load
from serve.setup_steps import set_up
from tests.api.shopping import Buyer, Staff, body, log_in
from tests.contract.own_databases import mongo_database, shop_on_mysql
from tests.servers import address
from tests.unit.whole_shop import CHEAP, WholeShop, whole_shop
from tests.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]


class Before(NamedTuple):
    """The shop in the folder, and what was known there."""

    folder: Path
    email: str
    order: str
    guest: str
    guest_order: str
    notices: set[tuple[str, str]]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    folder = tmp_path_factory.mktemp("old")
    with whole_shop(folder) as shop, shop.client() as web:
        staff = Staff(web, shop.token("staff", "staff"))
        staff.put_product("MUG", 1200)
        staff.receive("MUG", 10)
        buyer, guest = Buyer.registered(web), Buyer(web)
        order = buyer.buy("MUG", 2)
        guest_order = guest.buy("MUG")
        assert [order["status"], guest_order["status"]] == ["confirmed"] * 2
        buyer.add("MUG", 3)
        guest.add("MUG", 1)
        eventually(lambda: _all_mailed(shop, 4))
        # What is there when the shop closes may be behind: the flows may have had no time to say how far they are.
        notices = eventually(lambda: _notices(buyer, 2))
    data = folder / "data"
    with sqlite3.connect(data / "notifications.db") as database:
        # As if they had been deleted for their age: they must not come back.
        database.execute("DELETE FROM notices WHERE kind = 'receipt'")
    left = {(kind, about) for kind, about in notices if kind != "receipt"}
    return Before(data, buyer.email, order["id"], guest.token, guest_order["id"], left)


def _all_mailed(shop: WholeShop, count: int) -> bool:
    with sqlite3.connect(shop.settings.database("notifications")) as database:
        ended = "SELECT count(*) FROM mails WHERE outcome = 'sent' AND order_id != ''"
        assert database.execute(ended).fetchone() == (count,)
    with sqlite3.connect(shop.settings.database("journal")) as database:
        (end,) = database.execute("SELECT max(position) FROM records WHERE kind = 'order'").fetchone()
    with sqlite3.connect(shop.settings.database("flows")) as database:
        reached = database.execute("SELECT position FROM positions WHERE flow = 'send_mails'").fetchone()
    return reached is not None and reached[0] >= end


def _notices(buyer: Buyer, at_least: int) -> set[tuple[str, str]]:
    found = body(buyer.call("GET", "/api/notifications"))["items"]
    assert len(found) >= at_least
    return {(one["kind"], str(one["order_id"])) for one in found}


@pytest.fixture(params=["mysql alone", "mysql, mongo and kafka"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Servers that are set up, each with a place of this test's own."""
    with shop_on_mysql() as mysql, mongo_database() as mongo:
        given: dict[str, Any] = {**CHEAP, "data_dir": tmp_path / "new", "mysql_url": mysql}
        if "kafka" in request.param:
            given |= {"kafka_servers": address("KAFKA"), "kafka_prefix": f"test-{secrets.token_hex(6)}-"}
            given |= {"mongo_url": mongo, "kafka_replication": 1, "kafka_partitions": 3}
        made = load(**given)
        set_up(made, lambda _: None)
        yield made


def _move(before: Before, settings: Settings) -> tuple[Moved, dict[str, int]]:
    rows: dict[str, int] = {}

    def begin(name: str, total: int) -> Any:
        rows[name] = 0

        def done(count: int) -> None:
            rows[name] += count
            assert rows[name] <= total

        return done

    return move(before.folder, settings, begin), rows


def test_a_shop_goes_on_on_servers(before: Before, settings: Settings, tmp_path: Path) -> None:
    moved, told = _move(before, settings)
    assert [one for one in moved.counts if not one.agrees] == []
    assert {one.name: one.source for one in moved.counts} == told
    assert told["users: users"] == 1
    assert told["orders: contacts"] == 2
    assert moved.spared == (2 if settings.kafka_servers else 0)

    with pytest.raises(CannotMigrate, match="is not empty"):
        _move(before, settings.model_copy(update={"data_dir": tmp_path / "another"}))

    mails = {path.name: path.stat().st_mtime_ns for path in settings.mails.glob("*.eml")}
    assert len(mails) >= 4
    given = {name: getattr(settings, name) for name in ("data_dir", "kafka_servers", "kafka_prefix", "mongo_url")}
    with whole_shop(tmp_path, **given, mysql_url=settings.mysql_url) as shop, shop.client() as web:
        _goes_on(before, shop, web)
        _adds_up(shop, tmp_path)
        _nothing_was_sent_twice(shop, mails)


def _goes_on(before: Before, shop: WholeShop, web: Any) -> None:
    buyer = Buyer(web, log_in(web, before.email)["access_token"], before.email)
    guest = Buyer(web, before.guest)
    staff = Staff(web, shop.token("staff", "staff"))
    assert [(line["sku"], line["quantity"]) for line in buyer.cart()["lines"]] == [("MUG", 3)]
    assert [(line["sku"], line["quantity"]) for line in guest.cart()["lines"]] == [("MUG", 1)]
    assert [one["id"] for one in body(buyer.call("GET", "/api/orders"))["items"]] == [before.order]
    staff.stock_when("MUG", on_hand=7, sold=3, held=0, reserved=0, waiting=0)
    body(staff.refund(before.order))
    buyer.order_when(before.order, payment_status="refunded")
    # Something new is bought, from the cart that came along.
    new = body(buyer.check_out(), 201)
    assert new["status"] == "confirmed"
    staff.stock_when("MUG", on_hand=4, sold=6)
    expected = {
        *before.notices,
        ("order_refunded", before.order),
        ("order_confirmation", new["id"]),
        ("receipt", new["id"]),
    }

    def told() -> bool:
        found = _notices(buyer, 1)
        assert found == expected
        return True

    eventually(told, 60.0)


def _adds_up(shop: WholeShop, folder: Path) -> None:
    copies = (folder / f"copy-{n}" for n in itertools.count())

    def look() -> bool:
        copy = next(copies)
        copy.mkdir()
        copy_shop(shop.settings, copy)
        findings = audit(copy)
        assert findings.clean(settled=True), lines_of(findings, settled=True)
        return True

    eventually(look, 90.0)


def _nothing_was_sent_twice(shop: WholeShop, before: dict[str, int]) -> None:
    """Once every event was handled again, as the audit says."""
    now = {path.name: path.stat().st_mtime_ns for path in shop.settings.mails.glob("*.eml")}
    assert {name: now.get(name) for name in before} == before
    engine = open_mysql(shop.settings.database_url("notifications"), 1)
    with engine.connect() as connection:
        again = connection.execute(sa.select(MAILS.c.template).where(MAILS.c.sendings > 1)).all()
        lapsed = connection.execute(sa.select(MAILS.c.template).where(MAILS.c.outcome == "lapsed")).all()
    engine.dispose()
    assert (again, lapsed) == ([], [])
