"""A host's clocks on virtual time: a wall clock that may be anywhere, a monotonic one that drifts a little."""

import asyncio
from random import Random

EPOCH = 1_790_000_000_000
"""When a simulation begins, UTC in milliseconds."""

DRIFT = 2e-4


class SimulatedClock:
    """Implements Clock. `drift` of the monotonic clock is within what a synchronised machine shows."""

    def __init__(self, loop: asyncio.AbstractEventLoop, chance: Random, spread_ms: int = 0) -> None:
        self._loop = loop
        self._rate = 1 + chance.uniform(-DRIFT, DRIFT)
        self._start = chance.uniform(0, 1e6)
        self._offset = chance.randint(-spread_ms, spread_ms)

    def wall(self) -> int:
        return EPOCH + self._offset + int(self._loop.time() * 1000)

    def monotonic(self) -> float:
        return self._start + self._loop.time() * self._rate

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._rate)

    def jump(self, milliseconds: int) -> None:
        """Somebody sets the wall clock."""
        self._offset += milliseconds
