"""A database of the shop, looked into and never written to."""

from typing import Any

import sqlalchemy as sa

from pipelines.sql.mysql import open_mysql
from serve.settings import Settings

BUSY_SECONDS = 10.0


class Database:
    """`name` as in `Settings.database_url`. A file that is not there yet, or lacks the table, has no rows."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._file = settings.database(name) if settings.mysql_url is None else None
        if self._file is not None:
            address = f"sqlite:///file:{self._file.absolute()}?mode=ro&uri=true"
            self._engine = sa.create_engine(address, connect_args={"timeout": BUSY_SECONDS}, poolclass=sa.NullPool)
        else:
            self._engine = open_mysql(settings.database_url(name), 1).execution_options(writes=False)
        self.name = self._engine.url.database or name

    @property
    def is_file(self) -> bool:
        return self._file is not None

    def rows(self, query: sa.Select[Any]) -> list[Any]:
        """All of them."""
        if self._file is not None and not self._file.exists():
            return []
        with self._engine.connect() as connection:
            wanted = [one.name for one in query.get_final_froms() if isinstance(one, sa.Table)]
            if self._file is not None and not all(map(sa.inspect(connection).has_table, wanted)):
                return []
            return list(connection.execute(query))

    def close(self) -> None:
        self._engine.dispose()
