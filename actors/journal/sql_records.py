"""Writing batches of records into a SQL database, and finding out why one was refused."""

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, PoolProxiedConnection, select

from actors.journal.base import Committed, Conflict, Key, NotWritten, Outcome, ShardId, Unknown
from actors.journal.tables import records
from actors.runtime.wire import Record

_log = logging.getLogger("troupe.journal")

COLUMNS = (
    records.c.record_id,
    records.c.kind,
    records.c.shard,
    records.c.seq,
    records.c.epoch,
    records.c.entity,
    records.c.version,
    records.c.command_id,
    records.c.body,
)


def to_record(row: Any) -> Record:
    """From a row of `COLUMNS`."""
    return Record(*row)


class RecordWriter:
    """Used by one thread at a time; keeps one connection of the pool until something goes wrong with it.

    A dialect adds how records are inserted, all or none, and which of the driver's errors means that a key was taken.
    """

    refusal: type[Exception]

    def __init__(self, database: Engine, looks: Engine | None = None) -> None:
        """`looks`: where is looked for what stands in the way, if it isn't where records are written."""
        self._database = database
        self._looks = looks or database
        self._kept: PoolProxiedConnection | None = None

    def _insert(self, some: list[Record]) -> int:
        """Commits them; answers the position of the first, 0 if there are none. Raises what the driver raises."""
        raise NotImplementedError

    def _said(self, error: Exception) -> str:
        """What may be logged of an error."""
        return repr(error)

    def write(self, batch: Sequence[Record]) -> list[Outcome]:
        """See `Journal.write`. Raises nothing that a database may raise."""
        outcomes: list[Outcome | None] = [None] * len(batch)
        left = list(range(len(batch)))
        try:
            while left:
                try:
                    first = self._insert([batch[i] for i in left])
                except self.refusal as error:
                    before, left = left, self._sort_out(batch, left, outcomes)
                    if left == before:
                        _log.error(
                            "the journal refuses records for a reason that no key explains: %s", self._said(error)
                        )
                        break
                    continue
                for offset, index in enumerate(left):
                    outcomes[index] = Committed(first + offset if first else 0)
                left = []
        except Exception as error:
            # Also a commit whose answer was lost: only writing again can tell.
            _log.warning("the journal cannot be written: %s", self._said(error))
            self.close()
        # Not `or`: an outcome without fields is an empty tuple, so false.
        return [Unknown() if outcome is None else outcome for outcome in outcomes]

    def close(self) -> None:
        if self._kept is not None:
            kept, self._kept = self._kept, None
            kept.invalidate()

    def put_back(self) -> None:
        """Gives the connection that was kept back to the pool."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            kept.close()

    def _connection(self) -> Any:
        """The driver's own."""
        if self._kept is None:
            self._kept = self._database.raw_connection()
        return self._kept.driver_connection

    def _sort_out(self, batch: Sequence[Record], left: list[int], outcomes: list[Outcome | None]) -> list[int]:
        """Finds who was refused, and what must not be written behind it; answers what may be tried again."""
        broken: set[ShardId] = set()
        seen: set[tuple[Key, str, int | str, int | str]] = set()
        again: list[int] = []
        with self._looks.connect() as connection:
            for index in left:
                record = batch[index]
                shard = (record.kind, record.shard)
                if shard in broken:
                    outcomes[index] = NotWritten()
                    continue
                conflict = self._conflict(connection, record)
                keys = set(_keys(record))
                if conflict is not None:
                    outcomes[index] = conflict
                elif keys & seen:
                    # It stands in the way of itself: an earlier one of this batch has the key. Next time it is told.
                    outcomes[index] = NotWritten()
                else:
                    seen |= keys
                    again.append(index)
                    continue
                broken.add(shard)
        return again

    def _conflict(self, connection: Connection, record: Record) -> Conflict | None:
        for key, *_ in _keys(record):
            standing = connection.execute(_by_key(key, record)).first()
            if standing is not None:
                return Conflict(key, to_record(standing))
        return None


def _keys(record: Record) -> list[tuple[Key, str, int | str, int | str]]:
    return [
        (Key.SEQUENCE, record.kind, record.shard, record.seq),
        (Key.VERSION, record.kind, record.entity, record.version),
        (Key.COMMAND, record.kind, record.entity, record.command_id),
    ]


def _by_key(key: Key, record: Record) -> Any:
    query = select(*COLUMNS).where(records.c.kind == record.kind)
    if key is Key.SEQUENCE:
        return query.where(records.c.shard == record.shard, records.c.seq == record.seq)
    query = query.where(records.c.entity == record.entity)
    if key is Key.VERSION:
        return query.where(records.c.version == record.version)
    return query.where(records.c.command_id == record.command_id)
