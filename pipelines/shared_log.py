"""One tail of the event log for all flows of a process, so that each event is read once and not once a flow."""

import asyncio
from bisect import bisect_right
from operator import attrgetter

from pipelines.log.base import EventLog, Happened

_position = attrgetter("position")


class SharedLog:
    """An EventLog in front of another. A flow that is far behind reads past it until it has caught up."""

    def __init__(self, inner: EventLog, kept: int = 8192) -> None:
        self._inner = inner
        self._kept = kept
        self._after = -1  # the tail covers every event with self._after < position <= self._to
        self._to = -1
        self._tail: list[Happened] = []
        self._reading = asyncio.Lock()
        self._waiting: asyncio.Task[None] | None = None

    async def read(self, after: int, limit: int) -> list[Happened]:
        if self._after <= after < self._to:
            return self._piece(after, limit)
        async with self._reading:
            if after < self._after:
                return await self._inner.read(after, limit)
            if after > self._to:
                self._after = self._to = after
                self._tail.clear()
            if after == self._to:
                await self._extend(limit)
            return self._piece(after, limit)

    def _piece(self, after: int, limit: int) -> list[Happened]:
        """About `limit` events: those of one record share a position and are never parted."""
        start = bisect_right(self._tail, after, key=_position)
        if len(self._tail) - start <= limit:
            return self._tail[start:]
        return self._tail[start : bisect_right(self._tail, self._tail[start + limit - 1].position, key=_position)]

    async def _extend(self, limit: int) -> None:
        new = await self._inner.read(self._to, limit)
        if not new:
            return
        self._tail.extend(new)
        self._to = new[-1].position
        if len(self._tail) > 2 * self._kept:
            self._after = self._tail[-self._kept - 1].position
            del self._tail[: bisect_right(self._tail, self._after, key=_position)]

    async def wait(self, after: int, seconds: float) -> None:
        if after < self._to:
            return
        if self._waiting is None or self._waiting.done():
            self._waiting = asyncio.create_task(self._inner.wait(self._to, seconds), name="event-log-wait")
        # A flow that stops, or waits no longer, must not end the wait of the others; this leaves it alone.
        await asyncio.wait([self._waiting], timeout=seconds)

    async def close(self) -> None:
        """End the wait that is under way; the inner log is its owner's to close."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.wait([self._waiting])
