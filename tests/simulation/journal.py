"""A journal whose database and connection fail in every way that the port allows, and in none that it does not.

A write may land after its caller gave up, in part (of each shard a prefix), or without an answer. What is said of a
record is true: *committed* and *conflict* stand, *not written* is never written later, and only *unknown* is unknown.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from random import Random
from typing import TypeVar

from actors.journal.base import (
    Committed,
    Conflict,
    Journal,
    JournalUnavailable,
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
from tests.simulation.database import Database

T = TypeVar("T")


class Trouble:
    """How a database behaves at the moment. Times in seconds; the rest are chances of a single call.

    `lost`: of a failing call, that it was carried out all the same; `late`: that it is, but only some time later.
    `stale`: that a read misses what others wrote, where the database allows it.
    """

    def __init__(self, longest: float) -> None:
        self.usual = self.quick = (longest / 10, longest)
        self.fails = 0.0
        self.lost = 0.5
        self.late = 0.0
        self.latest = 12.0
        self.partial = 0.0
        self.stale = 0.0
        self.patience = (0.05, 3.0)
        self.down = False


class SimulatedJournal(Journal):
    """One connection to the database. `trouble` None: no faults and no time passes, for the contract suite.

    `cut`: this connection alone is broken.
    """

    def __init__(self, database: Database, trouble: Trouble | None = None, chance: Random | None = None) -> None:
        self.database = database
        self.cut = False
        self._trouble = trouble
        self._chance = chance or Random(0)
        self._context = Context()

    def _later(self, seconds: float, what: Callable[[], object]) -> None:
        """In the database's own time: the caller's death changes nothing."""
        asyncio.get_running_loop().call_later(seconds, what, context=self._context)

    async def _call(self, act: Callable[[], T]) -> T:
        trouble = self._trouble
        if trouble is None:
            return act()
        chance = self._chance
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if trouble.down or self.cut or chance.random() < trouble.fails:
            if not (trouble.down or self.cut) and chance.random() < trouble.lost:
                self._later(self._landing(trouble), act)
            self._later(chance.uniform(*trouble.patience), lambda: _fail(answer))
        else:
            way = [chance.uniform(*trouble.quick) for _ in range(2)]
            self._later(way[0], lambda: self._later(way[1], _answering(answer, act())))
        return await answer

    def _landing(self, trouble: Trouble) -> float:
        """When a call lands whose answer is lost."""
        if self._chance.random() < trouble.late:
            return self._chance.uniform(0, trouble.latest)
        return self._chance.uniform(*trouble.quick)

    async def write(self, records: Sequence[Record]) -> list[Outcome]:
        trouble, some = self._trouble, list(records)
        if trouble is None:
            return self.database.write(some)
        chance = self._chance
        answer: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        silent: list[Outcome] = [Unknown()] * len(some)
        if trouble.down or self.cut:
            self._later(chance.uniform(*trouble.patience), _answering(answer, silent))
        elif chance.random() >= trouble.fails:
            way = [chance.uniform(*trouble.quick) for _ in range(2)]
            self._later(way[0], lambda: self._land(some, lambda said: self._later(way[1], _answering(answer, said))))
        elif chance.random() < trouble.partial:
            self._later(
                chance.uniform(*trouble.quick),
                lambda: self._later(chance.uniform(*trouble.patience), _answering(answer, self._break_off(some))),
            )
        else:
            if chance.random() < trouble.lost:
                self._later(self._landing(trouble), lambda: self._land(self._part(some), _nobody))
            self._later(chance.uniform(*trouble.patience), _answering(answer, silent))
        return await answer

    def _land(self, records: list[Record], told: Callable[[list[Outcome]], object]) -> None:
        """What the database does with a batch, and who hears of it."""
        told(self.database.write(records))

    def _part(self, records: list[Record]) -> list[Record]:
        """All of them, or of each shard a prefix."""
        trouble, chance = self._trouble, self._chance
        if trouble is None or chance.random() >= trouble.partial:
            return records
        left = {(r.kind, r.shard): chance.randint(0, len(records)) for r in records}
        kept = []
        for record in records:
            left[record.kind, record.shard] -= 1
            if left[record.kind, record.shard] >= 0:
                kept.append(record)
        return kept

    def _break_off(self, records: list[Record]) -> list[Outcome]:
        """The connection dies in the middle: some outcomes are known, of each shard the first few."""
        part = self._part(records)
        said = {r.record_id: outcome for r, outcome in zip(part, self.database.write(part), strict=True)}
        outcomes: list[Outcome] = []
        behind: dict[ShardId, Outcome] = {}
        for record in records:
            shard = (record.kind, record.shard)
            if shard in behind:
                outcomes.append(behind[shard])
                continue
            outcome = said.get(record.record_id)
            if outcome is None or self._chance.random() < 0.3:
                outcome = Unknown()
            if not isinstance(outcome, Committed):
                behind[shard] = NotWritten() if isinstance(outcome, Conflict) else Unknown()
            outcomes.append(outcome)
        return outcomes

    async def last_records(self, shards: Sequence[ShardId]) -> dict[ShardId, Record]:
        return await self._call(lambda: self.database.last_records(shards))

    async def shard_records(self, kind: str, shard: int, after: int, limit: int) -> list[Record]:
        return await self._call(lambda: self.database.shard_records(kind, shard, after, limit))

    async def load(self, kind: str, entity: str) -> tuple[Snapshot | None, list[Record]]:
        return await self._call(lambda: self.database.load(kind, entity))

    async def record_of_command(self, kind: str, entity: str, command_id: str) -> Record | None:
        return await self._call(lambda: self.database.record_of_command(kind, entity, command_id))

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        if snapshots:
            await self._call(lambda: self.database.save_snapshots(snapshots))

    async def shard_rows(self, shards: Sequence[ShardId]) -> dict[ShardId, ShardRow]:
        return await self._call(lambda: self.database.shard_rows(shards))

    async def take_shards(self, rows: Sequence[ShardRow], owner: str, epochs: Sequence[int]) -> list[bool]:
        return await self._call(lambda: self.database.take_shards(rows, owner, epochs))

    async def save_checkpoints(self, rows: Sequence[ShardRow]) -> None:
        if rows:
            await self._call(lambda: self.database.save_checkpoints(rows))

    async def renew(self, owner: str, milliseconds: int, heard: Sequence[tuple[str, int, int]]) -> Lease:
        return await self._call(lambda: self.database.renew(owner, milliseconds, heard))

    async def revoke(self, owner: str, shards: Sequence[tuple[str, int, int]]) -> tuple[int, int]:
        return await self._call(lambda: self.database.revoke(owner, shards))

    async def end_lease(self, owner: str) -> None:
        await self._call(lambda: self.database.end_lease(owner))

    async def log(self, after: int, limit: int) -> list[Logged]:
        return await self._call(lambda: self.database.log(after, limit))

    async def close(self) -> None:
        """There is nothing to close."""


def _nobody(_: object) -> None:
    """Hears what became of a call whose answer is lost."""


def _answering(answer: "asyncio.Future[T]", value: T) -> Callable[[], None]:
    def tell() -> None:
        if not answer.done():
            answer.set_result(value)

    return tell


def _fail(answer: "asyncio.Future[T]") -> None:
    if not answer.done():
        answer.set_exception(JournalUnavailable("simulated"))
