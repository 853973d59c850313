"""What a host does on the side: checkpoints, snapshots, passivation, and telling watchers whose time is up."""

import logging
from collections.abc import Iterable
from itertools import islice

from actors.journal.base import JournalUnavailable, Snapshot
from actors.runtime.claim import checkpoint_of
from actors.runtime.parts import Parts
from actors.runtime.shard import Shard
from actors.runtime.wire import encode

_log = logging.getLogger("troupe.runtime")

WATCHERS_EVERY = 0.1
PASSIVATION_EVERY = 1.0
# A round over all shards takes this many seconds, so that a million entities cost a few milliseconds at a time.
ROUNDS = 10
CHECKPOINTS_AT_ONCE = 64


class Upkeep:
    """The upkeep of all shards of a host."""

    def __init__(self, parts: Parts, shards: dict[tuple[str, int], Shard]) -> None:
        self._parts = parts
        self._shards = shards
        self._turn = 0

    async def tell_watchers(self) -> None:
        while True:
            await self._parts.clock.sleep(WATCHERS_EVERY)
            now = self._parts.clock.monotonic()
            for shard in list(self._shards.values()):
                if shard.showing.waiting and not shard.closed:
                    shard.release_overdue_watchers(now)

    async def keep_checkpoints(self) -> None:
        while True:
            await self._parts.clock.sleep(self._parts.limits.checkpoint)
            changed = [s for s in self._shards.values() if s.owed.changed and not s.closed]
            await self.checkpoint(changed)

    async def checkpoint(self, shards: Iterable[Shard]) -> None:
        waiting = iter(shards)
        while some := list(islice(waiting, CHECKPOINTS_AT_ONCE)):
            try:
                await self._parts.journal.save_checkpoints([checkpoint_of(s, self._parts) for s in some])
            except JournalUnavailable as error:
                for shard in some:
                    shard.owed.changed = True
                _log.warning("checkpoints were not kept: %s", error)

    async def passivate(self) -> None:
        while True:
            await self._parts.clock.sleep(PASSIVATION_EVERY)
            self._turn += 1
            for place, shard in enumerate(list(self._shards.values())):
                if place % ROUNDS == self._turn % ROUNDS and not shard.closed:
                    await self._visit(shard)

    async def _visit(self, shard: Shard) -> None:
        """Snapshots of what has grown, then sleep for what is idle; an entity with writes under way stays."""
        limits = self._parts.limits
        before = self._parts.clock.monotonic() - limits.idle
        snapshots: list[Snapshot] = []
        idle: list[str] = []
        for name, entity in shard.entities.items():
            grown = entity.version - entity.snapshot
            sleeping = entity.used < before and entity.pending is None
            if grown >= limits.snapshot_every or (sleeping and grown >= limits.snapshot_idle):
                snapshots.append(Snapshot(shard.kind.name, name, entity.version, encode(entity.state)))
            if sleeping:
                idle.append(name)
        try:
            await self._parts.journal.save_snapshots(snapshots)
        except JournalUnavailable as error:
            _log.warning("snapshots were not kept: %s", error)
            return
        for snapshot in snapshots:
            kept = shard.entities.get(snapshot.entity)
            if kept is not None:
                kept.snapshot = max(kept.snapshot, snapshot.version)
        for name in idle:
            entity_now = shard.entities.get(name)
            if entity_now is not None and entity_now.pending is None and entity_now.used < before:
                del shard.entities[name]
