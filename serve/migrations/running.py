"""Takes a database to another revision by Alembic."""

from collections.abc import Callable
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from pipelines import progress_tables
from pipelines.sql.revisions import VERSION
from serve.catalog import migrating as catalog_migrating
from serve.catalog import tables as catalog
from serve.catalog.search import stock
from serve.changes import store as changes
from serve.migrations import FOLDER
from serve.notifications import tables as notifications
from serve.orders import tables as orders
from serve.payments import inbox, transactions
from serve.users import account_tables  # noqa: F401  # its tables are the users' too
from serve.users import tables as users

Tell = Callable[[str], None]


class Database(NamedTuple):
    """`catch_up`: see `prepare`."""

    metadata: sa.MetaData
    catch_up: Callable[[sa.Connection], Any] | None = None


DATABASES = {
    "users": Database(users.metadata, users.add_columns),
    "catalog": Database(catalog.metadata, catalog_migrating.add_columns),
    "orders": Database(orders.metadata, orders.bring_up_to_date),
    "payments": Database(transactions.metadata, transactions.bring_up_to_date),
    "webhooks": Database(inbox.metadata),
    "notifications": Database(notifications.METADATA),
    "audit": Database(changes.METADATA),
    "flows": Database(progress_tables.METADATA, progress_tables.bring_up_to_date),
    "search": Database(stock.METADATA, progress_tables.bring_up_to_date),
}
"""By the names that `Settings.database_url` takes."""


def upgrade(connection: sa.Connection, name: str, tell: Tell, to: str = "head") -> None:
    """Runs the revisions that the database has not had. `connection`: in a transaction."""
    command.upgrade(config_of(connection, name, tell), to)


def differences(connection: sa.Connection, name: str) -> list[str]:
    """How a database's tables differ from those in the code; nothing if they are the same."""
    context = MigrationContext.configure(connection, opts={"include_name": _is_not_ours})
    return [repr(one) for one in compare_metadata(context, DATABASES[name].metadata)]


def config_of(connection: sa.Connection, name: str, tell: Tell) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("version_locations", str(FOLDER / name))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("file_template", "r%%(rev)s_%%(slug)s")
    config.attributes.update(connection=connection, metadata=DATABASES[name].metadata, tell=tell)
    return config


def _is_not_ours(name: str | None, kind: str, _: Any) -> bool:
    return kind != "table" or name != VERSION.name
