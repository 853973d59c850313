"""Writing batches of records into MongoDB, and finding out why one was refused."""

import logging
from collections.abc import Sequence
from typing import Any

from pymongo.errors import BulkWriteError

from actors.journal.base import Committed, Conflict, JournalUnavailable, Key, NotWritten, Outcome
from actors.runtime.wire import Record

_log = logging.getLogger("troupe.journal")

DUPLICATE = 11000


class RecordWriter:
    """Writes into a collection; see `Journal.write`."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def write(self, batch: Sequence[Record], outcomes: list[Outcome | None], session: Any) -> None:
        """Fills in what is known of each. Raises what the driver raises, JournalUnavailable: the rest is unknown."""
        left = list(range(len(batch)))
        while left:
            left = await self._insert(batch, left, outcomes, session)

    async def _insert(
        self, batch: Sequence[Record], left: list[int], outcomes: list[Outcome | None], session: Any
    ) -> list[int]:
        """Writes until one is refused; answers which others may still be tried. Raises when nobody can tell."""
        try:
            await self._collection.insert_many([to_document(batch[n]) for n in left], ordered=True, session=session)
        except BulkWriteError as error:
            if error.details["writeConcernErrors"]:
                # Neither what was written nor what stood in the way is there for good.
                raise
            refusal = error.details["writeErrors"][0]
            if refusal["code"] != DUPLICATE:
                _log.error("the journal refuses records for a reason that no key explains: code %s", refusal["code"])
                raise
            stopped = refusal["index"]
        else:
            stopped = len(left)
        for n in left[:stopped]:
            outcomes[n] = Committed(0)
        return await self._sort_out(batch, left[stopped:], outcomes, session) if stopped < len(left) else []

    async def _sort_out(
        self, batch: Sequence[Record], left: list[int], outcomes: list[Outcome | None], session: Any
    ) -> list[int]:
        """The first was refused: finds out by what, and answers which behind it may be tried."""
        refused = batch[left[0]]
        conflict = await self._conflict(refused, session)
        if conflict is None:
            raise JournalUnavailable("what stands in the way is not to be seen yet")
        there: set[Record] = set()
        if conflict.standing == refused:
            # These were written before: those of them that landed need not be found one by one.
            ids = [batch[n].record_id for n in left]
            there = {to_record(d) for d in await self._find({"_id": {"$in": ids}}, session)}
        outcomes[left[0]] = conflict
        landed = {(refused.kind, refused.shard)} if there else set()
        stopped = set() if there else {(refused.kind, refused.shard)}
        again = []
        for n in left[1:]:
            record = batch[n]
            shard = (record.kind, record.shard)
            if shard not in stopped and record in there:
                outcomes[n] = Conflict(Key.SEQUENCE, record)
                landed.add(shard)
            elif shard in stopped or shard in landed:
                stopped.add(shard)
                outcomes[n] = NotWritten()
            else:
                again.append(n)
        return again

    async def _conflict(self, record: Record, session: Any) -> Conflict | None:
        by_key: dict[Key, dict[str, int | str]] = {
            Key.SEQUENCE: {"shard": record.shard, "seq": record.seq},
            Key.VERSION: {"entity": record.entity, "version": record.version},
            Key.COMMAND: {"entity": record.entity, "command_id": record.command_id},
        }
        found = await self._find({"kind": record.kind, "$or": list(by_key.values())}, session)
        for key, fields in by_key.items():
            for document in found:
                if all(document[name] == value for name, value in fields.items()):
                    return Conflict(key, to_record(document))
        return None

    async def _find(self, query: dict[str, Any], session: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._collection.find(query, session=session).to_list(None)
        return found


def to_document(record: Record) -> dict[str, Any]:
    return {
        "_id": record.record_id,
        "kind": record.kind,
        "shard": record.shard,
        "seq": record.seq,
        "epoch": record.epoch,
        "entity": record.entity,
        "version": record.version,
        "command_id": record.command_id,
        "body": record.body,
    }


def to_record(found: dict[str, Any]) -> Record:
    return Record(
        found["_id"],
        found["kind"],
        int(found["shard"]),
        int(found["seq"]),
        int(found["epoch"]),
        found["entity"],
        int(found["version"]),
        found["command_id"],
        found["body"],
    )
