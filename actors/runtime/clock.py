"""The real clock and entropy, and the database's time as a host carries it on."""

import asyncio
import os
import random
import time


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SystemEntropy:
    """The machine's randomness, fetched in larger pieces: each fetch is a system call that lets other threads run."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()
        self._pool = b""
        self._used = 0

    def token(self) -> bytes:
        if self._used + 16 > len(self._pool):
            self._pool, self._used = os.urandom(4096), 0
        self._used += 16
        return self._pool[self._used - 16 : self._used]

    def fraction(self) -> float:
        return self._random.random()
