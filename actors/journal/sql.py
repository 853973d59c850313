"""A journal in a SQL database, through SQLAlchemy: SQLite for the embedded profile.

One thread writes, so that commits stand one behind the other in `position`; others read. Nothing blocks the loop.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, delete, event, func, select, tuple_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from actors.journal.base import (
    Journal,
    JournalUnavailable,
    Lease,
    Logged,
    Outcome,
    ShardId,
    ShardRow,
    Snapshot,
)
from actors.journal.sql_records import COLUMNS, RecordWriter, to_record
from actors.journal.tables import leases, metadata, records, revocations, shards
from actors.runtime.wire import Record

T = TypeVar("T")

READERS = 3
DAY_MS = 24 * 3_600_000
# What is asked for each entity that wakes up is said to the driver as it is.
_SNAPSHOT = "SELECT kind, entity, version, state FROM snapshots WHERE kind = ? AND entity = ?"
_HISTORY = (
    "SELECT record_id, kind, shard, seq, epoch, entity, version, command_id, body FROM records "
    "WHERE kind = ? AND entity = ? AND version > ? ORDER BY version"
)
_LOG = (
    "SELECT position, record_id, kind, shard, seq, epoch, entity, version, command_id, body FROM records "
    "WHERE position > ? ORDER BY position LIMIT ?"
)
_END = "SELECT COALESCE(MAX(position), 0) FROM records"
_NOW = "SELECT CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)"


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


class SqlJournal(Journal):
    """The journal port on SQLite. `path`: the database's file; it is made if it isn't there.

    Without `full_sync` a commit is safe from the end of any process, but losing power may lose the last ones.
    """

    def __init__(self, path: str, busy_seconds: float = 5.0, full_sync: bool = True) -> None:
        self._database = _engine(path, busy_seconds, full_sync)
        self._records = RecordWriter(self._database)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="journal-write")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="journal-read")

    async def setup(self) -> None:
        """Makes the tables that aren't there."""
        await self._write(lambda c: metadata.create_all(c, checkfirst=True))

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        for pool in (self._writer, self._readers):
            await loop.run_in_executor(None, pool.shutdown)
        self._records.close()
        self._database.dispose()

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._run(self._readers, lambda: self._reading(work))

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._run(self._writer, lambda: self._writing(work))

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except SQLAlchemyError as error:
            raise JournalUnavailable(str(error.__class__.__name__)) from error

    def _reading(self, work: Callable[[Connection], T]) -> T:
        with self._database.connect() as connection:
            return work(connection)

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

    # records

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._records.write, list(batch))

    async def last_records(self, wanted: Sequence[ShardId]) -> dict[ShardId, Record]:
        def read(connection: Connection) -> dict[ShardId, Record]:
            found: dict[ShardId, Record] = {}
            for kind, shard in wanted:
                query = (
                    select(*COLUMNS)
                    .where(records.c.kind == kind, records.c.shard == shard)
                    .order_by(records.c.seq.desc())
                    .limit(1)
                )
                row = connection.execute(query).first()
                if row is not None:
                    found[kind, shard] = to_record(row)
            return found

        return await self._read(read)

    async def shard_records(self, kind: str, shard: int, after: int, limit: int) -> list[Record]:
        query = (
            select(*COLUMNS)
            .where(records.c.kind == kind, records.c.shard == shard, records.c.seq > after)
            .order_by(records.c.seq)
            .limit(limit)
        )
        return await self._read(lambda c: [to_record(row) for row in c.execute(query)])

    async def load(self, kind: str, entity: str) -> tuple[Snapshot | None, list[Record]]:
        def read(connection: Connection) -> tuple[Snapshot | None, list[Record]]:
            row = connection.exec_driver_sql(_SNAPSHOT, (kind, entity)).first()
            snapshot = Snapshot(*row) if row is not None else None
            after = snapshot.version if snapshot else 0
            return snapshot, [to_record(r) for r in connection.exec_driver_sql(_HISTORY, (kind, entity, after))]

        return await self._read(read)

    async def record_of_command(self, kind: str, entity: str, command_id: str) -> Record | None:
        query = select(*COLUMNS).where(
            records.c.kind == kind, records.c.entity == entity, records.c.command_id == command_id
        )

        def read(connection: Connection) -> Record | None:
            row = connection.execute(query).first()
            return None if row is None else to_record(row)

        return await self._read(read)

    async def log(self, after: int, limit: int) -> list[Logged]:
        def read(connection: Connection) -> list[Logged]:
            return [Logged(row[0], to_record(row[1:])) for row in connection.exec_driver_sql(_LOG, (after, limit))]

        return await self._read(read)

    async def end(self) -> int:
        """The last position; 0 if nothing is written yet."""
        return await self._read(lambda c: int(c.exec_driver_sql(_END).scalar_one()))

    # snapshots, shards, leases

    async def save_snapshots(self, some: Sequence[Snapshot]) -> None:
        sql = (
            "INSERT INTO snapshots (kind, entity, version, state) VALUES (?, ?, ?, ?) ON CONFLICT (kind, entity) "
            "DO UPDATE SET version = excluded.version, state = excluded.state WHERE excluded.version > version"
        )
        if some:
            await self._write(lambda c: c.exec_driver_sql(sql, [tuple(s) for s in some]))

    async def shard_rows(self, wanted: Sequence[ShardId]) -> dict[ShardId, ShardRow]:
        def read(connection: Connection) -> dict[ShardId, ShardRow]:
            query = select(shards).where(tuple_(shards.c.kind, shards.c.shard).in_(list(wanted)))
            return {(row.kind, row.shard): ShardRow(*row) for row in connection.execute(query)}

        return await self._read(read)

    async def take_shards(self, rows: Sequence[ShardRow], owner: str, epochs: Sequence[int]) -> list[bool]:
        insert = (
            "INSERT INTO shards (kind, shard, epoch, owner, saved, checkpoint) VALUES (?, ?, ?, ?, 0, ?) "
            "ON CONFLICT DO NOTHING"
        )

        def write(connection: Connection) -> list[bool]:
            taken = []
            for row, epoch in zip(rows, epochs, strict=True):
                if not row.owner:
                    result = connection.exec_driver_sql(insert, (row.kind, row.shard, epoch, owner, b""))
                else:
                    result = connection.execute(
                        update(shards)
                        .where(
                            shards.c.kind == row.kind,
                            shards.c.shard == row.shard,
                            shards.c.epoch == row.epoch,
                            shards.c.owner == row.owner,
                        )
                        .values(epoch=epoch, owner=owner, saved=0)
                    )
                taken.append(result.rowcount == 1)
            _forget_the_dead(connection)
            return taken

        return await self._write(write)

    async def save_checkpoints(self, rows: Sequence[ShardRow]) -> None:
        sql = (
            "UPDATE shards SET saved = ?, checkpoint = ? "
            "WHERE kind = ? AND shard = ? AND epoch = ? AND owner = ? AND saved < ?"
        )
        values = [(r.saved, r.checkpoint, r.kind, r.shard, r.epoch, r.owner, r.saved) for r in rows]
        if values:
            await self._write(lambda c: c.exec_driver_sql(sql, values))

    async def renew(self, owner: str, milliseconds: int, heard: Sequence[tuple[str, int, int]]) -> Lease:
        def write(connection: Connection) -> Lease:
            now = _now(connection)
            connection.exec_driver_sql(
                "INSERT INTO leases (owner, until) VALUES (?, ?) "
                "ON CONFLICT (owner) DO UPDATE SET until = excluded.until",
                (owner, now + milliseconds),
            )
            for kind, shard, epoch in heard:
                connection.execute(
                    delete(revocations).where(
                        revocations.c.owner == owner,
                        revocations.c.kind == kind,
                        revocations.c.shard == shard,
                        revocations.c.epoch == epoch,
                    )
                )
            told = connection.execute(
                select(revocations.c.kind, revocations.c.shard, revocations.c.epoch).where(revocations.c.owner == owner)
            )
            return Lease(now, tuple((row[0], row[1], row[2]) for row in told))

        return await self._write(write)

    async def revoke(self, owner: str, some: Sequence[tuple[str, int, int]]) -> tuple[int, int]:
        def write(connection: Connection) -> tuple[int, int]:
            now = _now(connection)
            until = connection.execute(select(func.max(leases.c.until)).where(leases.c.owner == owner)).scalar() or 0
            # Also when the lease has run out: its owner may be stalled, and would renew it and serve old reads.
            if until:
                connection.exec_driver_sql(
                    "INSERT INTO revocations (owner, kind, shard, epoch) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    [(owner, *one) for one in some],
                )
            return now, until

        return await self._write(write)

    async def end_lease(self, owner: str) -> None:
        def write(connection: Connection) -> None:
            connection.execute(delete(leases).where(leases.c.owner == owner))
            connection.execute(delete(revocations).where(revocations.c.owner == owner))

        await self._write(write)


def _now(connection: Connection) -> int:
    return int(connection.exec_driver_sql(_NOW).scalar_one())


def _forget_the_dead(connection: Connection) -> None:
    """Owners whose lease ended a day ago: a host that had none for an hour has ended itself."""
    connection.execute(delete(leases).where(leases.c.until < _now(connection) - DAY_MS))
    connection.execute(
        delete(revocations).where(
            revocations.c.owner.not_in(select(leases.c.owner)),
            revocations.c.owner.not_in(select(shards.c.owner)),
        )
    )
