"""The engine of the users' own database."""

import os
from pathlib import Path

import sqlalchemy as sa

from pipelines.sql.mysql import open_mysql
from serve.databases import ERASES, set_up_sqlite

CONNECTIONS = 12
"""On MySQL, of one process; each is made when it is first needed."""


def open_engine(address: str | Path) -> sa.Engine:
    """An engine for a file (made readable by its owner only: it holds keys) or for an SQLAlchemy URL."""
    if str(address).startswith("mysql"):
        return open_mysql(str(address), CONNECTIONS)
    path = Path(str(address).removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = sa.create_engine(f"sqlite:///{path}", hide_parameters=True)
    set_up_sqlite(engine, writes=False, busy_seconds=10.0, pragmas=("foreign_keys = ON", ERASES))
    return engine
