"""The FastAPI application, which is waited for as long as an answer may take and no longer."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from fastapi import FastAPI

from serve.gateway.call import Call, Message, Receive
from serve.gateway.problems import Problem

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
LATE = "No answer in time: it may be done, or be done yet. Try again; the same Idempotency-Key does nothing twice."


class Answering:
    """An application that does not begin to answer in time is cancelled, as it is when its caller goes away.

    It is not waited for: it may be tidying up in a database that does not answer. Nobody hears what it still says.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._running: set[asyncio.Task[None]] = set()

    async def answer(self, call: Call, method: str) -> None:
        """Raises TimeoutError for what only looks and Problem `unavailable` for what changes something, when it takes
        too long; Problem `body_too_large` or `body_too_slow`, ClientGone."""
        changes = method in CHANGING
        # Only the answer is on the clock: a caller who sends slowly is told so.
        receive = _again(call, await call.body()) if changes else call.limited_receive
        if await self._ran(call, receive, call.bounds.writing if changes else call.bounds.reading):
            return
        if changes:
            raise Problem("unavailable", LATE, headers={"Retry-After": "1"})
        raise TimeoutError

    async def _ran(self, call: Call, receive: Receive, seconds: float) -> bool:
        """Whether it answered, or began to within so many seconds."""
        heard = True

        async def send(message: MutableMapping[str, Any]) -> None:
            if heard:
                await call.send_with_id(message)

        task = asyncio.create_task(self._app(call.scope, receive, send))
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task}, timeout=seconds)
            if not task.done() and not call.status:
                return False
            await task
            return True
        finally:
            heard = False
            task.cancel()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it gets it; else the application has logged it


def _again(call: Call, body: bytes) -> Receive:
    """The body that was read, and then what else comes."""
    read: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return read.pop() if read else await call.limited_receive()

    return receive
