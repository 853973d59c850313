"""Tasks that somebody owns: none is lost to the garbage collector, none outlives its owner, no error is silent."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger("troupe.runtime")


class Tasks:
    """A set of running tasks."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    def start(self, coroutine: Coroutine[Any, Any, Any], name: str) -> None:
        if self._closed:
            coroutine.close()
            return
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task %s failed", task.get_name(), exc_info=error)

    def __len__(self) -> int:
        return len(self._running)

    async def close(self) -> None:
        """Cancels all and waits until they are gone."""
        self._closed = True
        for task in self._running:
            task.cancel()
        while self._running:
            await asyncio.wait(list(self._running))
