"""Brings entities to life, and looks up commands that may have been carried out before.

While one is being looked after its commands queue here in the order in which they came, the runtime's own first.
"""

import logging
from collections import deque
from typing import TYPE_CHECKING

from actors.journal.base import JournalUnavailable
from actors.runtime.entity import FAILED, MOVED, UNAVAILABLE, Entity, Work
from actors.runtime.wire import Mode, Result, body_of

if TYPE_CHECKING:
    from actors.runtime.shard import Shard

_log = logging.getLogger("troupe.runtime")


class Queue:
    """The commands that wait for one entity; messages, timers and effects go before shoppers."""

    __slots__ = ("first", "then")

    def __init__(self) -> None:
        self.first: deque[Work] = deque()
        self.then: deque[Work] = deque()

    def append(self, work: Work) -> None:
        (self.first if work.envelope.mode is Mode.MESSAGE else self.then).append(work)

    def put_back(self, works: list[Work]) -> None:
        for work in reversed(works):
            (self.first if work.envelope.mode is Mode.MESSAGE else self.then).appendleft(work)

    def pop(self) -> Work | None:
        if self.first:
            return self.first.popleft()
        return self.then.popleft() if self.then else None

    def __len__(self) -> int:
        return len(self.first) + len(self.then)


class Waking:
    """The entities of one shard that are being loaded or looked up."""

    def __init__(self, shard: "Shard") -> None:
        self._shard = shard
        self._queues: dict[str, Queue] = {}

    def __contains__(self, entity: str) -> bool:
        return entity in self._queues

    def __len__(self) -> int:
        return len(self._queues)

    def waiting(self, entity: str) -> int:
        queue = self._queues.get(entity)
        return len(queue.then) if queue else 0

    def add(self, work: Work) -> None:
        entity = work.envelope.entity
        queue = self._queues.get(entity)
        if queue is None:
            queue = self._start(entity)
        queue.append(work)

    def put_back(self, entity: str, works: list[Work]) -> None:
        """These are to be decided again, before all that came later."""
        queue = self._queues.get(entity)
        if queue is None:
            queue = self._start(entity)
        queue.put_back(works)

    def _start(self, entity: str) -> Queue:
        queue = self._queues[entity] = Queue()
        self._shard.parts.tasks.start(self._run(entity, queue), f"wake {self._shard.kind.name}/{entity}")
        return queue

    def close(self, result: Result = MOVED) -> None:
        for queue in self._queues.values():
            while (work := queue.pop()) is not None:
                work.done(result)

    async def _run(self, entity: str, queue: Queue) -> None:
        result = UNAVAILABLE
        try:
            while queue:
                await self._next(entity, queue)
        except JournalUnavailable as error:
            _log.info("%s/%s could not be read: %s", self._shard.kind.name, entity, error)
        except Exception:
            result = FAILED
            raise
        finally:
            del self._queues[entity]
            while (work := queue.pop()) is not None:
                work.done(MOVED if self._shard.closed else result)

    async def _next(self, entity_id: str, queue: Queue) -> None:
        shard = self._shard
        entity = shard.entities.get(entity_id)
        if entity is None:
            loaded = await self._load(entity_id)
            if shard.closed:
                return
            entity = shard.entities.setdefault(entity_id, loaded)
        work = queue.pop()
        if work is None:
            return
        if work.again and not shard.knows(work):
            try:
                record = await shard.parts.journal.record_of_command(
                    shard.kind.name, entity_id, work.envelope.command_id
                )
            except BaseException:
                # Also when the host ends just now: whoever waits for this is told, as all in the queue are.
                queue.put_back([work])
                raise
            if shard.closed:
                work.done(MOVED)
                return
            if record is not None:
                shard.answer_again(work, body_of(record), record.version)
                return
            work.again = False
            if shard.entities.get(entity_id) is not entity:
                queue.put_back([work])
                return
        shard.handle(entity, work)

    async def _load(self, entity_id: str) -> Entity:
        kind = self._shard.kind
        snapshot, records = await self._shard.parts.journal.load(kind.name, entity_id)
        version = at = 0
        state = kind.initial(entity_id)
        if snapshot is not None:
            version, state = snapshot.version, kind.state_of(snapshot.state)
        for record in records:
            body = body_of(record)
            for event in body.events:
                state = kind.apply(state, kind.event(event))
            version, at = record.version, max(at, body.at)
        return Entity(entity_id, state, version, at, snapshot.version if snapshot else 0)
