"""What keeps a shop from being moved to servers, and what people were told already."""

from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from actors import order
from actors.journal.base import ShardRow
from actors.journal.sql import SqlJournal
from actors.runtime.open_work import OpenWork, unrelayed
from pipelines import notify_users
from pipelines.log.base import Happened
from pipelines.progress import DeadLetter, SqlProgress
from serve import processes
from serve.cli.main import app
from serve.migrating import told
from serve.migrating.failing import CannotMigrate
from serve.migrating.moving import move
from serve.migrating.source import held
from serve.setting_up import set_up_databases
from serve.settings import Settings, load

SHARDS = 2
SERVERS = {"mysql_url": "mysql+pymysql://nobody:secret@127.0.0.1:1/troupe", "kafka_servers": "127.0.0.1:1"}


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Of a shop that was opened and closed."""
    data = tmp_path / "old"
    set_up_databases(load(data_dir=data), lambda _: None)
    journal = SqlJournal(str(data / "journal.db"))
    await journal.setup()
    await journal.take_shards(await _rows(journal), "host-0", [1, 1])
    await journal.close()
    return data


async def _rows(journal: SqlJournal) -> list[ShardRow]:
    assert await journal.shard_rows([("order", 0)]) == {}
    return [ShardRow("order", number, 0, "", 0, b"") for number in range(SHARDS)]


def _settings(tmp_path: Path, **given: Any) -> Settings:
    return load(**{"data_dir": tmp_path / "new", "shards": SHARDS, **SERVERS, **given})


def _refusal(folder: Path, settings: Settings) -> str:
    with pytest.raises(CannotMigrate) as refused:
        move(folder, settings, lambda name, total: lambda rows: None)
    return str(refused.value)


def test_it_needs_a_place_to_go(folder: Path, tmp_path: Path) -> None:
    assert "TROUPE_MYSQL_URL is not set" in _refusal(folder, load(data_dir=tmp_path / "new"))
    assert "a data folder of its own" in _refusal(folder, _settings(tmp_path, data_dir=folder))
    assert f"There is no shop in {tmp_path}" in _refusal(tmp_path, _settings(tmp_path))


def test_neither_shop_may_run(folder: Path, tmp_path: Path) -> None:
    me = psutil.Process()
    settings = _settings(tmp_path)
    settings.data_dir.mkdir()
    for where, told_so in ((folder, "A shop runs on"), (settings.data_dir, "A shop runs on the servers")):
        processes.note(where, processes.Running(me.pid, me.create_time(), "mark", "http://127.0.0.1:1"))
        assert _refusal(folder, settings).startswith(told_so)
        processes.forget(where)


async def test_one_that_did_not_close_is_noticed_by_its_lease(folder: Path, tmp_path: Path) -> None:
    journal = SqlJournal(str(folder / "journal.db"))
    await journal.renew("host-0", 60_000, ())
    await journal.close()
    assert "ended a moment ago" in _refusal(folder, _settings(tmp_path))


async def test_nobody_writes_while_it_is_held(folder: Path) -> None:
    journal = SqlJournal(str(folder / "journal.db"), busy_seconds=0.05)
    with held(folder, SHARDS), pytest.raises(Exception, match="OperationalError"):
        await journal.renew("host-0", 1, ())
    assert (await journal.renew("host-0", 1, ())).revoked == ()
    await journal.close()


def test_the_number_of_shards_must_be_the_same(folder: Path, tmp_path: Path) -> None:
    assert _refusal(folder, _settings(tmp_path, shards=64)).endswith("set TROUPE_SHARDS=2.")


def test_tables_of_another_version_are_not_copied(folder: Path, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{folder / 'orders.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    engine.dispose()
    assert "orders.db" in _refusal(folder, _settings(tmp_path))


async def test_dead_letters_are_to_be_settled_first(folder: Path, tmp_path: Path) -> None:
    progress = SqlProgress(f"sqlite:///{folder / 'flows.db'}")
    await progress.bury("send_mails", DeadLetter(Happened(1, "order", "o", 1, 0, 1, b""), "no", 1))
    await progress.close()
    assert "given up on 1 events" in _refusal(folder, _settings(tmp_path))


def test_where_nobody_answers_no_password_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(sa.exc.OperationalError) as away:
        move(folder, _settings(tmp_path), lambda name, total: lambda rows: None)
    assert "secret" not in str(away.value)


def test_a_checkpoint_says_that_nothing_was_relayed() -> None:
    work = OpenWork()
    work.seq = 7
    work.relayed_to(7)
    after = OpenWork(unrelayed(work.checkpoint()))
    assert (after.seq, after.relayed) == (7, 0)
    assert unrelayed(b"") == b""


def test_what_orders_told_is_found_without_the_order() -> None:
    assert told.of_order(order.OrderDelivered(1)) == ["order_delivered", "receipt"]
    assert told.of_order(order.OrderConfirmed(1200, 0, "GBP", "guest:g", "k", 1)) == ["order_confirmation"]


def test_only_what_a_flow_is_done_with_counts_as_told(folder: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{folder / 'flows.db'}")
    with engine.begin() as flows:
        flows.exec_driver_sql(f"INSERT INTO positions VALUES ('{notify_users.NAME}', 5)")
        flows.exec_driver_sql(f"INSERT INTO inbox VALUES ('{notify_users.NAME}', 'user/u/7/0', 7)")
        done = told._Done(flows, notify_users.NAME)
        found = [done(Happened(position, "user", "u", position, 0, 1, b"")) for position in (5, 6, 7)]
    engine.dispose()
    assert found == [True, False, True]


def test_the_command_says_what_is_in_the_way(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TROUPE_DATA_DIR", str(tmp_path / "new"))
    monkeypatch.setenv("TROUPE_SHARDS", str(SHARDS))
    command = ["migrate-data", "--from", str(folder)]
    told = CliRunner().invoke(app, command)
    assert (told.exit_code, "TROUPE_MYSQL_URL is not set" in told.output) == (2, True)
    monkeypatch.setenv("TROUPE_MYSQL_URL", SERVERS["mysql_url"])
    told = CliRunner().invoke(app, command)
    assert (told.exit_code, "It broke off: OperationalError" in told.output) == (2, True)
    assert "secret" not in told.output
