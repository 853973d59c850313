"""What the journals in SQL databases have in common: one thread writes records, others read. Nothing blocks the loop.

Their dialects differ in a few sentences, in how a transaction is begun, and in how records are written fastest.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, delete, select, tuple_, update
from sqlalchemy.exc import SQLAlchemyError

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
from actors.journal.tables import leases, records, revocations, shards
from actors.runtime.wire import Record

T = TypeVar("T")

READERS = 3
DAY_MS = 24 * 3_600_000
_END = "SELECT COALESCE(MAX(position), 0) FROM records"


class Words(NamedTuple):
    """What a dialect has its own words for. `mark` stands for a value, and all sentences here are made with it."""

    mark: str
    now: str
    """The server's clock, UTC in milliseconds."""
    keep_snapshot: str
    """Inserts (kind, entity, version, state), or replaces an older one."""
    new_shard: str
    """Inserts (kind, shard, epoch, owner, checkpoint) with `saved` 0; where there is one it does nothing."""
    prolong: str
    """Inserts (owner, until), or replaces it."""
    tell: str
    """Inserts (owner, kind, shard, epoch) unless it is there."""


class RelationalJournal(Journal):
    """The journal port on a SQL database; a dialect adds its engine, its words and its transactions."""

    def __init__(self, database: Engine, writes: RecordWriter, words: Words, keepers: int) -> None:
        """`keepers`: threads for what is written beside records; 0: the thread that writes records does that too."""
        self._database = database
        self._records = writes
        self._words = words
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="journal-write")
        self._keepers = ThreadPoolExecutor(keepers, thread_name_prefix="journal-keep") if keepers else self._writer
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="journal-read")
        # What is asked for each entity that wakes up is said to the driver as it is.
        mark = words.mark
        self._snapshot = f"SELECT kind, entity, version, state FROM snapshots WHERE kind = {mark} AND entity = {mark}"
        self._history = (
            "SELECT record_id, kind, shard, seq, epoch, entity, version, command_id, body FROM records "
            f"WHERE kind = {mark} AND entity = {mark} AND version > {mark} ORDER BY version"
        )
        self._log = (
            "SELECT position, record_id, kind, shard, seq, epoch, entity, version, command_id, body FROM records "
            f"WHERE position > {mark} ORDER BY position LIMIT {mark}"
        )
        self._save = (
            f"UPDATE shards SET saved = {mark}, checkpoint = {mark} "
            f"WHERE kind = {mark} AND shard = {mark} AND epoch = {mark} AND owner = {mark} AND saved < {mark}"
        )

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        for pool in (self._writer, self._keepers, self._readers):
            await loop.run_in_executor(None, pool.shutdown)
        self._records.close()
        self._database.dispose()

    def _writing(self, work: Callable[[Connection], T]) -> T:
        """Carries out work in one transaction. Raises what SQLAlchemy raises."""
        raise NotImplementedError

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._run(self._readers, lambda: self._reading(work))

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._run(self._keepers, lambda: self._writing(work))

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except SQLAlchemyError as error:
            raise JournalUnavailable(str(error.__class__.__name__)) from error

    def _reading(self, work: Callable[[Connection], T]) -> T:
        with self._database.connect() as connection:
            return work(connection)

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
            row = connection.exec_driver_sql(self._snapshot, (kind, entity)).first()
            snapshot = Snapshot(*row) if row is not None else None
            after = snapshot.version if snapshot else 0
            return snapshot, [to_record(r) for r in connection.exec_driver_sql(self._history, (kind, entity, after))]

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
            return [Logged(row[0], to_record(row[1:])) for row in connection.exec_driver_sql(self._log, (after, limit))]

        return await self._read(read)

    async def end(self) -> int:
        """The last position; 0 if nothing is written yet."""
        return await self._read(lambda c: int(c.exec_driver_sql(_END).scalar_one()))

    # snapshots, shards, leases

    async def save_snapshots(self, some: Sequence[Snapshot]) -> None:
        if some:
            await self._write(lambda c: c.exec_driver_sql(self._words.keep_snapshot, [tuple(s) for s in some]))

    async def shard_rows(self, wanted: Sequence[ShardId]) -> dict[ShardId, ShardRow]:
        def read(connection: Connection) -> dict[ShardId, ShardRow]:
            query = select(shards).where(tuple_(shards.c.kind, shards.c.shard).in_(list(wanted)))
            return {(row.kind, row.shard): ShardRow(*row) for row in connection.execute(query)}

        return await self._read(read)

    async def take_shards(self, rows: Sequence[ShardRow], owner: str, epochs: Sequence[int]) -> list[bool]:
        def write(connection: Connection) -> list[bool]:
            taken = []
            for row, epoch in zip(rows, epochs, strict=True):
                if not row.owner:
                    result = connection.exec_driver_sql(self._words.new_shard, (row.kind, row.shard, epoch, owner, b""))
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
            self._forget_the_dead(connection)
            return taken

        return await self._write(write)

    async def save_checkpoints(self, rows: Sequence[ShardRow]) -> None:
        values = [(r.saved, r.checkpoint, r.kind, r.shard, r.epoch, r.owner, r.saved) for r in rows]
        if values:
            await self._write(lambda c: c.exec_driver_sql(self._save, values))

    async def renew(self, owner: str, milliseconds: int, heard: Sequence[tuple[str, int, int]]) -> Lease:
        def write(connection: Connection) -> Lease:
            now = self._now(connection)
            connection.exec_driver_sql(self._words.prolong, (owner, now + milliseconds))
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
            now = self._now(connection)
            # The lease is locked: a renewal comes before this whole transaction or after it.
            lease = select(leases.c.until).where(leases.c.owner == owner).with_for_update()
            until = connection.execute(lease).scalar() or 0
            # Also when the lease has run out: its owner may be stalled, and would renew it and serve old reads.
            if until and some:
                connection.exec_driver_sql(self._words.tell, [(owner, *one) for one in some])
            return now, until

        return await self._write(write)

    async def end_lease(self, owner: str) -> None:
        def write(connection: Connection) -> None:
            connection.execute(delete(leases).where(leases.c.owner == owner))
            connection.execute(delete(revocations).where(revocations.c.owner == owner))

        await self._write(write)

    def _now(self, connection: Connection) -> int:
        return int(connection.exec_driver_sql(self._words.now).scalar_one())

    def _forget_the_dead(self, connection: Connection) -> None:
        """Owners whose lease ended a day ago: a host that had none for an hour has ended itself."""
        connection.execute(delete(leases).where(leases.c.until < self._now(connection) - DAY_MS))
        connection.execute(
            delete(revocations).where(
                revocations.c.owner.not_in(select(leases.c.owner)),
                revocations.c.owner.not_in(select(shards.c.owner)),
            )
        )
