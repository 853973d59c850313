"""Work of a detached actor: it begins with its process, so also with the one that Ray puts in place of a dead one.

To be made on the actor's event loop, where Ray runs an async actor's ``__init__``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from serve.opened import Opened

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0

_log = logging.getLogger("troupe")


class SelfStarting:
    """`begin` opens what the work needs; one that fails leaves nothing open and is tried until it succeeds."""

    def __init__(self, name: str, begin: Callable[[Opened], Awaitable[None]]) -> None:
        self._name = name
        self._begin = begin
        self._opened = Opened()
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name=f"start of {name}")

    async def begun(self) -> None:
        """Returns once it has begun. Raises what the first try failed with; it is tried on all the same."""
        await asyncio.shield(self._first)
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Everything is closed, whatever fails; raises what failed last."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._opened.aclose()

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async with Opened() as opened:
                    await self._begin(opened)
                    self._opened = opened.pop_all()
            except Exception as error:
                _log.warning("%s could not begin: %r", self._name, error)
                if not self._first.done():
                    self._first.set_exception(error)
                    # Nobody may be waiting.
                    self._first.exception()
            else:
                if not self._first.done():
                    self._first.set_result(None)
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
