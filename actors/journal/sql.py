"""The journal in SQLite, for the embedded profile.

One thread writes, so that commits stand one behind the other in `position`.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from actors.journal.relational import READERS, RelationalJournal, Words
from actors.journal.sql_records import RecordWriter
from actors.journal.tables import metadata
from actors.runtime.wire import Record

T = TypeVar("T")

_LAST = "SELECT COALESCE(MAX(position), 0) FROM records"
_INSERT = (
    "INSERT INTO records (position, record_id, kind, shard, seq, epoch, entity, version, command_id, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_WORDS = Words(
    mark="?",
    now="SELECT CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)",
    keep_snapshot="INSERT INTO snapshots (kind, entity, version, state) VALUES (?, ?, ?, ?) ON CONFLICT (kind, entity) "
    "DO UPDATE SET version = excluded.version, state = excluded.state WHERE excluded.version > version",
    new_shard="INSERT INTO shards (kind, shard, epoch, owner, saved, checkpoint) VALUES (?, ?, ?, ?, 0, ?) "
    "ON CONFLICT DO NOTHING",
    prolong="INSERT INTO leases (owner, until) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET until = excluded.until",
    tell="INSERT INTO revocations (owner, kind, shard, epoch) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
)


def _engine(path: str, busy_seconds: float, full_sync: bool) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": busy_seconds, "check_same_thread": False},
        poolclass=QueuePool,
        pool_size=READERS + 2,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        # The driver must not open transactions by itself: BEGIN IMMEDIATE is said below.
        connection.isolation_level = None
        sync = "FULL" if full_sync else "NORMAL"
        for pragma in ("journal_mode=WAL", f"synchronous={sync}", "cache_size=-65536", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


class SqlJournal(RelationalJournal):
    """The journal port on SQLite. `path`: the database's file; it is made if it isn't there.

    Without `full_sync` a commit is safe from the end of any process, but losing power may lose the last ones.
    """

    def __init__(self, path: str, busy_seconds: float = 5.0, full_sync: bool = True) -> None:
        database = _engine(path, busy_seconds, full_sync)
        super().__init__(database, _Writer(database), _WORDS, keepers=0)

    async def setup(self) -> None:
        """Makes the tables that aren't there."""
        await self._write(lambda c: metadata.create_all(c, checkfirst=True))

    def _writing(self, work: Callable[[Connection], T]) -> T:
        with self._database.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                if connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
                    connection.exec_driver_sql("ROLLBACK")
                raise
            return result


class _Writer(RecordWriter):
    """Goes straight to the driver."""

    refusal = sqlite3.IntegrityError

    def _insert(self, some: list[Record]) -> int:
        connection: sqlite3.Connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            first = int(connection.execute(_LAST).fetchone()[0]) + 1
            rows = [
                (first + n, r.record_id, r.kind, r.shard, r.seq, r.epoch, r.entity, r.version, r.command_id, r.body)
                for n, r in enumerate(some)
            ]
            connection.executemany(_INSERT, rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return first
