"""A clock that only tests move, and a journal in memory that can hold back, refuse, lose answers, and remembers."""

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import Sequence
from itertools import count

from actors.journal.base import (
    Committed,
    Conflict,
    Journal,
    JournalUnavailable,
    Key,
    Lease,
    Logged,
    NotWritten,
    Outcome,
    ShardId,
    ShardRow,
    Snapshot,
    Unknown,
)
from actors.runtime.wire import Record

START = 1_700_000_000_000


class FakeClock:
    """Time moves by `advance` alone, to each sleeper in turn."""

    def __init__(self) -> None:
        self.time = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def wall(self) -> int:
        return START + int(self.time * 1000)

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time + seconds, next(self._order), woken))
        await woken

    def tick(self) -> None:
        """To the next sleeper's time; wakes all whose time it is."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if self._sleepers:
            self.time = max(self.time, self._sleepers[0][0])
        while self._sleepers and self._sleepers[0][0] <= self.time:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

    async def advance(self, seconds: float) -> None:
        """Lets time pass, and all that it brings about happen at its moment."""
        until = self.time + seconds
        await turns()
        while self._sleepers and self._sleepers[0][0] <= until:
            self.tick()
            await turns()
        self.time = until


async def turns(number: int = 40) -> None:
    """Lets everything happen that needs no time."""
    for _ in range(number):
        await asyncio.sleep(0)


class CountingEntropy:
    """Tokens 1, 2, 3 …; every fraction is a half."""

    def __init__(self) -> None:
        self._next = count(1)

    def token(self) -> bytes:
        return next(self._next).to_bytes(16, "big")

    def fraction(self) -> float:
        return 0.5


class MemoryJournal(Journal):
    """The journal port in memory.

    `writes` and `calls` remember what was asked for, in order. `script` tells how the next writes end: "drop" (nothing
    lands, no answer) or "lose" (all lands, no answer); followed by a name, the records of that entity alone.
    `down`: methods, or owners that renew, who get no answer.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.ahead_ms = 0
        self.records: list[Record] = []
        self.snapshots: dict[tuple[str, str], Snapshot] = {}
        self.rows: dict[ShardId, ShardRow] = {}
        self.leases: dict[str, int] = {}
        self.revocations: dict[str, list[tuple[str, int, int]]] = {}
        self.writes: list[list[Record]] = []
        self.calls: list[tuple[object, ...]] = []
        self.script: deque[str] = deque()
        self.down: set[str] = set()
        self._keys: dict[tuple[object, ...], Record] = {}
        self._held: dict[str, asyncio.Event] = {}

    # what tests do with it

    def hold(self, method: str) -> None:
        """Calls of this method wait from now on, before they do anything."""
        self._held[method] = asyncio.Event()

    def let_go(self, method: str) -> None:
        self._held.pop(method).set()

    def counted(self) -> Counter[object]:
        return Counter(call[0] for call in self.calls)

    def plant(self, record: Record) -> None:
        """Puts a record of somebody else there."""
        self.records.append(record)
        self._keys |= {key: record for _, key in _keys(record)}

    def of(self, entity: str) -> list[Record]:
        return [r for r in self.records if r.entity == entity]

    def now(self) -> int:
        return self.clock.wall() + self.ahead_ms

    async def _asked(self, method: str, *about: object) -> None:
        self.calls.append((method, *about))
        held = self._held.get(method)
        await asyncio.sleep(0)
        if held is not None:
            await held.wait()
        if method in self.down:
            raise JournalUnavailable("down on purpose")

    # the port

    async def write(self, records: Sequence[Record]) -> list[Outcome]:
        self.writes.append(list(records))
        held = self._held.get("write")
        await asyncio.sleep(0)
        if held is not None:
            await held.wait()
        how, _, of = (self.script.popleft() if self.script else "").partition(" ")
        lost = [bool(how) and of in ("", r.entity) for r in records]
        landed = iter(self._land([r for r, gone in zip(records, lost, strict=True) if how == "lose" or not gone]))
        outcomes = [Unknown() if how == "drop" and gone else next(landed) for gone in lost]
        return [Unknown() if gone else outcome for gone, outcome in zip(lost, outcomes, strict=True)]

    def _land(self, records: Sequence[Record]) -> list[Outcome]:
        broken: set[ShardId] = set()
        outcomes: list[Outcome] = []
        for record in records:
            shard = (record.kind, record.shard)
            standing = [(name, self._keys[key]) for name, key in _keys(record) if key in self._keys]
            if shard in broken:
                outcomes.append(NotWritten())
            elif standing:
                broken.add(shard)
                outcomes.append(Conflict(*standing[0]))
            else:
                self.plant(record)
                outcomes.append(Committed(len(self.records)))
        return outcomes

    async def last_records(self, shards: Sequence[ShardId]) -> dict[ShardId, Record]:
        await self._asked("last_records")
        wanted = set(shards)
        found: dict[ShardId, Record] = {}
        for r in sorted(self.records, key=lambda r: r.seq):
            if (r.kind, r.shard) in wanted:
                found[r.kind, r.shard] = r
        return found

    async def shard_records(self, kind: str, shard: int, after: int, limit: int) -> list[Record]:
        await self._asked("shard_records", shard, after)
        found = [r for r in self.records if (r.kind, r.shard) == (kind, shard) and r.seq > after]
        return sorted(found, key=lambda r: r.seq)[:limit]

    async def load(self, kind: str, entity: str) -> tuple[Snapshot | None, list[Record]]:
        await self._asked(f"load {entity}")
        await self._asked("load", entity)
        snapshot = self.snapshots.get((kind, entity))
        after = snapshot.version if snapshot else 0
        found = [r for r in self.records if (r.kind, r.entity) == (kind, entity) and r.version > after]
        return snapshot, sorted(found, key=lambda r: r.version)

    async def record_of_command(self, kind: str, entity: str, command_id: str) -> Record | None:
        await self._asked("record_of_command", entity, command_id)
        return self._keys.get((Key.COMMAND, kind, entity, command_id))

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        if snapshots:
            await self._asked("save_snapshots")
        for new in snapshots:
            old = self.snapshots.get((new.kind, new.entity))
            if old is None or new.version > old.version:
                self.snapshots[new.kind, new.entity] = new

    async def shard_rows(self, shards: Sequence[ShardId]) -> dict[ShardId, ShardRow]:
        await self._asked("shard_rows")
        return {shard: self.rows[shard] for shard in shards if shard in self.rows}

    async def take_shards(self, rows: Sequence[ShardRow], owner: str, epochs: Sequence[int]) -> list[bool]:
        await self._asked("take_shards", owner)
        taken = []
        for row, epoch in zip(rows, epochs, strict=True):
            there = self.rows.get((row.kind, row.shard))
            fits = there is None if not row.owner else there is not None and there[2:4] == row[2:4]
            if fits:
                kept = there.checkpoint if there else b""
                self.rows[row.kind, row.shard] = ShardRow(row.kind, row.shard, epoch, owner, 0, kept)
            taken.append(fits)
        return taken

    async def save_checkpoints(self, rows: Sequence[ShardRow]) -> None:
        await self._asked("save_checkpoints")
        for row in rows:
            there = self.rows.get((row.kind, row.shard))
            if there is not None and there[2:4] == row[2:4] and row.saved > there.saved:
                self.rows[row.kind, row.shard] = row

    async def renew(self, owner: str, milliseconds: int, heard: Sequence[tuple[str, int, int]]) -> Lease:
        await self._asked("renew", owner)
        if owner in self.down:
            raise JournalUnavailable("cut off on purpose")
        self.leases[owner] = self.now() + milliseconds
        told = [one for one in self.revocations.get(owner, []) if one not in set(heard)]
        self.revocations[owner] = told
        return Lease(self.now(), tuple(told))

    async def revoke(self, owner: str, shards: Sequence[tuple[str, int, int]]) -> tuple[int, int]:
        await self._asked("revoke", owner)
        if owner in self.leases:
            told = self.revocations.setdefault(owner, [])
            told.extend(one for one in shards if one not in told)
        return self.now(), self.leases.get(owner, 0)

    async def end_lease(self, owner: str) -> None:
        await self._asked("end_lease", owner)
        self.leases.pop(owner, None)
        self.revocations.pop(owner, None)

    async def log(self, after: int, limit: int) -> list[Logged]:
        await self._asked("log")
        return [Logged(n, r) for n, r in enumerate(self.records, 1) if n > after][:limit]

    async def close(self) -> None:
        """Nothing is open."""


def _keys(record: Record) -> list[tuple[Key, tuple[object, ...]]]:
    return [
        (Key.SEQUENCE, (Key.SEQUENCE, record.kind, record.shard, record.seq)),
        (Key.VERSION, (Key.VERSION, record.kind, record.entity, record.version)),
        (Key.COMMAND, (Key.COMMAND, record.kind, record.entity, record.command_id)),
    ]
