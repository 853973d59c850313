"""A journal in MongoDB: a record is a document, so writing one is atomic without a transaction.

An ordered insertion of many stops at the first that is refused: all before it are written, none behind. Every write
waits until a majority has it in its own journal, and says so itself, whatever the connection string says.

Reads are of what a majority has. A primary that was just elected may for a moment not know what that is, so every read
is *causal*: it waits for all that this client has written or seen. What another host wrote is seen from the claim on,
which comes after it. Before a claim, a linearizable read of nothing in particular finds out where the end is.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pymongo
from bson.timestamp import Timestamp
from pymongo import InsertOne, ReadPreference, ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from actors.journal import mongo_driver
from actors.journal.base import (
    Journal,
    JournalUnavailable,
    Lease,
    Logged,
    Outcome,
    ShardId,
    ShardRow,
    Snapshot,
    Unknown,
)
from actors.journal.mongo_records import DUPLICATE, RecordWriter, to_record
from actors.journal.mongo_schema import INDICES, VALIDATORS
from actors.runtime.wire import Record

_log = logging.getLogger("troupe.journal")

DATABASE = "troupe"
DAY_MS = 24 * 3_600_000
# The server's clock when it carries out the command, UTC in milliseconds.
NOW = {"$toLong": "$$NOW"}


class MongoJournal(Journal):
    """The journal port on MongoDB, 6 or later, a replica set. It keeps no positions.

    `url` names the database (else it is `troupe`); it has a password in it and is kept nowhere. No call takes longer
    than `seconds`. The leases go by the primary's clock: the clocks of the members must agree to within what a read
    may be old. A document holds 16 MB: a record is at most Limits.record_bytes, 4 MB.
    """

    ordered = False

    def __init__(self, url: str, seconds: float = 5.0) -> None:
        milliseconds = int(seconds * 1000)
        self._client = mongo_driver.connect(
            url,
            # Whether a write is repeated, and what that means, is decided above.
            retryWrites=False,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            appname="troupe",
        )
        self._seconds = seconds
        self._database = self._client.get_default_database(
            DATABASE,
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern("majority", j=True),
            read_concern=ReadConcern("majority"),
        )
        self._records = self._database["records"]
        self._snapshots = self._database["snapshots"]
        self._shards = self._database["shards"]
        self._leases = self._database["leases"]
        self._writer = RecordWriter(self._records)
        self._sessions: list[Any] = []
        self._seen: Timestamp | None = None

    async def setup(self) -> None:
        """Makes what isn't there: collections, what their documents must look like, indices. Can be run again."""
        async with self._asking():
            there = await self._database.list_collection_names()
            for name, validator in VALIDATORS.items():
                if name in there:
                    await self._database.command("collMod", name, validator=validator)
                else:
                    await self._database.create_collection(name, validator=validator)
            await self._records.create_indexes(INDICES)

    async def close(self) -> None:
        await mongo_driver.disconnect(self._client)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Any]:
        """A session that sees all that this client has seen, and a deadline for all that is asked in it."""
        try:
            # The driver's own deadline goes to the server too; the other is for what it has none for (names, threads).
            async with asyncio.timeout(self._seconds + 1):
                with pymongo.timeout(self._seconds):
                    session = self._sessions.pop() if self._sessions else await mongo_driver.open_session(self._client)
                    if self._seen is not None:
                        session.advance_operation_time(self._seen)
                    try:
                        yield session
                    finally:
                        self._see(session.operation_time)
                    self._sessions.append(session)
        except (PyMongoError, TimeoutError) as error:
            raise JournalUnavailable(type(error).__name__) from error

    def _see(self, time: Timestamp | None) -> None:
        if time is not None and (self._seen is None or time > self._seen):
            self._seen = time

    async def _find_the_end(self) -> None:
        """Every read from now on sees all that was committed before, by whomever."""
        linearizable = self._records.with_options(read_concern=ReadConcern("linearizable"))
        session = await mongo_driver.open_session(self._client)
        try:
            await linearizable.find_one({"_id": b""}, session=session)
            self._see(session.operation_time)
        finally:
            await session.end_session()

    # records

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(batch)
        try:
            async with self._asking() as session:
                await self._writer.write(batch, outcomes, session)
        except Exception as error:
            # Also an answer that was lost: only writing again can tell.
            _log.warning(
                "the journal cannot be written: %s", error if isinstance(error, JournalUnavailable) else type(error)
            )
        # Not `or`: an outcome without fields is an empty tuple, so false.
        return [Unknown() if outcome is None else outcome for outcome in outcomes]

    async def last_records(self, wanted: Sequence[ShardId]) -> dict[ShardId, Record]:
        found: dict[ShardId, Record] = {}
        if wanted:
            async with self._asking() as session:
                await self._find_the_end()
                session.advance_operation_time(self._seen)
                for kind, shard in wanted:
                    query = {"kind": kind, "shard": shard}
                    document = await self._records.find_one(query, sort=[("seq", -1)], session=session)
                    if document is not None:
                        found[kind, shard] = to_record(document)
        return found

    async def shard_records(self, kind: str, shard: int, after: int, limit: int) -> list[Record]:
        query = {"kind": kind, "shard": shard, "seq": {"$gt": after}}
        async with self._asking() as session:
            found = self._records.find(query, sort=[("seq", 1)], limit=limit, session=session)
            return [to_record(document) for document in await found.to_list(None)]

    async def load(self, kind: str, entity: str) -> tuple[Snapshot | None, list[Record]]:
        async with self._asking() as session:
            kept = await self._snapshots.find_one({"_id": _named(kind, entity)}, session=session)
            snapshot = Snapshot(kind, entity, int(kept["version"]), kept["state"]) if kept else None
            query = {"kind": kind, "entity": entity, "version": {"$gt": snapshot.version if snapshot else 0}}
            found = self._records.find(query, sort=[("version", 1)], session=session)
            return snapshot, [to_record(document) for document in await found.to_list(None)]

    async def record_of_command(self, kind: str, entity: str, command_id: str) -> Record | None:
        query = {"kind": kind, "entity": entity, "command_id": command_id}
        async with self._asking() as session:
            document = await self._records.find_one(query, session=session)
            return None if document is None else to_record(document)

    async def log(self, after: int, limit: int) -> list[Logged]:
        """There is none: the events go from each shard to Kafka, in the shard's order."""
        raise NotImplementedError("a journal in MongoDB has no positions")

    # snapshots, shards, leases

    async def save_snapshots(self, some: Sequence[Snapshot]) -> None:
        # Where a newer one is, the filter finds nothing, and what would be inserted instead is refused.
        writes = [
            UpdateOne(
                {"_id": _named(s.kind, s.entity), "version": {"$lt": s.version}},
                {"$set": {"version": s.version, "state": s.state}},
                upsert=True,
            )
            for s in some
        ]
        if writes:
            async with self._asking() as session:
                await _apart(self._snapshots, writes, session)

    async def shard_rows(self, wanted: Sequence[ShardId]) -> dict[ShardId, ShardRow]:
        if not wanted:
            return {}
        async with self._asking() as session:
            await self._find_the_end()
            session.advance_operation_time(self._seen)
            return await self._rows(wanted, session)

    async def _rows(self, wanted: Sequence[ShardId], session: Any) -> dict[ShardId, ShardRow]:
        found = self._shards.find({"_id": {"$in": [_numbered(*one) for one in wanted]}}, session=session)
        rows = [_row(document) for document in await found.to_list(None)]
        return {(row.kind, row.shard): row for row in rows}

    async def take_shards(self, rows: Sequence[ShardRow], owner: str, epochs: Sequence[int]) -> list[bool]:
        if not rows:
            return []
        writes: list[Any] = []
        for row, epoch in zip(rows, epochs, strict=True):
            place = _numbered(row.kind, row.shard)
            mine = {"epoch": epoch, "owner": owner, "saved": 0}
            if row.owner:
                writes.append(UpdateOne({"_id": place, "epoch": row.epoch, "owner": row.owner}, {"$set": mine}))
            else:
                writes.append(InsertOne({"_id": place, **mine, "checkpoint": b""}))
        async with self._asking() as session:
            await _apart(self._shards, writes, session)
            # An owner and an epoch make one claim: who finds them has taken the row.
            now = await self._rows([(row.kind, row.shard) for row in rows], session)
            old = {"$expr": {"$lt": ["$until", {"$subtract": [NOW, DAY_MS]}]}}
            await self._leases.delete_many(old, session=session)
        taken = [now.get((row.kind, row.shard)) for row in rows]
        return [row is not None and (row.epoch, row.owner) == (e, owner) for row, e in zip(taken, epochs, strict=True)]

    async def save_checkpoints(self, rows: Sequence[ShardRow]) -> None:
        writes = [
            UpdateOne(
                {
                    "_id": _numbered(row.kind, row.shard),
                    "epoch": row.epoch,
                    "owner": row.owner,
                    "saved": {"$lt": row.saved},
                },
                {"$set": {"saved": row.saved, "checkpoint": row.checkpoint}},
            )
            for row in rows
        ]
        if writes:
            async with self._asking() as session:
                await _apart(self._shards, writes, session)

    async def renew(self, owner: str, milliseconds: int, heard: Sequence[tuple[str, int, int]]) -> Lease:
        left = {"$setDifference": [{"$ifNull": ["$revoked", []]}, _told(heard)]}
        change = [{"$set": {"until": {"$add": [NOW, milliseconds]}, "now": NOW, "revoked": left}}]
        async with self._asking() as session:
            lease = await self._leases.find_one_and_update(
                {"_id": owner}, change, upsert=True, return_document=ReturnDocument.AFTER, session=session
            )
        return Lease(
            int(lease["now"]), tuple((one["kind"], int(one["shard"]), int(one["epoch"])) for one in lease["revoked"])
        )

    async def revoke(self, owner: str, some: Sequence[tuple[str, int, int]]) -> tuple[int, int]:
        # `now` changes each time: so it is a write, and no primary that is one no longer can answer it.
        change = [{"$set": {"now": NOW, "revoked": {"$setUnion": ["$revoked", _told(some)]}}}]
        async with self._asking() as session:
            lease = await self._leases.find_one_and_update(
                {"_id": owner}, change, return_document=ReturnDocument.AFTER, session=session
            )
        # Nobody waits for who has none. When, is of no interest then.
        return (0, 0) if lease is None else (int(lease["now"]), int(lease["until"]))

    async def end_lease(self, owner: str) -> None:
        async with self._asking() as session:
            await self._leases.delete_one({"_id": owner}, session=session)


async def _apart(collection: Any, writes: list[Any], session: Any) -> None:
    """Carries out writes that have nothing to do with each other; what is there already is no error."""
    try:
        await collection.bulk_write(writes, ordered=False, session=session)
    except BulkWriteError as error:
        refusals = error.details["writeErrors"]
        if error.details["writeConcernErrors"] or any(one["code"] != DUPLICATE for one in refusals):
            raise


def _numbered(kind: str, shard: int) -> dict[str, Any]:
    return {"kind": kind, "shard": shard}


def _named(kind: str, entity: str) -> dict[str, Any]:
    return {"kind": kind, "entity": entity}


def _told(some: Sequence[tuple[str, int, int]]) -> dict[str, Any]:
    return {"$literal": [{"kind": kind, "shard": shard, "epoch": epoch} for kind, shard, epoch in some]}


def _row(found: dict[str, Any]) -> ShardRow:
    place = found["_id"]
    return ShardRow(
        place["kind"],
        int(place["shard"]),
        int(found["epoch"]),
        found["owner"],
        int(found["saved"]),
        found["checkpoint"],
    )
