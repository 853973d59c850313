"""Records what staff change: `serve.gateway.recording.StaffLog` over the store and the services' looks."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from serve.changes.store import ChangeStore
from serve.gateway import clock
from serve.gateway.recording import Begun

LOOK_SECONDS = 2.0
LONGEST_PATH = 500

Look = Callable[[str], Awaitable[Any]]


class Recording:
    """`looks`: by the beginning of a path, how to see what the rest names: {"/api/admin/stock": stock.read}.

    A look must leave out personal data: what is recorded here stays.
    """

    def __init__(self, store: ChangeStore, looks: Mapping[str, Look], now: Callable[[], int] = clock.now_ms) -> None:
        self._store = store
        self._looks = {f"{start}/": look for start, look in looks.items()}
        self._now = now

    async def begin(self, who: str, method: str, path: str, request_id: str) -> Begun:
        before = await self._seen(path)
        number = await self._store.began(self._now(), who, method, path[:LONGEST_PATH], request_id, before)
        return Begun(number, path)

    async def end(self, change: Begun, status: int) -> None:
        await self._store.ended(change.number, self._now(), status, await self._seen(change.path))

    async def _seen(self, path: str) -> Any:
        """What the path is about; None if there is no such thing, or it cannot be seen in time."""
        for start, look in self._looks.items():
            if not path.startswith(start):
                continue
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    return msgspec.to_builtins(await look(unquote(path[len(start) :].partition("/")[0])))
            except Exception:
                # There is no such thing yet, or its service is away: the change itself will say so.
                return None
        return None
