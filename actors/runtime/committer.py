"""Group commit: decisions made while a commit is under way share the next one.

Records are numbered when their batch is sealed, and the next batch waits for the outcome of each of this one's.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from actors.journal.base import Committed, Conflict, Journal, Key, Outcome, Unknown
from actors.runtime.entity import Pending
from actors.runtime.limits import Limits
from actors.runtime.ports import Clock
from actors.runtime.shard import Shard
from actors.runtime.wire import Record

_log = logging.getLogger("troupe.runtime")

Item = tuple[Shard, Pending]
Wrote = Callable[[int, Record], None]


class Committer:
    """One per journal and host. `wrote` hears of each committed record and its position; `lost` of a lost fence."""

    def __init__(
        self, journal: Journal, clock: Clock, limits: Limits, wrote: Wrote, lost: Callable[[Shard], None]
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._wrote = wrote
        self._lost = lost
        self._queue: deque[Item] = deque()
        self._filled = asyncio.Event()
        self.backlog = 0
        self.batches = 0
        self.records = 0

    def add(self, shard: Shard, pending: Pending) -> None:
        self._queue.append((shard, pending))
        self.backlog += 1
        self._filled.set()

    async def run(self) -> None:
        """Writes for as long as the host lives."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                await self._commit()

    async def _commit(self) -> None:
        batch, records = self._seal()
        if not batch:
            return
        outcomes = await self._write(records)
        self.batches += 1
        self._settle(batch, records, outcomes)

    def _seal(self) -> tuple[list[Item], list[Record]]:
        batch: list[Item] = []
        records: list[Record] = []
        offsets: dict[Shard, int] = {}
        size = 0
        while self._queue and len(batch) < self._limits.batch_records and size < self._limits.batch_bytes:
            shard, pending = self._queue.popleft()
            if pending.dropped:
                self.backlog -= 1
                continue
            offset = offsets[shard] = offsets.get(shard, 0) + 1
            batch.append((shard, pending))
            records.append(shard.number_record(pending, offset))
            size += len(pending.encoded)
        return batch, records

    async def _write(self, records: list[Record]) -> list[Outcome]:
        """Writes until the database has spoken about every record."""
        outcomes = [_own(*pair) for pair in zip(await self._try(records), records, strict=True)]
        delay = self._limits.retry_first
        while unsure := _unsure(records, outcomes):
            await self._clock.sleep(delay)
            delay = min(2 * delay, self._limits.retry_most)
            again = await self._try([records[n] for n in unsure])
            for n, outcome in zip(unsure, again, strict=True):
                outcomes[n] = _own(outcome, records[n])
        return outcomes

    async def _try(self, records: list[Record]) -> list[Outcome]:
        try:
            return await self._journal.write(records)
        except Exception:
            # The port does not allow it, but a host that stopped committing for good would be worse.
            _log.exception("the journal failed to say what became of a batch")
            return [Unknown() for _ in records]

    def _settle(self, batch: list[Item], records: list[Record], outcomes: list[Outcome]) -> None:
        self.backlog -= len(batch)
        left: list[Item] = []
        for (shard, pending), record, outcome in zip(batch, records, outcomes, strict=True):
            if isinstance(outcome, Committed):
                self.records += 1
                self._wrote(outcome.position, record)
                if not (pending.dropped or shard.closed):
                    shard.committed(pending, record)
            elif pending.dropped or shard.closed:
                continue
            elif isinstance(outcome, Conflict):
                self._refused(shard, pending, outcome)
            else:
                left.append((shard, pending))
        still = [item for item in left if not item[1].dropped]
        self._queue.extendleft(reversed(still))
        self.backlog += len(still)

    def _refused(self, shard: Shard, pending: Pending, conflict: Conflict) -> None:
        if conflict.key is Key.SEQUENCE or conflict.standing.epoch > shard.epoch:
            self._lost(shard)
        else:
            shard.reset(pending.entity)


def _unsure(records: list[Record], outcomes: list[Outcome]) -> list[int]:
    """Which are to be written again as they are: the unknown, and with them what was not written; none without.

    Nothing behind a refused record: its number would leave a gap, and it may have been decided on what was refused.
    """
    refused: set[tuple[str, int]] = set()
    unsure = []
    for n, (record, outcome) in enumerate(zip(records, outcomes, strict=True)):
        if isinstance(outcome, Conflict):
            refused.add((record.kind, record.shard))
        elif not isinstance(outcome, Committed) and (record.kind, record.shard) not in refused:
            unsure.append(n)
    return unsure if any(isinstance(outcomes[n], Unknown) for n in unsure) else []


def _own(outcome: Outcome, record: Record) -> Outcome:
    """A duplicate is success only if what stands there is this very record, as it was numbered."""
    if isinstance(outcome, Conflict):
        standing = outcome.standing
        same = (standing.record_id, standing.kind, standing.shard, standing.seq, standing.epoch)
        if same == (record.record_id, record.kind, record.shard, record.seq, record.epoch):
            return Committed(0)
    return outcome
