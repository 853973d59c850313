"""The folder that a shop moves from: closed, up to date, and held so that no shop can begin to write meanwhile."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from actors.journal.tables import leases, shards
from actors.kinds import KINDS
from pipelines.sql.revisions import revision_of
from serve import processes
from serve.databases import set_up_sqlite
from serve.gateway.clock import now_ms
from serve.migrating.failing import CannotMigrate
from serve.migrations.running import DATABASES

COPIED: Mapping[str, sa.MetaData] = {
    name: DATABASES[name].metadata
    for name in ("users", "catalog", "orders", "payments", "webhooks", "notifications", "audit")
}
"""What is copied as it stands, table by table. The search index is made again."""
FLOWS = DATABASES["flows"].metadata
BUSY_SECONDS = 3.0


class Source(NamedTuple):
    """A connection to each database of the folder, in a transaction that lets nobody else write."""

    folder: Path
    journal: sa.Connection
    flows: sa.Connection | None
    copied: Mapping[str, sa.Connection]


@contextmanager
def held(folder: Path, shard_count: int) -> Iterator[Source]:
    """Until the block ends no shop can write there. Raises CannotMigrate."""
    if not (folder / "journal.db").exists() or not (folder / "users.db").exists():
        raise CannotMigrate(f"There is no shop in {folder}.")
    running = processes.noted(folder)
    if running is not None and processes.alive(running):
        raise CannotMigrate(f"A shop runs on {folder} (process {running.pid}). Close it first: troupe stop.")
    with ExitStack() as stack:

        def opened(name: str, metadata: sa.MetaData) -> sa.Connection | None:
            path = folder / f"{name}.db"
            if not path.exists():
                return None
            connection = stack.enter_context(_held(path))
            _check_revision(folder, name, connection, metadata)
            return connection

        journal = stack.enter_context(_held(folder / "journal.db"))
        _check_journal(folder, journal, shard_count)
        flows = opened("flows", FLOWS)
        found = {name: opened(name, metadata) for name, metadata in COPIED.items()}
        yield Source(folder, journal, flows, {name: one for name, one in found.items() if one is not None})


@contextmanager
def _held(path: Path) -> Iterator[sa.Connection]:
    engine = sa.create_engine(f"sqlite:///{path}", hide_parameters=True)
    set_up_sqlite(engine, writes=True, busy_seconds=BUSY_SECONDS)
    try:
        with engine.connect() as connection:
            try:
                connection.begin()
            except DBAPIError:
                raise CannotMigrate(f"Something writes to {path}. Close the shop first: troupe stop.") from None
            try:
                yield connection
            finally:
                connection.rollback()
    finally:
        engine.dispose()


def _check_revision(folder: Path, name: str, connection: sa.Connection, metadata: sa.MetaData) -> None:
    wanted, found = metadata.info["revision"], revision_of(connection)
    if found == wanted:
        return
    told = f"{name}.db in {folder} is of another version of the shop (revision {found}, this one has {wanted})."
    raise CannotMigrate(f"{told} Open and close the shop there once with this version.")


def _check_journal(folder: Path, journal: sa.Connection, shard_count: int) -> None:
    if journal.scalar(sa.select(sa.func.count()).where(leases.c.until > now_ms())):
        raise CannotMigrate(f"A shop runs on {folder}, or ended a moment ago without closing. Close it, or wait.")
    kept: Any = journal.execute(sa.select(shards.c.kind, sa.func.count()).group_by(shards.c.kind)).all()
    for kind, count in kept:
        if kind in KINDS and count != shard_count:
            raise CannotMigrate(f"The shop in {folder} has {count} shards: set TROUPE_SHARDS={count}.")


def count_of(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool] | None = None) -> int:
    query = sa.select(sa.func.count()).select_from(table)
    return int(connection.execute(query if where is None else query.where(where)).scalar_one())
