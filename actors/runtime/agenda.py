"""Timers of all shards of a host: who is due gets a command, again until it is carried out."""

import asyncio
import heapq
from itertools import count

from actors.runtime.open_work import OpenTimer
from actors.runtime.parts import Parts
from actors.runtime.shard import Shard
from actors.runtime.wire import Envelope, Mode, Result, Status

# Time is looked at this often at least, because the database's clock may move.
LONGEST_WAIT = 1.0
# So many entries may be there before those that no longer count are looked for.
SWEEP_AT = 1024


class Agenda:
    """A heap of what is due when (UTC, milliseconds). Replaced and cleared timers are passed over when they come up."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._due: list[tuple[int, int, Shard, OpenTimer, int]] = []
        self._order = count()
        self._most = SWEEP_AT
        self._changed = asyncio.Event()

    def add(self, shard: Shard, timer: OpenTimer, attempt: int = 0, at: int | None = None) -> None:
        heapq.heappush(self._due, (timer.at if at is None else at, next(self._order), shard, timer, attempt))
        if self._due[0][3] is timer:
            self._changed.set()
        if len(self._due) > self._most:
            self._due = [entry for entry in self._due if _is_set(entry[2], entry[3])]
            heapq.heapify(self._due)
            # Only when it has doubled again: so each entry costs a constant time.
            self._most = max(SWEEP_AT, 2 * len(self._due))

    async def run(self) -> None:
        while True:
            now = self._parts.time.now()
            while self._due and self._due[0][0] <= now:
                _, _, shard, timer, attempt = heapq.heappop(self._due)
                self._fire(shard, timer, attempt)
            wait = LONGEST_WAIT
            if self._due:
                wait = min(wait, max(0.001, (self._due[0][0] - now) / 1000))
            self._changed.clear()
            await _first(self._changed, self._parts, wait)

    def _fire(self, shard: Shard, timer: OpenTimer, attempt: int) -> None:
        if not _is_set(shard, timer):
            return
        envelope = Envelope(
            Mode.MESSAGE,
            shard.kind.name,
            timer.entity,
            timer.command,
            command_id=timer.command_id,
            again=attempt > 0,
        )
        shard.accept(envelope, lambda result: self._answered(shard, timer, attempt, result))

    def _answered(self, shard: Shard, timer: OpenTimer, attempt: int, result: Result) -> None:
        if result.status not in (Status.OK, Status.REPEATED) and not shard.closed:
            limits = self._parts.limits
            delay = min(limits.retry_first * 2 ** min(attempt, 20), limits.retry_most)
            self.add(shard, timer, attempt + 1, self._parts.time.now() + int(delay * 1000) + 1)


def _is_set(shard: Shard, timer: OpenTimer) -> bool:
    return not shard.closed and shard.owed.timers.get((timer.entity, timer.name)) is timer


async def _first(changed: asyncio.Event, parts: Parts, seconds: float) -> None:
    """Until something changes, but not longer than `seconds` by the port's clock."""
    waiting = asyncio.ensure_future(changed.wait())
    sleeping = asyncio.ensure_future(parts.clock.sleep(seconds))
    try:
        await asyncio.wait((waiting, sleeping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        sleeping.cancel()
