"""Databases of the tests' own on real servers."""

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from secrets import token_hex
from urllib.parse import urlsplit

from pymongo import MongoClient
from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.pool import NullPool

from tests.servers import address


@contextmanager
def mongo_database() -> Iterator[str]:
    """The address of a new database in MongoDB."""
    name = f"troupe_test_{token_hex(6)}"
    server = address("MONGO")
    yield urlsplit(server)._replace(path=f"/{name}").geturl()
    client: MongoClient[dict[str, object]] = MongoClient(server)
    try:
        client.drop_database(name)
    finally:
        client.close()


@contextmanager
def sql_database(server: str) -> Iterator[str]:
    """The address of an empty database on a server such as "MYSQL".

    A run makes one and drops it when it ends; each test empties the tables, which takes a tenth of making them.
    """
    url = _database(server)
    yield url
    with _connected(url) as connection:
        for (table,) in connection.exec_driver_sql("SHOW TABLES").all():
            connection.exec_driver_sql(f"DELETE FROM {table}")


@cache
def _database(server: str) -> str:
    where = address(server)
    name = f"troupe_test_{token_hex(6)}"
    _carry_out(where, f"CREATE DATABASE {name}")
    atexit.register(_carry_out, where, f"DROP DATABASE {name}")
    return make_url(where).set(database=name).render_as_string(hide_password=False)


def _carry_out(server: str, sentence: str) -> None:
    with _connected(make_url(server).set(database="").render_as_string(hide_password=False)) as connection:
        connection.exec_driver_sql(sentence)


def _connected(url: str) -> Connection:
    return create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect()


@contextmanager
def shop_on_mysql() -> Iterator[str]:
    """What `mysql_url` is set to for a shop of this test's own; nothing is set up. Its databases are dropped."""
    mark = f"test_{token_hex(6)}"
    url = make_url(address("MYSQL")).set(database=mark)
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        engine = create_engine(url.set(database=""))
        with engine.begin() as connection:
            for name in connection.exec_driver_sql(f"SHOW DATABASES LIKE '{mark}%%'").scalars().all():
                connection.exec_driver_sql(f"DROP DATABASE {name}")
        engine.dispose()
