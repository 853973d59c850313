"""The journal's records move, each shard's in its order, carts' into MongoDB if that has them; and what hangs on them.

Leases stay behind: nobody runs. Who takes a shard over on the servers claims it as always, above its last record.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from actors.journal.base import Committed, Conflict, Outcome, ShardRow, Snapshot
from actors.journal.mongo import MongoJournal
from actors.journal.tables import records, shards, snapshots
from actors.kinds import CART
from actors.runtime.open_work import unrelayed
from actors.runtime.wire import Record
from serve.databases import pages
from serve.migrating.failing import CannotMigrate

Tell = Callable[[int], None]
"""Hears how many rows were copied since it last heard."""

TRIES = 5
_KEYS = {records.name: (records.c.position,), snapshots.name: (snapshots.c.entity,), shards.name: (shards.c.shard,)}


def part(table: sa.Table, *, carts: bool) -> sa.Select[Any]:
    """What of a table stands in one of two journals: the carts' rows, or all others."""
    where = table.c.kind == CART.name if carts else table.c.kind != CART.name
    return sa.select(table).where(where).order_by(*_KEYS[table.name])


def everything(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table).order_by(*_KEYS[table.name])


def copy_into_mysql(
    source: sa.Connection, target: Engine, table: sa.Table, query: sa.Select[Any], tell: Tell, *, relays: bool
) -> None:
    """`relays`: the events go to Kafka, from the first one on, whatever a checkpoint says."""
    for page in pages(source, query):
        rows = (
            [{**row, "checkpoint": unrelayed(row["checkpoint"])} for row in page]
            if relays and table is shards
            else page
        )
        with target.begin() as writing:
            writing.execute(table.insert(), rows)
        tell(len(rows))


async def copy_into_mongo(source: sa.Connection, journal: MongoJournal, tell: Callable[[str], Tell]) -> None:
    """The carts' part of all tables. Raises JournalUnavailable, CannotMigrate."""
    done = tell(records.name)
    for page in _pages(source, records):
        await _write(journal, [Record(**{name: row[name] for name in Record.__struct_fields__}) for row in page])
        done(len(page))
    done = tell(snapshots.name)
    for page in _pages(source, snapshots):
        await journal.save_snapshots([Snapshot(**row) for row in page])
        done(len(page))
    done = tell(shards.name)
    for page in _pages(source, shards):
        rows = [ShardRow(**_unrelayed(row)) for row in page]
        new = [ShardRow(row.kind, row.shard, 0, "", 0, b"") for row in rows]
        for row, empty in zip(rows, new, strict=True):
            await journal.take_shards([empty], row.owner, [row.epoch])
        await journal.save_checkpoints(rows)
        done(len(page))


def _pages(source: sa.Connection, table: sa.Table) -> Any:
    return pages(source, part(table, carts=True))


async def _write(journal: MongoJournal, batch: Sequence[Record]) -> None:
    """Until the database says of each that it stands there."""
    left = list(batch)
    for tried in range(TRIES):
        outcomes = await journal.write(left)
        left = [record for record, outcome in zip(left, outcomes, strict=True) if not _stands(record, outcome)]
        if not left:
            return
        await asyncio.sleep(0.2 * 2**tried)
    raise CannotMigrate("MongoDB does not take the carts' records; see its log.")


def _stands(record: Record, outcome: Outcome) -> bool:
    if isinstance(outcome, Conflict) and outcome.standing != record:
        raise CannotMigrate("MongoDB has other records of these carts: somebody writes there just now.")
    return isinstance(outcome, Committed | Conflict)


def _unrelayed(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "checkpoint": unrelayed(row["checkpoint"])}
