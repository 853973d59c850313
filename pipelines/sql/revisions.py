"""Whether a database has the tables that this code needs. `troupe setup` makes and changes them; SQLite's are made here
where there are none.

A database says in `alembic_version` which revision of its tables it has; its MetaData says in `info` which one the code
needs.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

FIRST = "0001"
VERSION = sa.Table(
    "alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True, nullable=False)
)


class SchemaBehind(Exception):
    """A database is not as the code needs it; a text for people."""


def metadata_of(database: str, revision: str = FIRST) -> sa.MetaData:
    """The tables of a database, at a revision of serve/migrations/."""
    return sa.MetaData(info={"database": database, "revision": revision})


def revision_of(connection: sa.Connection) -> str | None:
    """None: the database does not say."""
    if not sa.inspect(connection).has_table(VERSION.name):
        return None
    return connection.scalar(sa.select(VERSION.c.version_num))


def stamp(connection: sa.Connection, revision: str) -> None:
    """From now on the database says that it has this revision."""
    VERSION.create(connection, checkfirst=True)
    connection.execute(sa.delete(VERSION))
    connection.execute(sa.insert(VERSION).values(version_num=revision))


def prepare(engine: sa.Engine, metadata: sa.MetaData, catch_up: Callable[[sa.Connection], Any] | None = None) -> None:
    """Makes the tables on SQLite if there are none. Elsewhere, and of another revision, they must be there.

    `catch_up`: brings tables from before there were revisions to the first one. Raises SchemaBehind.
    """
    name, wanted = metadata.info["database"], metadata.info["revision"]
    with engine.execution_options(writes=False).connect() as connection:
        found = revision_of(connection)
    if found is None and engine.dialect.name == "sqlite":
        with engine.execution_options(writes=True).begin() as connection:
            if not connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            found = _made(connection, metadata, catch_up)
    if found == wanted:
        return
    raise SchemaBehind(behind(name, found, wanted))


def behind(name: str, found: str | None, wanted: str) -> str:
    """A sentence for people."""
    if found is not None and found > wanted:
        return f"The database {name} is of a newer shop (revision {found}, this one knows {wanted})."
    told = "has no tables of this shop" if found is None else f"is at revision {found}, and this shop needs {wanted}"
    return f"The database {name} {told}. Run `troupe setup`."


def _made(connection: sa.Connection, metadata: sa.MetaData, catch_up: Callable[[sa.Connection], Any] | None) -> str:
    """The revision; several processes may do it at once, so it looks again. Raises SchemaBehind: they are too old."""
    found, wanted = revision_of(connection), str(metadata.info["revision"])
    if found is not None:
        return found
    there = metadata.tables.keys() & set(sa.inspect(connection).get_table_names())
    # Enough for tables from before there were revisions, since no later one has changed a table that there was: what
    # one added is made here, and a column that is lacking is found.
    metadata.create_all(connection)
    if catch_up is not None:
        catch_up(connection)
    if there:
        _check_columns(connection, metadata)
    stamp(connection, wanted)
    return wanted


def _check_columns(connection: sa.Connection, metadata: sa.MetaData) -> None:
    seen = sa.inspect(connection)
    for table in metadata.tables.values():
        if lacking := set(table.columns.keys()) - {column["name"] for column in seen.get_columns(table.name)}:
            name = f"The database {metadata.info['database']}"
            raise SchemaBehind(f"{name} is too old for this shop: {table.name} has no column {min(lacking)}.")
