"""What happened to a host's entities goes out to the event log, each shard's in the order of its sequence.

The journal is the outbox: a record is relayed once it is committed, and how far a shard has come stands in its
checkpoint, kept lazily. So after a crash some events go out again, and none is ever skipped. A log that is away delays
what follows from it and nothing else: what does not fit into memory is read from the journal once the log is back.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from actors.journal.base import JournalUnavailable
from actors.runtime.parts import Parts
from actors.runtime.ports import Publisher
from actors.runtime.shard import Shard
from actors.runtime.wire import Record

_log = logging.getLogger("troupe.runtime")

# Records that are kept for the log while it is slow or away; beyond it they are read from the journal again.
KEPT = 20_000
PAGE = 500
AT_ONCE = 2_000
LONGEST_PAUSE = 2.0


class _Lane:
    """One shard's way out. `waiting`: what was committed and is not relayed; nothing if the journal must be read."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.waiting: deque[Record] = deque()
        self.behind = True

    @property
    def has_news(self) -> bool:
        return bool(self.waiting) or self.behind


class Relay:
    """Of all shards of a host."""

    def __init__(self, publisher: Publisher, parts: Parts) -> None:
        self._publisher = publisher
        self._parts = parts
        self._lanes: dict[Shard, _Lane] = {}
        self._ready: dict[_Lane, None] = {}
        self._news = asyncio.Event()
        self._kept = 0

    def resume(self, shard: Shard) -> None:
        """A shard was taken over: what its last owner may not have relayed is read from the journal."""
        for lane in [lane for lane in self._lanes.values() if lane.shard.closed]:
            self._forget(lane)
        self._tell(self._lanes.setdefault(shard, _Lane(shard)))

    def committed(self, shard: Shard, record: Record) -> None:
        """Hears of each record of a shard, in order."""
        lane = self._lanes.get(shard)
        if lane is None or lane.behind:
            return
        if self._kept >= KEPT:
            self._fall_behind(lane)
        else:
            lane.waiting.append(record)
            self._kept += 1
        self._tell(lane)

    @property
    def backlog(self) -> int:
        """Records that wait in memory; those that are only in the journal are not counted."""
        return self._kept

    def _tell(self, lane: _Lane) -> None:
        self._ready[lane] = None
        self._news.set()

    async def run(self) -> None:
        """Relays for as long as the host lives."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._ready:
                await self._round()

    async def _round(self) -> None:
        batch: list[tuple[_Lane, list[Record]]] = []
        size = 0
        while self._ready and size < AT_ONCE:
            lane = next(iter(self._ready))
            del self._ready[lane]
            if lane.shard.closed:
                self._forget(lane)
                continue
            if records := await self._next(lane):
                batch.append((lane, records))
                size += len(records)
        if not batch:
            return
        await self._publish([record for _, records in batch for record in records])
        for lane, records in batch:
            # A shard that is closed meanwhile belongs to another: what was relayed here is only relayed again.
            lane.shard.owed.relayed_to(records[-1].seq)
            if lane.has_news:
                self._tell(lane)

    async def _next(self, lane: _Lane) -> list[Record]:
        """What goes out next of a shard, in order."""
        if lane.behind:
            return await self._read(lane)
        taken = [lane.waiting.popleft() for _ in range(min(len(lane.waiting), PAGE))]
        self._kept -= len(taken)
        return taken

    async def _read(self, lane: _Lane) -> list[Record]:
        """From the journal. What is committed from now on is heard of, if this is the last that must be read."""
        shard = lane.shard
        reached = shard.seq
        lane.behind = reached - shard.owed.relayed > PAGE
        if reached == shard.owed.relayed:
            return []
        try:
            records = await self._parts.journal.shard_records(*shard.id, shard.owed.relayed, PAGE)
        except JournalUnavailable as error:
            _log.warning("events of %s/%d cannot be read: %s", *shard.id, error)
            self._fall_behind(lane)
            await self._parts.clock.sleep(self._parts.limits.retry_first)
            self._tell(lane)
            return []
        # What another incarnation wrote behind this one is that one's to relay.
        return [record for record in records if record.seq <= reached]

    def _fall_behind(self, lane: _Lane) -> None:
        self._kept -= len(lane.waiting)
        lane.waiting.clear()
        lane.behind = True

    async def _publish(self, records: Sequence[Record]) -> None:
        delay = self._parts.limits.retry_first
        while True:
            try:
                return await self._publisher.publish(records)
            except Exception as error:
                _log.warning("the event log does not take what happened: %r", error)
            await self._parts.clock.sleep(delay)
            delay = min(2 * delay, LONGEST_PAUSE)

    def _forget(self, lane: _Lane) -> None:
        self._kept -= len(lane.waiting)
        self._lanes.pop(lane.shard, None)
