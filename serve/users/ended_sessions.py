"""Which sessions ended lately, looked up in the users' database twice a second."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from actors.runtime.tasks import Tasks
from serve.gateway import clock
from serve.gateway.logs import log
from serve.users.sessions_store import REMEMBERED, SessionsStore

LOOK_EVERY = 0.5


class PolledEndedSessions:
    """Implements `EndedSessions`. What another process ended is known here after `look_every` seconds and a look; what
    this one ends, at once."""

    def __init__(
        self, engine: sa.Engine, *, look_every: float = LOOK_EVERY, now: Callable[[], int] = clock.now_ms
    ) -> None:
        self._store = SessionsStore(engine)
        self._look_every = look_every
        self._now = now
        self._ended: dict[str, int] = {}
        self._position = 0
        self._tasks = Tasks()
        # A thread of its own: when all others are busy, a logged-out session must not live on.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ended-sessions")

    def __contains__(self, session: object) -> bool:
        return session in self._ended

    def add(self, *sessions: str) -> None:
        now = self._now()
        for session in sessions:
            self._ended[session] = now

    async def start(self) -> None:
        """Knows all that ended when it returns, and keeps looking. Raises what the database does."""
        await self.look()
        self._tasks.start(self._run(), "ended sessions")

    async def stop(self) -> None:
        await self._tasks.close()
        await asyncio.to_thread(self._thread.shutdown)

    async def look(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = self._now() - REMEMBERED
        rows = await loop.run_in_executor(self._thread, self._store.ended_after, self._position, oldest)
        for position, session, at in rows:
            self._ended[session] = at
            self._position = position
        while self._ended and (first := next(iter(self._ended.items())))[1] < oldest:
            del self._ended[first[0]]

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._look_every)
            try:
                await self.look()
            except Exception as error:
                # An access token lives for minutes; those that are logged in must not wait for the database's return.
                log().error("ended sessions cannot be read", exc_info=error)
