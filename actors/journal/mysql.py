"""The journal in MySQL or MariaDB. Hosts write at once, each its own shards; the unique keys keep them apart.

Transactions are READ COMMITTED: locks of the gaps between keys would make hosts wait for each other for nothing.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pymysql
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError

from actors.journal.base import Logged, Outcome
from actors.journal.relational import READERS, RelationalJournal, Words
from actors.journal.sql_records import RecordWriter
from actors.journal.tables import metadata
from actors.runtime.wire import Record

T = TypeVar("T")

_log = logging.getLogger("troupe.journal")

KEEPERS = 2
# Somebody else had what was needed, in no order that could be kept: a table just made, a lock, a deadlock.
AGAIN = {1050, 1205, 1213}
TRIES = 3
# After so many seconds the server ends a connection on which nothing is said. A host that vanishes from the network in
# the middle of a transaction keeps its locks until then, and nobody can write what it was writing.
SILENCE = 20
_INSERT = (
    "INSERT INTO records (record_id, kind, shard, seq, epoch, entity, version, command_id, body) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_INSERT_AT = (
    "INSERT INTO records (position, record_id, kind, shard, seq, epoch, entity, version, command_id, body) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_ADVANCE = "UPDATE positions SET last = LAST_INSERT_ID(last + %s) WHERE id = 1"
_BEGIN_POSITIONS = (
    "INSERT INTO positions (id, last) SELECT 1, COALESCE(MAX(position), 0) FROM records "
    "ON DUPLICATE KEY UPDATE last = GREATEST(last, VALUES(last))"
)
_WORDS = Words(
    mark="%s",
    now="SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000",
    # From left to right: `state` is compared with the version that was there.
    keep_snapshot="INSERT INTO snapshots (kind, entity, version, state) VALUES (%s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE state = IF(VALUES(version) > version, VALUES(state), state), "
    "version = GREATEST(version, VALUES(version))",
    # IGNORE also shortens what is too long: but these values stand in a record and in a lease by now.
    new_shard="INSERT IGNORE INTO shards (kind, shard, epoch, owner, saved, checkpoint) VALUES (%s, %s, %s, %s, 0, %s)",
    prolong="INSERT INTO leases (owner, until) VALUES (%s, %s) ON DUPLICATE KEY UPDATE until = VALUES(until)",
    tell="INSERT INTO revocations (owner, kind, shard, epoch) VALUES (%s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE epoch = VALUES(epoch)",
)


def _engine(url: str, seconds: float, connections: int, *, reads: bool) -> Engine:
    """`reads`: each statement is a transaction of its own."""
    lock_wait = max(1, int(seconds / TRIES))
    return create_engine(
        url,
        isolation_level="AUTOCOMMIT" if reads else "READ COMMITTED",
        pool_size=connections,
        max_overflow=0,
        pool_timeout=seconds,
        pool_recycle=SILENCE // 2,
        # Who began a transaction has ended it, or the connection is not used again.
        pool_reset_on_return=None,
        hide_parameters=True,
        connect_args={
            "charset": "utf8mb4",
            "connect_timeout": seconds,
            "read_timeout": seconds + 1,
            "write_timeout": seconds + 1,
            # A key that does not fit must be refused, not shortened.
            "init_command": f"SET SESSION wait_timeout = {SILENCE}, innodb_lock_wait_timeout = {lock_wait}, "
            "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
        },
    )


class MySqlJournal(RelationalJournal):
    """The journal port on MySQL 8.4 or later, or MariaDB 10.11 or later.

    `url`: the database's address for SQLAlchemy, mysql+pymysql://…; it has a password in it and is never logged.
    `ordered`: records have positions, and `log` can be read; then all hosts' writes wait for each other, and all hosts
    must say so. Without it what comes of the records goes by each shard's own numbers. `seconds`: how long the server
    may be silent, and about how long locks are waited for.
    """

    def __init__(self, url: str, ordered: bool = False, seconds: float = 5.0) -> None:
        self.ordered = ordered
        looks = _engine(url, seconds, READERS + 1, reads=True)
        self._writes = _engine(url, seconds, KEEPERS + 1, reads=False)
        super().__init__(looks, _Writer(self._writes, looks, ordered), _WORDS, KEEPERS)
        self._written = 0.0

    async def setup(self) -> None:
        """Makes the tables that aren't there. Can be run again, also while hosts write."""
        await self._write(_prepare)

    async def close(self) -> None:
        await super().close()
        self._writes.dispose()

    def _reading(self, work: Callable[[Connection], T]) -> T:
        try:
            return super()._reading(work)
        except DBAPIError as error:
            # A server that was started anew ended all connections: the first that is found dead takes them with it.
            if not error.connection_invalidated:
                raise
            return super()._reading(work)

    def _writing(self, work: Callable[[Connection], T]) -> T:
        for _ in range(TRIES - 1):
            try:
                return self._transaction(work)
            except DBAPIError as error:
                if _code(error.orig) not in AGAIN:
                    raise
        return self._transaction(work)

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        with self._writes.begin() as connection:
            return work(connection)

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        now = asyncio.get_running_loop().time()
        if now - self._written > SILENCE / 4:
            # The connection that was kept may have been ended by the server; the pool knows how old each is.
            await asyncio.get_running_loop().run_in_executor(self._writer, self._records.put_back)
        self._written = now
        return await super().write(batch)

    async def log(self, after: int, limit: int) -> list[Logged]:
        if not self.ordered:
            raise NotImplementedError("this journal has no positions")
        return await super().log(after, limit)

    async def end(self) -> int:
        if not self.ordered:
            raise NotImplementedError("this journal has no positions")
        return await super().end()


def _prepare(connection: Connection) -> None:
    metadata.create_all(connection, checkfirst=True)
    connection.exec_driver_sql(_BEGIN_POSITIONS)
    if connection.exec_driver_sql("SELECT @@innodb_flush_log_at_trx_commit").scalar() != 1:
        _log.warning("innodb_flush_log_at_trx_commit is not 1: a crash of the server loses what was acknowledged")


def _code(error: object) -> object:
    """The server's number for an error."""
    return error.args[0] if isinstance(error, pymysql.err.Error) and error.args else None


class _Writer(RecordWriter):
    """Goes straight to the driver, which makes one statement of up to a megabyte of records."""

    refusal = pymysql.err.IntegrityError

    def __init__(self, database: Engine, looks: Engine, ordered: bool) -> None:
        super().__init__(database, looks)
        self._ordered = ordered

    def _said(self, error: Exception) -> str:
        # The server's own words have keys in them, and who may connect from where.
        return f"{type(error).__name__} {_code(getattr(error, 'orig', None) or error)}"

    def _insert(self, some: list[Record]) -> int:
        for _ in range(TRIES - 1):
            try:
                return self._transaction(some)
            except pymysql.err.OperationalError as error:
                if _code(error) not in AGAIN:
                    raise
        return self._transaction(some)

    def _transaction(self, some: list[Record]) -> int:
        connection: pymysql.connections.Connection[Any] = self._connection()
        first = 0
        try:
            with connection.cursor() as cursor:
                rows: list[tuple[object, ...]] = [
                    (r.record_id, r.kind, r.shard, r.seq, r.epoch, r.entity, r.version, r.command_id, r.body)
                    for r in some
                ]
                if self._ordered:
                    # The row stays locked until the commit: positions become visible in their order.
                    cursor.execute(_ADVANCE, (len(some),))
                    first = int(cursor.lastrowid) - len(some) + 1
                    rows = [(first + n, *row) for n, row in enumerate(rows)]
                cursor.executemany(_INSERT_AT if self._ordered else _INSERT, rows)
            connection.commit()
        except BaseException:
            with contextlib.suppress(pymysql.err.Error):
                connection.rollback()
            raise
        return first
