"""Types and statements in which databases differ."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A number that counts up by itself: 64 bits everywhere, and on SQLite the row's own number."""
REAL = sa.Float().with_variant(mysql.DOUBLE(asdecimal=False), "mysql")
"""64 bits everywhere."""
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
"""More than the 64 KB that a TEXT has on MySQL."""
LONG_BYTES = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql")


class OrderedJson(sa.TypeDecorator[Any]):
    """JSON as it was written: MySQL's own type sorts the keys of objects, and their order is what pages show."""

    impl = mysql.MEDIUMTEXT
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        return json.dumps(value, ensure_ascii=False)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)


JSON = sa.JSON().with_variant(OrderedJson(), "mysql")


class Said:
    """A statement that is said to the driver as it is, which costs less than having it made.

    `sqlite` has ``?`` for values; `mysql`, where its words differ, ``%s``.
    """

    def __init__(self, sqlite: str, mysql: str | None = None) -> None:
        self._sqlite = sqlite
        self._mysql = sqlite.replace("?", "%s") if mysql is None else mysql

    def __call__(self, connection: sa.Connection, values: Any) -> sa.CursorResult[Any]:
        return connection.exec_driver_sql(self._mysql if is_mysql(connection) else self._sqlite, values)


def is_mysql(connection: sa.Connection) -> bool:
    """MySQL or MariaDB."""
    return connection.dialect.name == "mysql"


def insert_missing(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds those whose key is not there yet. On MySQL all of them are locked then, in the order of `rows`."""
    if not rows:
        return
    if is_mysql(connection):
        key = next(iter(table.primary_key.columns))
        statement: sa.Insert = mysql.insert(table).on_duplicate_key_update({key.name: key})
    else:
        statement = sqlite.insert(table).on_conflict_do_nothing()
    connection.execute(statement, list(rows))


def places_table(metadata: sa.MetaData) -> sa.Table:
    """For `next_place`."""
    return sa.Table(
        "places",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last", sa.BigInteger, nullable=False),
    )


def next_place(connection: sa.Connection, count: int = 1) -> int | None:
    """The first of `count` numbers for rows that others read in order, looking behind the last one that they saw.

    On MySQL numbers that count up by themselves become visible in the order of commits, not in their own. These are
    given by one row, the table of `places_table`, which is locked until the transaction ends. None: the database's own
    numbers are in order.
    """
    if not is_mysql(connection):
        return None
    connection.exec_driver_sql(_TAKE, (count, count))
    last: int = connection.exec_driver_sql(_LAST).scalar_one()
    return last - count + 1


_TAKE = "INSERT INTO places (id, last) VALUES (1, %s) ON DUPLICATE KEY UPDATE last = last + %s"
_LAST = "SELECT last FROM places WHERE id = 1"
