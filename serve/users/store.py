"""The engine of the users' own database."""

import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa


def open_engine(address: str | Path) -> sa.Engine:
    """An engine for a file (made readable by its owner only: it holds keys) or for an SQLAlchemy URL."""
    if "://" in str(address):
        return sa.create_engine(str(address), pool_pre_ping=True, hide_parameters=True)
    path = Path(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = sa.create_engine(f"sqlite:///{path}", hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver would begin by itself, and not before a savepoint
        for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA secure_delete=ON")  # what is erased must not stand in the file's free pages

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # Who reads before it writes would fail at once when another writes between; so writers lock first.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
