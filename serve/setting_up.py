"""Makes the services' databases and their tables, and takes them to the newest revision.

Everything can be done again, and by several at once.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from pipelines.sql.mysql import open_mysql
from pipelines.sql.revisions import SchemaBehind, behind, prepare, revision_of, stamp
from serve.migrations import heads
from serve.settings import Settings

Tell = Callable[[str], None]

LOCK_SECONDS = 60
CHANGE_SECONDS = 3600
"""That a change of one table may take; large ones are copied."""
_DENIED = (1044, 1045, 1142, 1227)
_NO_TRIGGERS = 1419
"""Where there is a binary log, triggers are for the trusted."""


class SetupFailed(Exception):
    """A text for people."""


def set_up_databases(settings: Settings, tell: Tell) -> None:
    """Makes the databases that are missing, and takes all to the newest revision of their tables."""
    if settings.mysql_url is None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    for name in heads():
        url = sa.make_url(settings.database_url(name))
        try:
            if url.get_backend_name() == "mysql":
                make_database(url, tell)
                _set_up_mysql(name, url, tell)
            else:
                _set_up_sqlite(name, url, tell)
        except SchemaBehind as error:
            raise SetupFailed(str(error)) from None
        except OperationalError as error:
            if _code(error) == _NO_TRIGGERS:
                raise SetupFailed(_no_triggers(url)) from None
            raise SetupFailed(f"The database {_named(name, url)} cannot be set up: {error.orig}") from None


def set_up_before_start(settings: Settings, tell: Tell) -> None:
    """What a shop that starts may do by itself: SQLite's tables, if they are of an older one. Raises SetupFailed."""
    if settings.mysql_url is None:
        if any(_is_older(settings, name, head) for name, head in heads().items()):
            set_up_databases(settings, tell)
        return
    for name, head in heads().items():
        try:
            with _opened(sa.make_url(settings.database_url(name))) as connection:
                found = revision_of(connection)
        except OperationalError as error:
            if _code(error) in _DENIED:
                continue  # a part of the shop need not be let in everywhere
            raise SetupFailed(f"MySQL cannot be used: {error.orig}. If it is new, run `troupe setup`.") from None
        if found != head:
            raise SetupFailed(behind(name, found, head))


def _is_older(settings: Settings, name: str, head: str) -> bool:
    path = settings.database(name)
    if not path.exists():
        return False
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return False  # from before there were revisions: whoever opens it sees to it
        found = database.execute("SELECT version_num FROM alembic_version").fetchone()
    return found is not None and found[0] < head


def _set_up_sqlite(name: str, url: sa.URL, tell: Tell) -> None:
    from serve.databases import set_up_sqlite
    from serve.migrations.running import DATABASES, upgrade
    from serve.users.store import open_engine as open_users_engine

    database = DATABASES[name]
    head = database.metadata.info["revision"]
    if name == "users":  # it holds keys: a new file is its owner's only
        engine = open_users_engine(url.render_as_string(hide_password=False))
    else:
        engine = sa.create_engine(url, hide_parameters=True)
        set_up_sqlite(engine, writes=True)
    try:
        with engine.execution_options(writes=True).begin() as connection:
            found = revision_of(connection)
            if found is not None and found < head:
                upgrade(connection, name, tell)
                tell(f"{_named(name, url)}: from revision {found} to {head}")
                return
        prepare(engine, database.metadata, database.catch_up)
        tell(f"{_named(name, url)}: {'at' if found else 'made, at'} revision {head}")
    finally:
        engine.dispose()


def make_database(url: sa.URL, tell: Tell) -> None:
    """Its collation compares byte by byte, as SQLite does: ids, keys and tokens are what is compared."""
    name = url.database or ""
    quoted = f"`{name.replace('`', '``')}`"
    try:
        with _opened(url.set(database="")) as connection:
            collation = binary_collation(connection)
            found = _collation_of(connection, name)
            if found is None:
                how = f"CHARACTER SET utf8mb4 COLLATE {collation}"
                connection.exec_driver_sql(f"CREATE DATABASE IF NOT EXISTS {quoted} {how}")
                tell(f"{name}: made")
            elif not found.endswith("_bin"):
                connection.exec_driver_sql(f"ALTER DATABASE {quoted} CHARACTER SET utf8mb4 COLLATE {collation}")
                tell(f"{name}: compares by {collation} instead of {found} from now on")
    except OperationalError as error:
        if _code(error) not in _DENIED:
            raise
        raise SetupFailed(
            f"This user may not make databases. Have it done: CREATE DATABASE {quoted} CHARACTER SET utf8mb4 "
            f"COLLATE utf8mb4_bin; GRANT ALL ON {quoted}.* TO this user."
        ) from None


def _collation_of(connection: sa.Connection, name: str) -> str | None:
    """None: there is no such database, or it may not be seen."""
    query = "SELECT default_collation_name FROM information_schema.schemata WHERE schema_name = %s"
    found: str | None = connection.exec_driver_sql(query, (name,)).scalar()
    return found


def binary_collation(connection: sa.Connection) -> str:
    """Byte by byte, also as to spaces at the end."""
    return "utf8mb4_nopad_bin" if getattr(connection.dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


def _set_up_mysql(name: str, url: sa.URL, tell: Tell) -> None:
    from serve.migrations.running import DATABASES, differences, upgrade

    database = DATABASES[name]
    head = database.metadata.info["revision"]
    with alone(url) as connection:
        found = revision_of(connection)
        if found is not None and found > head:
            raise SetupFailed(behind(name, found, head))
        if found is None and set(sa.inspect(connection).get_table_names()) & database.metadata.tables.keys():
            # A setup that broke off: MySQL keeps what it made so far.
            database.metadata.create_all(connection)
            if different := differences(connection, name):
                raise SetupFailed(f"{_named(name, url)} has tables that are not those of this shop: {different[0]}")
            stamp(connection, head)
        elif found != head:
            upgrade(connection, name, tell)
        tell(f"{url.database}: {'at' if found == head else 'now at'} revision {head}")


@contextmanager
def _opened(url: sa.URL) -> Iterator[sa.Connection]:
    engine = open_mysql(url.render_as_string(hide_password=False), 1, CHANGE_SECONDS)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def alone(url: sa.URL) -> Iterator[sa.Connection]:
    """A connection to a database on MySQL; other processes that set it up wait. Raises SetupFailed."""
    name = f"troupe setup {url.database}"[-64:]  # a lock's name has no more characters
    with _opened(url) as connection:
        if not connection.exec_driver_sql("SELECT GET_LOCK(%s, %s)", (name, LOCK_SECONDS)).scalar():
            raise SetupFailed("Somebody else has been setting up for a minute; try again.")
        try:
            yield connection
        finally:
            connection.exec_driver_sql("SELECT RELEASE_LOCK(%s)", (name,))


def _no_triggers(url: sa.URL) -> str:
    return (
        f"MySQL keeps a binary log and does not let this user make the triggers that keep {url.database} unaltered. "
        "Have it started with log_bin_trust_function_creators=1, or have somebody with SUPER say SET GLOBAL "
        "log_bin_trust_function_creators = 1, or set up as a user with SUPER; then run `troupe setup` again."
    )


def _code(error: DBAPIError) -> int | None:
    args = getattr(error.orig, "args", ())
    return args[0] if args and isinstance(args[0], int) else None


def _named(name: str, url: sa.URL) -> str:
    return url.database or name
