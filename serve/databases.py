"""How services open their databases, and transactions that callers share.

A commit waits for the disk, and costs about as much for one write as for a hundred; and writers of one SQLite file only
wait for each other, however many threads they have.
"""

import asyncio
import functools
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, MetaData, Select, create_engine, event
from sqlalchemy.exc import OperationalError

from actors.runtime.ports import Unavailable
from pipelines.gathering import Gathering
from pipelines.sql.mysql import open_mysql
from pipelines.sql.retrying import OutcomeUnknown, retried
from pipelines.sql.revisions import prepare

T = TypeVar("T")

MAX_SHARED = 500
BUSY_SECONDS = 5.0
PAGE = 500
ERASES = "secure_delete = ON"
"""A pragma for databases with people in them: what is erased must not stand in the file's free pages."""


def open_engine(
    url: str, metadata: MetaData, connections: int, catch_up: Callable[[Connection], Any] | None = None
) -> Engine:
    """The engine for a database address. On SQLite: its tables made, WAL, full sync, transactions that we begin.

    With the execution option `writes` (the default) a transaction on SQLite has the writer's lock from its start.
    `catch_up`: see `prepare`. Raises SchemaBehind.
    """
    if url.startswith("mysql"):
        engine = open_mysql(url, connections)
    else:
        engine = create_engine(url, pool_size=connections, max_overflow=0, hide_parameters=True)
        set_up_sqlite(engine, writes=True, pragmas=(ERASES,))
    prepare(engine, metadata, catch_up)
    return engine


class _Work(NamedTuple):
    does: Callable[[Connection], Any]
    again: bool


class SharedTransactions:
    """Runs work on a database in a thread of its own; what comes during one transaction shares the next one.

    Work that writes is durable when it returns. Nobody's error is another's: work must bear being run twice, since a
    transaction that failed is gone through again piece by piece. It must bear having been committed before, too, unless
    it is run with ``again=False``: a connection may be lost in a commit.
    """

    def __init__(self, engine: Engine, name: str, *, writes: bool = True) -> None:
        self._engine = engine.execution_options(writes=writes)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._works: Gathering[_Work, Any] = Gathering(self._outcomes, MAX_SHARED)

    async def run(self, work: Callable[[Connection], T], *, again: bool = True) -> T:
        """What `work` returns; raises what it raises, what the database does, or DatabaseAway.

        OutcomeUnknown: the connection was lost in the commit, and the work is not to be run `again`.
        """
        result: T = await self._works.add(_Work(work, again))
        return result

    async def close(self) -> None:
        """Waits for what is running. Not to be used after it."""
        await self._works.close()
        await asyncio.to_thread(self._thread.shutdown)

    async def _outcomes(self, works: list[_Work]) -> list[Any]:
        try:
            return await self._in_one_transaction(works)
        except OutcomeUnknown as error:
            # Those that may be run again are; they find out, each for itself.
            if len(works) == 1:
                return [error]
            return [o for work in works for o in (await self._alone(work) if work.again else [error])]
        except (OperationalError, Unavailable):  # the database's fault: no other try, the callers have theirs
            raise
        except Exception as error:
            if len(works) == 1:
                return [error]
        return [outcome for work in works for outcome in await self._alone(work)]

    async def _alone(self, work: _Work) -> list[Any]:
        try:
            return await self._in_one_transaction([work])
        except Exception as error:
            return [error]

    async def _in_one_transaction(self, works: list[_Work]) -> list[Any]:
        def transaction() -> list[Any]:
            with self._engine.begin() as connection:
                return [work.does(connection) for work in works]

        again = all(work.again for work in works)
        run = functools.partial(retried, transaction, again=again)
        return await asyncio.get_running_loop().run_in_executor(self._thread, run)


def pages(connection: Connection, query: Select[Any], size: int = PAGE) -> Iterator[list[dict[str, Any]]]:
    """The rows, a page of them in memory at a time."""
    result = connection.execute(query, execution_options={"yield_per": size})
    try:
        for rows in result.mappings().partitions(size):
            yield [dict(row) for row in rows]
    finally:
        result.close()


def scrub(engine: Engine) -> None:
    """Empties the log beside a SQLite file, where what was erased or replaced may still stand. Blocks.

    Waits for readers and writers as long as the connection does. Raises ConnectionError: they went on; try again.
    """
    if engine.dialect.name != "sqlite":
        return
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        cursor.close()
    finally:
        raw.close()
    if busy:
        raise ConnectionError("the database is too busy to be scrubbed")


def set_up_sqlite(
    engine: Engine, *, writes: bool, busy_seconds: float = BUSY_SECONDS, pragmas: Sequence[str] = ()
) -> None:
    """WAL, full sync, a busy timeout, and transactions that we begin, a writer's with the lock from its start.

    `writes`: whether a transaction writes whose execution option of that name says nothing. Before the first use.
    """

    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # the driver would begin by itself, and too late for a snapshot
        connection.execute(f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}").close()
        _switch_to_wal(connection, busy_seconds)
        for pragma in ("synchronous = FULL", *pragmas):
            connection.execute(f"PRAGMA {pragma}").close()

    def begin(connection: Connection) -> None:
        # A writer takes the lock at once: one that began as a reader could not wait for it.
        now = connection.get_execution_options().get("writes", writes)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if now else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)


def _switch_to_wal(connection: sqlite3.Connection, busy_seconds: float) -> None:
    # Two processes that open a new file at once can collide here, and SQLite does not apply the busy timeout to this.
    deadline = time.monotonic() + busy_seconds
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
