"""For flows that only carry the latest: many events become one write."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

from actors.runtime.ports import Clock

Value = TypeVar("Value")


class Versioned(NamedTuple, Generic[Value]):
    version: int
    value: Value


def newest(older: Value, newer: Value) -> Value:
    return newer


class Gathering(Generic[Value]):
    """Keeps what comes for each key for `seconds` after the first, then writes all at once.

    `merge` makes one value of an older and a newer one; the version is the higher one's.
    """

    def __init__(
        self,
        write: Callable[[Mapping[str, Versioned[Value]]], Awaitable[None]],
        clock: Clock,
        seconds: float,
        merge: Callable[[Value, Value], Value] = newest,
    ) -> None:
        self._write = write
        self._clock = clock
        self._seconds = seconds
        self._merge = merge
        self._pending: dict[str, Versioned[Value]] = {}
        self._written: asyncio.Future[None] | None = None

    async def put(self, key: str, version: int, value: Value) -> None:
        """Returns once this was written. Raises what the write raised, or ConnectionError if it was stopped."""
        known = self._pending.get(key)
        if known is None:
            self._pending[key] = Versioned(version, value)
        elif known.version <= version:
            self._pending[key] = Versioned(version, self._merge(known.value, value))
        else:
            self._pending[key] = Versioned(known.version, self._merge(value, known.value))
        if self._written is not None:
            await asyncio.shield(self._written)
            return
        written = self._written = asyncio.get_running_loop().create_future()
        await self._lead(written)

    async def _lead(self, written: asyncio.Future[None]) -> None:
        """The first of a round waits and writes for all of it, so that no task is left behind when it is cancelled."""
        try:
            try:
                await self._clock.sleep(self._seconds)
            finally:
                batch, self._pending, self._written = self._pending, {}, None
            await self._write(batch)
        except BaseException as failed:
            passed_on = failed if isinstance(failed, Exception) else ConnectionError("the writer was stopped")
            written.set_exception(passed_on)
            written.exception()  # looked at: there may be nobody else in this round
            raise
        written.set_result(None)
