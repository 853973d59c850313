"""Tells streams that there is something new. Other processes write the notices, so somebody has to look: once for all
streams of this process, and only while there are any.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

LOOK_EVERY = 0.5

log = logging.getLogger("troupe.notices")


class Places(Protocol):
    async def last_place(self) -> int: ...

    async def owners_after(self, place: int) -> tuple[set[str], int]: ...


class Ear:
    """One stream's."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()

    def tell(self) -> None:
        self._heard.set()

    async def news(self, seconds: float) -> None:
        """Returns once there is something new since it last returned, or after a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        self._heard.clear()


class Feed:
    def __init__(self, places: Places, look_every: float = LOOK_EVERY) -> None:
        self._places = places
        self._look_every = look_every
        self._ears: dict[str, set[Ear]] = {}
        self._looking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listening(self, owner: str) -> AsyncIterator[Ear]:
        """What comes to the owner from now on is told to the ear."""
        ear = Ear()
        self._ears.setdefault(owner, set()).add(ear)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield ear
        finally:
            self._ears[owner].discard(ear)
            if not self._ears[owner]:
                del self._ears[owner]
            if not self._ears:
                await self.close()

    async def close(self) -> None:
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    async def _look(self) -> None:
        place: int | None = None
        while True:
            try:
                if place is None:
                    place = await self._places.last_place()
                    owners = set(self._ears)  # whoever began to listen before this look
                else:
                    owners, place = await self._places.owners_after(place)
                for owner in owners:
                    for ear in self._ears.get(owner, ()):
                        ear.tell()
            except Exception:
                log.warning("notices cannot be looked at", exc_info=True)
            await asyncio.sleep(self._look_every)
