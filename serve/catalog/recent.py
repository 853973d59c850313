"""Answers of a moment ago, so that a product everyone looks at is read twice a second and not a thousand times."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from serve.catalog.schemas import CatalogRefused

FRESH_SECONDS = 0.5


class _Entry:
    __slots__ = ("answer", "at", "generation", "making")

    def __init__(self) -> None:
        self.answer: bytes | CatalogRefused = b""
        self.at = float("-inf")
        self.generation: object = None
        self.making = asyncio.Lock()


class Recent:
    """Keeps at most `limit` encoded answers for `FRESH_SECONDS`, or until `generation()` is another object."""

    def __init__(
        self, generation: Callable[[], object], *, limit: int = 4_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._generation = generation
        self._limit = limit
        self._clock = clock
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    async def get(self, key: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """The answer under `key`, made by `make` if there is none fresh; those who ask meanwhile wait for the same one.

        Raises `CatalogRefused` when `make` does; that is remembered too.
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
            if len(self._entries) > self._limit:
                self._entries.popitem(last=False)
        if not self._fresh(entry):
            async with entry.making:
                if not self._fresh(entry):
                    await self._make(entry, make)
        if isinstance(entry.answer, CatalogRefused):
            raise entry.answer.again()
        return entry.answer

    def _fresh(self, entry: _Entry) -> bool:
        return entry.generation is self._generation() and self._clock() - entry.at < FRESH_SECONDS

    async def _make(self, entry: _Entry, make: Callable[[], Awaitable[bytes]]) -> None:
        at, generation = self._clock(), self._generation()
        try:
            answer: bytes | CatalogRefused = await make()
        except CatalogRefused as refused:
            answer = refused.again()  # without its traceback, which would keep every frame alive
        entry.answer, entry.at, entry.generation = answer, at, generation
