"""`troupe setup`: databases and tables by revisions, on SQLite and on real servers, as often as one likes."""

import secrets
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from pipelines.progress import SqlProgress
from pipelines.sql.revisions import FIRST, SchemaBehind, revision_of, stamp
from serve import setting_up, setup_steps
from serve import settings as settings_module
from serve.changes.store import ChangeStore
from serve.cli.main import app
from serve.migrations import heads
from serve.migrations.running import DATABASES, differences, upgrade
from serve.setting_up import SetupFailed, set_up_before_start
from serve.settings import Settings
from tests.databases import Databases


def silent(_: str) -> None:
    """Nobody listens."""


@pytest.fixture
def settings(databases: Databases, tmp_path: Path) -> Iterator[Settings]:
    """Of a shop on the server, if there is one; nothing is made yet."""
    server = databases.server
    if server is None:
        yield settings_module.load(data_dir=tmp_path)
        return
    url = server.url.set(database=f"test_{secrets.token_hex(6)}")
    yield settings_module.load(data_dir=tmp_path, mysql_url=url.render_as_string(hide_password=False))
    for name in ("journal", *heads()):
        server.say(f"DROP DATABASE IF EXISTS {url.database}_{name}")


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    if settings.mysql_url is not None:
        monkeypatch.setenv("TROUPE_MYSQL_URL", settings.mysql_url.get_secret_value())
    monkeypatch.setenv("TROUPE_DATA_DIR", str(settings.data_dir))
    return CliRunner()


def opened(settings: Settings, name: str) -> sa.Engine:
    return sa.create_engine(settings.database_url(name))


def test_the_code_knows_the_newest_revision_of_each_database() -> None:
    assert {name: one.metadata.info["revision"] for name, one in DATABASES.items()} == heads()
    assert [one.metadata.info["database"] for one in DATABASES.values()] == list(DATABASES)


@pytest.mark.parametrize("name", DATABASES)
def test_the_revisions_make_the_tables_of_the_code(name: str, settings: Settings) -> None:
    if settings.mysql_url is not None:
        setting_up.make_database(sa.make_url(settings.database_url(name)), silent)
    engine = opened(settings, name)
    with engine.begin() as connection:
        upgrade(connection, name, silent)
    with engine.begin() as connection:
        assert differences(connection, name) == []
        assert revision_of(connection) == heads()[name]
        if connection.dialect.name == "mysql":
            collations = (
                "SELECT DISTINCT collation_name FROM information_schema.columns WHERE table_schema = DATABASE()"
            )
            found = set(connection.exec_driver_sql(collations).scalars()) - {None}
            assert found == {setting_up.binary_collation(connection)}
    engine.dispose()


@pytest.mark.parametrize("name", [name for name, head in heads().items() if head != FIRST])
def test_a_database_of_an_earlier_revision_is_brought_to_this_one(
    name: str, settings: Settings, command: CliRunner
) -> None:
    if settings.mysql_url is not None:
        setting_up.make_database(sa.make_url(settings.database_url(name)), silent)
    engine = opened(settings, name)
    with engine.begin() as connection:
        upgrade(connection, name, silent, FIRST)
        assert revision_of(connection) == FIRST
    if settings.mysql_url is None:
        set_up_before_start(settings, silent)
    else:
        assert setup(command).exit_code == 0
    with engine.connect() as connection:
        assert (revision_of(connection), differences(connection, name)) == (heads()[name], [])
    engine.dispose()


def setup(command: CliRunner) -> Result:
    return command.invoke(app, ["setup"])


def test_setup_makes_everything_and_can_be_run_again(settings: Settings, command: CliRunner) -> None:
    first = setup(command)
    assert (first.exit_code, first.output.splitlines()[0]) == (0, "Databases:")
    for name, head in heads().items():
        engine = opened(settings, name)
        with engine.connect() as connection:
            assert revision_of(connection) == head
            assert differences(connection, name) == []
        engine.dispose()
    again = setup(command)
    told = [line.rpartition(": ")[2] for line in again.output.partition("Journals:")[0].splitlines()[1:]]
    assert (again.exit_code, told) == (0, [f"at revision {head}" for head in heads().values()])
    set_up_before_start(settings, silent)


def test_several_may_set_up_at_once(settings: Settings) -> None:
    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(setup_steps.set_up, settings, silent) for _ in range(3)]:
            done.result()
    set_up_before_start(settings, silent)


def test_what_is_of_another_shop_is_left_alone_and_said(settings: Settings, command: CliRunner) -> None:
    assert setup(command).exit_code == 0
    engine = opened(settings, "flows")
    with engine.begin() as connection:
        stamp(connection, "9999")
    engine.dispose()
    refused = setup(command)
    assert refused.exit_code == 1
    assert "The database flows is of a newer shop (revision 9999, this one knows 0001)." in refused.output
    with pytest.raises(SchemaBehind, match="of a newer shop"):
        SqlProgress(settings.database_url("flows"))


def test_an_older_database_is_not_opened(settings: Settings, command: CliRunner) -> None:
    assert setup(command).exit_code == 0
    engine = opened(settings, "flows")
    with engine.begin() as connection:
        stamp(connection, "0000")
    engine.dispose()
    with pytest.raises(SchemaBehind, match=r"flows is at revision 0000, and this shop needs 0001\. Run `troupe setup`"):
        SqlProgress(settings.database_url("flows"))


@pytest.mark.parametrize("name", DATABASES)
def test_a_file_from_before_there_were_revisions_says_its_own_from_now_on(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    DATABASES[name].metadata.create_all(engine)
    engine.dispose()
    setting_up.set_up_databases(settings_module.load(data_dir=tmp_path), silent)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(heads()[name],)]


def test_a_file_that_is_too_old_is_not_opened(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "audit.db")) as database:
        database.execute("CREATE TABLE staff_changes (number INTEGER PRIMARY KEY, at BIGINT)")
    with pytest.raises(SchemaBehind, match="audit is too old for this shop: staff_changes has no column before"):
        ChangeStore(f"sqlite:///{tmp_path / 'audit.db'}")


@pytest.mark.parametrize("databases", [pytest.param("mariadb", marks=pytest.mark.servers)], indirect=True)
def test_a_setup_that_broke_off_is_finished(settings: Settings, command: CliRunner) -> None:
    url = sa.make_url(settings.database_url("orders"))
    setting_up.make_database(url, silent)
    engine = sa.create_engine(url)
    DATABASES["orders"].metadata.tables["contacts"].create(engine)
    with pytest.raises(SetupFailed, match=r"run `troupe setup`"):
        set_up_before_start(settings, silent)
    assert setup(command).exit_code == 0
    with engine.begin() as connection:
        assert differences(connection, "orders") == []
        connection.exec_driver_sql("DELETE FROM alembic_version")
        connection.exec_driver_sql("ALTER TABLE contacts DROP COLUMN guest_email")
    engine.dispose()
    refused = setup(command)
    assert refused.exit_code == 1
    assert "has tables that are not those of this shop" in refused.output


@pytest.mark.parametrize("databases", [pytest.param("mariadb", marks=pytest.mark.servers)], indirect=True)
def test_whoever_may_notmake_databases_is_told_what_to_ask_for(databases: Databases, tmp_path: Path) -> None:
    server = databases.server
    assert server is not None
    name = f"test_{secrets.token_hex(6)}"
    server.say(f"CREATE USER {name}@'%%' IDENTIFIED BY 'secret words'")
    url = server.url.set(username=name, password="secret words", database=name).render_as_string(hide_password=False)
    try:
        with pytest.raises(SetupFailed, match=f"CREATE DATABASE `{name}_audit`") as failed:
            setup_steps.set_up(settings_module.load(data_dir=tmp_path, mysql_url=url), silent)
        assert "secret" not in str(failed.value)
    finally:
        server.say(f"DROP USER {name}@'%%'")


@pytest.mark.parametrize("databases", [pytest.param("mysql", marks=pytest.mark.servers)], indirect=True)
def test_whoever_may_not_make_triggers_is_told_what_to_set(databases: Databases, tmp_path: Path) -> None:
    """MySQL has a binary log unless told otherwise. Tables may be there by then; the triggers are made all the same."""
    server = databases.server
    assert server is not None
    name = f"test_{secrets.token_hex(6)}"
    server.say(f"CREATE USER {name}@'%%' IDENTIFIED BY 'secret words'")
    server.say(f"GRANT ALL ON `{name}\\_%%`.* TO {name}@'%%'")
    url = server.url.set(username=name, password="secret words", database=name).render_as_string(hide_password=False)
    settings = settings_module.load(data_dir=tmp_path, mysql_url=url)
    try:
        for _ in range(2):
            with pytest.raises(SetupFailed, match="log_bin_trust_function_creators = 1, or"):
                setting_up.set_up_databases(settings, silent)
        owners = server.url.set(database=name).render_as_string(hide_password=False)
        setting_up.set_up_databases(settings_module.load(data_dir=tmp_path, mysql_url=owners), silent)
        with opened(settings, "audit").begin() as connection:
            triggers = connection.exec_driver_sql("SHOW TRIGGERS").scalars().all()
            assert revision_of(connection) == heads()["audit"]
        assert len(triggers) == 4
    finally:
        for database in heads():
            server.say(f"DROP DATABASE IF EXISTS {name}_{database}")
        server.say(f"DROP USER {name}@'%%'")
