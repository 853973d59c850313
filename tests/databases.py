"""Databases for tests of what speaks SQL: SQLite always, a real server where there is one."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipelines import progress
from pipelines.sql.mysql import open_mysql
from pipelines.sql.revisions import stamp
from serve.catalog import tables as catalog
from serve.catalog.search import stock
from serve.changes import store as changes
from serve.notifications import tables as notifications
from serve.orders import tables as orders
from serve.payments import transactions
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
        notifications.METADATA,
        changes.METADATA,
        progress.METADATA,
        stock.METADATA,
    )
}
"""All tables of each of the shop's databases."""
KINDS = ("sqlite", pytest.param("mysql", marks=pytest.mark.servers), pytest.param("mariadb", marks=pytest.mark.servers))


class Databases:
    """Gives addresses of databases that have the shop's tables."""

    def __init__(self, folder: Path, server: sa.URL | None) -> None:
        self._folder = folder
        self.server = server
        self._made: list[str] = []

    def __call__(self, name: str, file: str = "") -> str:
        """The address of a database. `file`: for a second one with the same tables."""
        if self.server is None:
            return f"sqlite:///{self._folder / (file or name)}.db"
        url = self.server.set(database=f"{self.server.database}_{file or name}")
        shown = url.render_as_string(hide_password=False)
        if url.database not in self._made:
            assert url.database is not None
            self._made.append(url.database)
            self.say(f"CREATE DATABASE {url.database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            engine = open_mysql(shown, 1)
            if name in METADATA:
                with engine.begin() as connection:
                    METADATA[name].create_all(connection)
                    stamp(connection, METADATA[name].info["revision"])
            engine.dispose()
        return shown

    def say(self, statement: str) -> None:
        """To the server, outside of any database."""
        assert self.server is not None
        engine = sa.create_engine(self.server.set(database=""))
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def drop(self) -> None:
        for name in self._made:
            self.say(f"DROP DATABASE {name}")


@contextmanager
def databases_on(kind: str, folder: Path) -> Iterator[Databases]:
    """`kind`: sqlite, mysql or mariadb. What was made on a server is dropped at the end."""
    server = None
    if kind != "sqlite":
        server = sa.make_url(address(kind.upper())).set(database=f"test_{secrets.token_hex(6)}")
    made = Databases(folder, server)
    try:
        yield made
    finally:
        made.drop()
