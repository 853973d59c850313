"""The audit finds every sort of planted damage, says it in a sentence, and nothing else of a sound shop."""

import asyncio
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from actors import cart, order, stock
from actors.journal.tables import metadata as journal
from actors.runtime.wire import SentMessage, encode
from serve.audit.copying import copy_tables
from serve.audit.findings import Findings
from serve.audit.orders import Contacts
from serve.audit.owed import FOUND
from serve.audit.replayed import Replayed
from serve.audit.report import lines_of
from serve.audit.sources import NoShop
from serve.audit.stock import Bought, check_stock
from serve.cli.main import app
from tests.unit.audited_shop import CASH, PAID, Folder, History
from tests.unit.planted_damage import JOURNAL, MONEY, STOCK_AND_ORDERS, TEXTS, Damage


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    made = History(tmp_path_factory.mktemp("shop") / "data")
    asyncio.run(made.make())
    return made


@pytest.fixture
def folder(history: History, tmp_path: Path) -> Folder:
    shutil.copytree(history.folder, tmp_path / "data")
    return Folder(tmp_path / "data")


def test_a_sound_shop_adds_up(folder: Folder, history: History) -> None:
    found = folder.audit()
    assert (found.damage, found.waiting) == ([], {})
    assert found.clean(settled=True)
    assert {what: found.checked[what] for what in ("order entities", "stock entities", "payment entities")} == {
        "order entities": 6,
        "stock entities": 2,
        "payment entities": 4,
    }
    assert found.checked["mails"] == 15
    assert (found.checked["texts"], found.checked["texts that nobody asked for"]) == (2, 1)
    assert found.checked["texts to who wants none by now"] == 0
    assert found.checked["parcels"] == 1
    transactions = folder.ask("payments", "SELECT count(*) FROM payment_transactions")[0][0]
    assert found.checked["payment transactions"] == transactions > 4
    assert found.checked["records"] == folder.ask("journal", "SELECT count(*) FROM records")[0][0]
    assert lines_of(found, settled=True)[-1] == "Everything adds up."


def test_a_running_shop_is_not_called_damaged(history: History) -> None:
    assert history.while_running is not None
    assert history.while_running.damage == []


def test_a_good_snapshot_is_good(folder: Folder) -> None:
    folder.snapshot("order", PAID)
    assert folder.audit().damage == []


def test_a_folder_without_a_shop(tmp_path: Path) -> None:
    with pytest.raises(NoShop):
        Folder(tmp_path).audit()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        pytest.param(damage, sentence, id=name)
        for name, damage, sentence in (*JOURNAL, *STOCK_AND_ORDERS, *TEXTS, *MONEY)
    ],
)
def test_damage_is_found(folder: Folder, damage: Damage, sentence: str) -> None:
    damage(folder)
    found = folder.audit()
    assert any(sentence in one for one in found.damage), "\n".join(found.damage)
    assert not found.clean(settled=False)


def test_a_stock_item_that_does_not_add_up() -> None:
    state = stock.StockState("MUG", on_hand=7, received=10, sold=2, held=1)
    found, bought = Findings(), Bought()
    bought.sold["MUG"] = 2
    check_stock(Replayed("stock", "MUG", state), bought, found)
    assert found.damage == [
        "Stock MUG does not add up: 7 on hand + 2 sold - 0 returned is not 10 received + 0 corrected.",
        "Stock MUG counts 1 held and 0 reserved units; its orders have 0 and 0.",
    ]


def test_an_order_placed_meanwhile_may_have_a_contact_that_was_not_seen() -> None:
    found = Findings()
    contacts = Contacts(None, 5, found)
    for name, opened_at in (("o-before", 4), ("o-since", 5)):
        contacts.check(Replayed("order", name, order.OrderState(name, contact_id="k", opened_at=opened_at)))
    assert found.damage == ["Order o-before goes to contact k, which is not there."]


def test_who_wants_no_texts_any_more_may_have_wanted_them(folder: Folder) -> None:
    folder.run("notifications", "DELETE FROM turned_on")
    found = folder.audit()
    assert (found.damage, found.checked["texts to who wants none by now"]) == ([], 1)


def test_a_shop_that_has_had_texts_owes_none_of_what_others_mailed(folder: Folder) -> None:
    folder.run("notifications", "DELETE FROM texts WHERE template = 'order_shipped'")
    folder.run("notifications", "UPDATE mails SET sender = 'before'")
    assert folder.audit().damage == []


def test_a_shop_from_before_there_were_texts(folder: Folder) -> None:
    folder.run("notifications", "DROP TABLE texts", "UPDATE mails SET sender = sender")
    found = folder.audit()
    assert (found.damage, found.checked["texts"], found.checked["mails"]) == ([], 0, 15)


def test_a_text_on_its_way_is_under_way(folder: Folder) -> None:
    folder.run("notifications", "UPDATE texts SET outcome = NULL WHERE template = 'order_shipped'")
    found = folder.audit()
    assert (found.damage, found.examples) == ([], {"texts that are being sent": [f"order_shipped of order {CASH}"]})


def test_what_a_shop_will_see_to_is_under_way(folder: Folder) -> None:
    message = encode(order.Pack())
    folder.append(
        "cart",
        "g-new",
        cart.CartCheckedOut("o-new", 1, "GBP"),
        sends=(SentMessage("order", "o-new", message, True),),
    )
    folder.run("flows", "UPDATE positions SET position = 0 WHERE flow = 'send_mails'")
    folder.run("notifications", "DELETE FROM mails")
    found = folder.audit()
    assert found.damage == []
    assert set(found.waiting) == {
        "messages that have not arrived",
        "lines that carts keep for their orders",
        "events that the flow send_mails has not handled",
    }
    assert (found.clean(settled=False), found.clean(settled=True)) == (True, False)
    assert lines_of(found, settled=True)[-1] == "Nothing is wrong, but not everything is settled."
    assert lines_of(found, settled=False)[-1] == "Everything adds up so far."


def test_the_command_tells_by_its_exit(folder: Folder, tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["audit", "--data", str(folder.path), "--settled"]).exit_code == 0
    folder.run("orders", "DELETE FROM orders")
    damaged = runner.invoke(app, ["audit", "--data", str(folder.path)])
    assert damaged.exit_code == 1
    assert f"Order {PAID} is not in the list of orders." in damaged.output
    assert runner.invoke(app, ["audit", "--data", str(tmp_path)]).exit_code == 2


def test_a_copy_finds_a_message_without_looking_at_all_records(tmp_path: Path) -> None:
    """As it is made of a journal on MySQL; without the indexes an audit took the square of its records."""
    source, target = (sa.create_engine(f"sqlite:///{tmp_path / name}.db") for name in ("source", "target"))
    journal.create_all(source)
    copy_tables(source, target)
    with target.connect() as connection:
        columns = {tuple(one["column_names"]) for one in sa.inspect(connection).get_indexes("records")}
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {FOUND}", ("cart", "c1", "m:order/o1/1/0")).all()
    assert columns == {("kind", "shard", "seq"), ("kind", "entity", "version"), ("kind", "entity", "command_id")}
    assert [step.detail.partition(" (")[0] for step in steps] == [
        "SEARCH records USING COVERING INDEX records_records_command"
    ]
    source.dispose()
    target.dispose()
