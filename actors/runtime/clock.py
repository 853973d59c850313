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
    """The machine's randomness."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def token(self) -> bytes:
        return os.urandom(16)

    def fraction(self) -> float:
        return self._random.random()
