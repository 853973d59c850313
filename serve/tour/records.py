"""The journals, read on from where one stands. On servers records get their positions in another order than they are
committed in, or have none: so each shard is followed by its own numbers, which have no gap."""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import pymongo
import sqlalchemy as sa
from pymongo import MongoClient

from actors.journal.mongo import DATABASE
from actors.journal.mongo_records import to_record
from actors.journal.tables import records
from actors.kinds import CART, KINDS
from actors.runtime.wire import Body, Note, Record, body_of
from pipelines.log.base import Happened
from serve.tour.databases import Database

SECONDS = 10.0
AT_ONCE = 256
Shard = tuple[str, int]


class Stored(NamedTuple):
    """A decision and its place in the journal. `home`: which server has it, for people; empty: none."""

    position: int
    kind: str
    entity: str
    version: int
    command_id: str
    body: Body
    home: str = ""

    @property
    def events(self) -> list[Happened]:
        return [
            Happened(self.position, self.kind, self.entity, self.version, index, self.body.at, event)
            for index, event in enumerate(self.body.events)
        ]


class Records(Protocol):
    """One journal."""

    def skip(self) -> None:
        """What stands there until now is not read."""
        ...

    def new(self) -> list[Stored]:
        """What was not read yet."""
        ...

    def close(self) -> None: ...


class _Followed:
    """How far each shard was read."""

    def __init__(self, shards: int) -> None:
        self.read_to: dict[Shard, int] = {(kind, shard): 0 for kind in KINDS for shard in range(shards)}

    def parts(self, kinds: Container[str]) -> Iterator[list[tuple[str, int, int]]]:
        """Kind, shard and where it was read to; of no more shards at once than one query may name."""
        wanted = [(*shard, seq) for shard, seq in self.read_to.items() if shard[0] in kinds]
        return (wanted[n : n + AT_ONCE] for n in range(0, len(wanted), AT_ONCE))

    def take(self, record: Record, position: int, home: str) -> Iterable[Stored]:
        """The decision, if it is one."""
        shard = record.kind, record.shard
        self.read_to[shard] = max(record.seq, self.read_to.get(shard, 0))
        body = body_of(record)
        if body.note is Note.DECISION:
            yield Stored(position, record.kind, record.entity, record.version, record.command_id, body, home)


class SqlRecords:
    """Implements `Records` over the journal that is tables."""

    def __init__(self, database: Database, shards: int) -> None:
        self._database = database
        self._followed = _Followed(shards)

    def skip(self) -> None:
        """See `Records`."""
        query = sa.select(records.c.kind, records.c.shard, sa.func.max(records.c.seq).label("seq"))
        for row in self._database.rows(query.group_by(records.c.kind, records.c.shard)):
            self._followed.read_to[row.kind, row.shard] = row.seq

    def new(self) -> list[Stored]:
        """See `Records`; in the order of their positions."""
        columns = records.c
        found: list[Stored] = []
        for shards in self._followed.parts(KINDS):
            behind = sa.or_(
                *(
                    (columns.kind == kind) & (columns.shard == shard) & (columns.seq > seq)
                    for kind, shard, seq in shards
                )
            )
            for position, *rest in self._database.rows(sa.select(records).where(behind)):
                home = "" if self._database.is_file else f"in MySQL, {self._database.name}.records {position}"
                found += self._followed.take(Record(*rest), position, home)
        return sorted(found, key=lambda record: record.position)

    def close(self) -> None:
        """See `Records`."""
        self._database.close()


class CartRecords:
    """Implements `Records` over the carts' journal in MongoDB, of what a majority has."""

    def __init__(self, url: str, shards: int) -> None:
        client: MongoClient[dict[str, Any]] = MongoClient(
            url, serverSelectionTimeoutMS=int(SECONDS * 1000), readConcernLevel="majority", appname="troupe tour"
        )
        self._client = client
        self._records = client.get_default_database(DATABASE)["records"]
        self._followed = _Followed(shards)

    def skip(self) -> None:
        """See `Records`."""
        last: list[Mapping[str, Any]] = [
            {"$group": {"_id": {"kind": "$kind", "shard": "$shard"}, "seq": {"$max": "$seq"}}},
        ]
        with pymongo.timeout(SECONDS):
            for row in self._records.aggregate(last):
                self._followed.read_to[row["_id"]["kind"], int(row["_id"]["shard"])] = int(row["seq"])

    def new(self) -> list[Stored]:
        """See `Records`; in the order of their shards."""
        found: list[Stored] = []
        for shards in self._followed.parts((CART.name,)):
            behind = [{"kind": kind, "shard": shard, "seq": {"$gt": seq}} for kind, shard, seq in shards]
            with pymongo.timeout(SECONDS):
                for one in self._records.find({"$or": behind}).sort([("shard", 1), ("seq", 1)]):
                    record = to_record(one)
                    home = f"in MongoDB, records of {record.kind} shard {record.shard}, number {record.seq}"
                    found += self._followed.take(record, 0, home)
        return found

    def close(self) -> None:
        """See `Records`."""
        self._client.close()
