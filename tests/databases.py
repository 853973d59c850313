"""Databases for tests of what speaks SQL: SQLite always, a real server where there is one."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipelines import progress_tables
from pipelines.sql.mysql import open_mysql
from pipelines.sql.revisions import stamp
from serve.catalog import tables as catalog
from serve.catalog.search import stock
from serve.changes import store as changes
from serve.notifications import tables as notifications
from serve.orders import tables as orders
from serve.payments import inbox, transactions
from serve.settings import load
from serve.setup_steps import set_up
from serve.users import account_tables  # noqa: F401  # tables of theirs are made too
from serve.users import tables as users
from tests.servers import address

METADATA = {
    found.info["database"]: found
    for found in (
        users.metadata,
        catalog.metadata,
        orders.metadata,
        transactions.metadata,
        inbox.metadata,
        notifications.METADATA,
        changes.METADATA,
        progress_tables.METADATA,
        stock.METADATA,
    )
}
"""All tables of each of the shop's databases."""
KINDS = ("sqlite", pytest.param("mysql", marks=pytest.mark.servers), pytest.param("mariadb", marks=pytest.mark.servers))


class Server:
    """A database server, and the databases that tests have made there: made once, and emptied for each test."""

    def __init__(self, url: sa.URL) -> None:
        self.url = url
        self._prefix = f"test_{secrets.token_hex(6)}"
        self._engines: dict[str, sa.Engine] = {}

    def emptied(self, name: str, file: str) -> str:
        """The address of a database with the tables of `name`, without a row."""
        url = self.url.set(database=f"{self._prefix}_{file}")
        shown = url.render_as_string(hide_password=False)
        engine = self._engines.get(file)
        if engine is None:
            self.say(f"CREATE DATABASE {url.database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            engine = self._engines[file] = open_mysql(shown, 1)
            with engine.begin() as connection:
                METADATA[name].create_all(connection)
                stamp(connection, METADATA[name].info["revision"])
            return shown
        tables = list(METADATA[name].tables)
        with engine.connect() as connection:
            counts = ", ".join(f"EXISTS (SELECT 1 FROM {table})" for table in tables)
            found = connection.exec_driver_sql(f"SELECT {counts}").one()
            connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS = 0")
            for table, is_there in zip(tables, found, strict=True):
                if is_there:
                    connection.exec_driver_sql(f"TRUNCATE TABLE {table}")
            connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS = 1")
        return shown

    def say(self, statement: str) -> None:
        """To the server, outside of any database."""
        engine = sa.create_engine(self.url.set(database=""))
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def close(self) -> None:
        for file, engine in self._engines.items():
            engine.dispose()
            self.say(f"DROP DATABASE {self._prefix}_{file}")


class Databases:
    """Gives addresses of databases that have the shop's tables, for one test."""

    def __init__(self, folder: Path, server: Server | None) -> None:
        self._folder = folder
        self._given: dict[str, str] = {}
        self.server = server

    def __call__(self, name: str, file: str = "") -> str:
        """The address of a database. `file`: for a second one with the same tables."""
        file = file or name
        if file not in self._given:
            here = f"sqlite:///{self._folder / file}.db"
            self._given[file] = here if self.server is None else self.server.emptied(name, file)
        return self._given[file]


class Servers:
    """Those that are needed, by kind: mysql or mariadb."""

    def __init__(self) -> None:
        self._found: dict[str, Server] = {}

    def __call__(self, kind: str) -> Server:
        if kind not in self._found:
            self._found[kind] = Server(sa.make_url(address(kind.upper())))
        return self._found[kind]

    def close(self) -> None:
        for server in self._found.values():
            server.close()


@contextmanager
def shop_on(kind: str) -> Iterator[str]:
    """The `mysql_url` of a shop of which `troupe setup` has made everything."""
    server = Server(sa.make_url(address(kind.upper())))
    url = server.url.set(database=f"test_{secrets.token_hex(6)}")
    shown = url.render_as_string(hide_password=False)
    try:
        set_up(load(mysql_url=shown), lambda _: None)
        yield shown
    finally:
        for name in ("journal", *METADATA):
            server.say(f"DROP DATABASE IF EXISTS {url.database}_{name}")
