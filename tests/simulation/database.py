"""What a journal's database does, in memory: every method is one atomic transaction."""

import asyncio
from bisect import bisect_right, insort
from collections.abc import Callable, Mapping, Sequence

from actors.journal.base import (
    Committed,
    Conflict,
    Key,
    Lease,
    Logged,
    NotWritten,
    Outcome,
    ShardId,
    ShardRow,
    Snapshot,
)
from actors.runtime.wire import Record

Waiting = list["asyncio.Future[None]"]
Unique = tuple[str, str, int | str, int | str]
Revoked = tuple[str, int, int]


def wake(waiting: Waiting) -> None:
    for one in waiting:
        if not one.done():
            one.set_result(None)
    waiting.clear()


async def woken(waiting: Waiting, seconds: float) -> None:
    """Returns when those who wait are woken, or after `seconds`."""
    one: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting.append(one)
    await asyncio.wait([one], timeout=seconds)


def keys_of(record: Record) -> list[tuple[Key, Unique]]:
    return [
        (Key.SEQUENCE, ("seq", record.kind, record.shard, record.seq)),
        (Key.VERSION, ("version", record.kind, record.entity, record.version)),
        (Key.COMMAND, ("command", record.kind, record.entity, record.command_id)),
    ]


class Database:
    """`now` is its clock: UTC in milliseconds. `waiting`: those who want to know of a new record."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.records: list[Record] = []
        self.rows: dict[ShardId, ShardRow] = {}
        self.leases: dict[str, int] = {}
        self.revocations: dict[str, dict[Revoked, None]] = {}
        self.snapshots: dict[tuple[str, str], Snapshot] = {}
        self.waiting: Waiting = []
        self._unique: dict[Unique, int] = {}
        self._of_shard: dict[ShardId, list[tuple[int, int]]] = {}
        self._of_entity: dict[tuple[str, str], list[tuple[int, int]]] = {}

    # records

    def write(self, records: Sequence[Record], broken: dict[ShardId, None] | None = None) -> list[Outcome]:
        """Of each shard a prefix. `broken`: shards of which nothing more may be written; it grows."""
        broken = {} if broken is None else broken
        outcomes: list[Outcome] = []
        for record in records:
            shard = (record.kind, record.shard)
            if shard in broken:
                outcomes.append(NotWritten())
                continue
            outcome = self._conflict(record)
            if outcome is None:
                outcomes.append(Committed(self._append(record)))
            else:
                broken[shard] = None
                outcomes.append(outcome)
        return outcomes

    def _conflict(self, record: Record) -> Conflict | None:
        for key, unique in keys_of(record):
            place = self._unique.get(unique)
            if place is not None:
                return Conflict(key, self.records[place])
        return None

    def _append(self, record: Record) -> int:
        """Its position: the first is 1."""
        place = len(self.records)
        self.records.append(record)
        if self.waiting:
            wake(self.waiting)
        for _, unique in keys_of(record):
            self._unique[unique] = place
        insort(self._of_shard.setdefault((record.kind, record.shard), []), (record.seq, place))
        insort(self._of_entity.setdefault((record.kind, record.entity), []), (record.version, place))
        return place + 1

    def last_records(self, shards: Sequence[ShardId]) -> dict[ShardId, Record]:
        return {shard: self.records[self._of_shard[shard][-1][1]] for shard in shards if shard in self._of_shard}

    # `as_of`: only the first so many records are seen; None: all.

    def shard_records(
        self, kind: str, shard: int, after: int, limit: int | None = None, as_of: int | None = None
    ) -> list[Record]:
        return self._behind(self._of_shard.get((kind, shard), []), after, limit, as_of)

    def entity_records(self, kind: str, entity: str, after: int = 0, as_of: int | None = None) -> list[Record]:
        return self._behind(self._of_entity.get((kind, entity), []), after, None, as_of)

    def version_of(self, kind: str, entity: str) -> int:
        """0 if it never was."""
        places = self._of_entity.get((kind, entity))
        return places[-1][0] if places else 0

    def _behind(self, places: list[tuple[int, int]], after: int, limit: int | None, as_of: int | None) -> list[Record]:
        start = bisect_right(places, (after, len(self.records)))
        seen = [self.records[place] for _, place in places[start:] if as_of is None or place < as_of]
        return seen if limit is None else seen[:limit]

    def load(self, kind: str, entity: str, as_of: int | None = None) -> tuple[Snapshot | None, list[Record]]:
        snapshot = self.snapshots.get((kind, entity))
        return snapshot, self.entity_records(kind, entity, snapshot.version if snapshot else 0, as_of)

    def record_of_command(self, kind: str, entity: str, command_id: str, as_of: int | None = None) -> Record | None:
        place = self._unique.get(("command", kind, entity, command_id))
        return None if place is None or (as_of is not None and place >= as_of) else self.records[place]

    def log(self, after: int, limit: int) -> list[Logged]:
        some = self.records[after : after + limit]
        return [Logged(after + offset, record) for offset, record in enumerate(some, start=1)]

    def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        for snapshot in snapshots:
            standing = self.snapshots.get((snapshot.kind, snapshot.entity))
            if standing is None or standing.version < snapshot.version:
                self.snapshots[snapshot.kind, snapshot.entity] = snapshot

    # shards and leases

    def shard_rows(self, shards: Sequence[ShardId]) -> dict[ShardId, ShardRow]:
        return {shard: self.rows[shard] for shard in shards if shard in self.rows}

    def take_shards(self, rows: Sequence[ShardRow], owner: str, epochs: Sequence[int]) -> list[bool]:
        taken = []
        for row, epoch in zip(rows, epochs, strict=True):
            standing = self.rows.get((row.kind, row.shard))
            expected = (row.epoch, row.owner) if row.owner else None
            same = expected == (None if standing is None else (standing.epoch, standing.owner))
            taken.append(same)
            if same:
                checkpoint = standing.checkpoint if standing is not None else b""
                self.rows[row.kind, row.shard] = ShardRow(row.kind, row.shard, epoch, owner, 0, checkpoint)
        return taken

    def save_checkpoints(self, rows: Sequence[ShardRow]) -> None:
        for row in rows:
            standing = self.rows.get((row.kind, row.shard))
            if (
                standing is not None
                and (standing.epoch, standing.owner) == (row.epoch, row.owner)
                and standing.saved < row.saved
            ):
                self.rows[row.kind, row.shard] = row

    def renew(self, owner: str, milliseconds: int, heard: Sequence[Revoked]) -> Lease:
        now = self.now()
        self.leases[owner] = now + milliseconds
        told = self.revocations.setdefault(owner, {})
        for one in heard:
            told.pop(one, None)
        return Lease(now, tuple(told))

    def revoke(self, owner: str, shards: Sequence[Revoked]) -> tuple[int, int]:
        now = self.now()
        until = self.leases.get(owner)
        if until is None:
            return now, 0
        told = self.revocations.setdefault(owner, {})
        for one in shards:
            told[one] = None
        return now, until

    def end_lease(self, owner: str) -> None:
        self.leases.pop(owner, None)
        self.revocations.pop(owner, None)


class Databases:
    """All that a shop has, by kind of entity, as one: for those who look and check."""

    def __init__(self, of: Mapping[str, Database]) -> None:
        self._of = of
        self._all = list(dict.fromkeys(of.values()))

    @property
    def records(self) -> list[Record]:
        """Of each database in its order."""
        return [record for database in self._all for record in database.records]

    @property
    def snapshots(self) -> dict[tuple[str, str], Snapshot]:
        return {name: snapshot for database in self._all for name, snapshot in database.snapshots.items()}

    def now(self) -> int:
        """By the clock that is furthest behind."""
        return min(database.now() for database in self._all)

    def shard_records(self, kind: str, shard: int, after: int) -> list[Record]:
        return self._of[kind].shard_records(kind, shard, after)

    def entity_records(self, kind: str, entity: str) -> list[Record]:
        return self._of[kind].entity_records(kind, entity)

    def version_of(self, kind: str, entity: str) -> int:
        return self._of[kind].version_of(kind, entity)

    def record_of_command(self, kind: str, entity: str, command_id: str) -> Record | None:
        return self._of[kind].record_of_command(kind, entity, command_id)
