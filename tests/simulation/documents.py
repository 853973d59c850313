"""A journal in a document database: insertions of many records, one after the other, and reads that may be stale."""

from collections.abc import Callable, Sequence
from random import Random

from actors.journal.base import Committed, Logged, Outcome, ShardId, ShardRow, Snapshot
from actors.runtime.wire import Record
from tests.simulation.database import Database
from tests.simulation.journal import SimulatedJournal, Trouble

PIECES = 3


class DocumentJournal(SimulatedJournal):
    """As on MongoDB: what is inserted at once becomes visible bit by bit, and others may write in between.

    A call that fails may have written the first few. A reader sees all that this client has written or seen, but not
    always what others wrote since; who asks for a shard's last record or row sees everything from then on. (On MongoDB
    so does who renews a lease: what is staler here than there must do no harm either.)
    """

    ordered = False

    def __init__(self, database: Database, trouble: Trouble | None = None, chance: Random | None = None) -> None:
        super().__init__(database, trouble, chance)
        self._seen = 0

    async def write(self, records: Sequence[Record]) -> list[Outcome]:
        said = await super().write(records)
        return [Committed(0) if isinstance(outcome, Committed) else outcome for outcome in said]

    def _part(self, records: list[Record]) -> list[Record]:
        return records[: self._chance.randint(0, len(records))]

    def _land(self, records: list[Record], told: Callable[[list[Outcome]], object]) -> None:
        left = list(records)
        outcomes: list[Outcome] = []
        broken: dict[ShardId, None] = {}
        trouble, chance = self._trouble, self._chance

        def piece() -> None:
            size = chance.randint(-(-len(records) // PIECES), len(records))
            some, left[:] = left[:size], left[size:]
            outcomes.extend(self.database.write(some, broken))
            if left:
                self._later(chance.uniform(*trouble.quick) if trouble is not None else 0.0, piece)
                return
            self._seen = len(self.database.records)
            told(outcomes)

        piece()

    def _as_of(self) -> int:
        """How many of the database's records a read sees."""
        newest = len(self.database.records)
        stale = self._trouble is not None and self._chance.random() < self._trouble.stale
        self._seen = self._chance.randint(self._seen, newest) if stale else newest
        return self._seen

    async def last_records(self, shards: Sequence[ShardId]) -> dict[ShardId, Record]:
        return await self._call(lambda: self._from_now_on().last_records(shards))

    async def shard_rows(self, shards: Sequence[ShardId]) -> dict[ShardId, ShardRow]:
        return await self._call(lambda: self._from_now_on().shard_rows(shards))

    def _from_now_on(self) -> Database:
        self._seen = len(self.database.records)
        return self.database

    async def shard_records(self, kind: str, shard: int, after: int, limit: int) -> list[Record]:
        return await self._call(lambda: self.database.shard_records(kind, shard, after, limit, self._as_of()))

    async def load(self, kind: str, entity: str) -> tuple[Snapshot | None, list[Record]]:
        return await self._call(lambda: self.database.load(kind, entity, self._as_of()))

    async def record_of_command(self, kind: str, entity: str, command_id: str) -> Record | None:
        return await self._call(lambda: self.database.record_of_command(kind, entity, command_id, self._as_of()))

    async def log(self, after: int, limit: int) -> list[Logged]:
        raise NotImplementedError("documents have no positions")
