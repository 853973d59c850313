"""The caller's side of the way to one host actor."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from actors.runtime.on_ray.mailroom import Batch, decode_replies
from actors.runtime.ports import Done
from actors.runtime.tasks import Tasks
from actors.runtime.wire import Envelope, Mode, Result, Status, encode

_log = logging.getLogger("troupe.runtime")

# While so many calls are under way the next batch gathers.
CALLS = 2
BATCH = 256
# A Ray call that is not answered by then is given up; the host may be cut off without an error.
CALL_SECONDS = 20.0
# Beyond this many unanswered commands shoppers are refused at once; the runtime's own messages are not.
UNANSWERED = 20_000
PAUSE = 0.1

_BROKEN = Result(Status.UNAVAILABLE, retry_after=1.0)
_FULL = Result(Status.OVERLOADED, retry_after=1.0)


class RayLink:
    """Posts envelopes to a host actor in batches and hands out its replies.

    `find` gets the actor of that name anew, since it may have been ended and another started; it raises ValueError if
    there is none. Then the link is `gone`.
    """

    def __init__(self, actor: Any, caller: str, tasks: Tasks, find: Callable[[], Any]) -> None:
        self.gone = False
        self._actor = actor
        self._find = find
        self._caller = caller
        self._waiting: dict[int, Done] = {}
        self._outbox: list[tuple[int, Envelope]] = []
        self._number = 0
        self._calls = 0
        self._incarnation = ""
        self._tasks = tasks
        tasks.start(self._collect(), "collect replies")

    def post(self, envelope: Envelope, done: Done) -> None:
        if len(self._waiting) >= UNANSWERED and envelope.mode is not Mode.MESSAGE:
            done(_FULL)
            return
        self._number += 1
        self._waiting[self._number] = done
        self._outbox.append((self._number, envelope))
        if self._calls < CALLS:
            self._calls += 1
            self._tasks.start(self._deliver(), "deliver commands")

    async def _deliver(self) -> None:
        try:
            while self._outbox:
                # One turn of the loop, so that what arrives in it travels together.
                await asyncio.sleep(0)
                batch, self._outbox = self._outbox[:BATCH], self._outbox[BATCH:]
                if batch:
                    await self._call(batch)
        finally:
            self._calls -= 1

    async def _call(self, batch: list[tuple[int, Envelope]]) -> None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                self._hand_out(await self._actor.deliver.remote(self._caller, encode(Batch(batch))))
        except Exception as error:
            # The host is gone, or cut off: these commands may or may not have been carried out. What was lost may
            # have told of earlier ones too.
            _log.info("a batch got no answer: %s", type(error).__name__)
            self._give_up()

    async def _collect(self) -> None:
        while not self.gone:
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    self._hand_out(await self._actor.collect.remote(self._caller))
            except Exception as error:
                _log.info("no replies to collect: %s", type(error).__name__)
                self._give_up()
                await asyncio.sleep(PAUSE)
                await self._find_again()

    async def _find_again(self) -> None:
        try:
            self._actor = await asyncio.to_thread(self._find)
        except ValueError:
            self.gone = True
        except Exception as error:
            _log.info("the host cannot be looked for: %s", type(error).__name__)

    def _hand_out(self, data: bytes) -> None:
        replies = decode_replies(data)
        if replies.incarnation != self._incarnation:
            if self._incarnation:
                self._give_up(but=[number for number, _ in replies.results])
            self._incarnation = replies.incarnation
        for number, result in replies.results:
            self._answer(number, result)

    def _give_up(self, but: list[int] | None = None) -> None:
        """The host has forgotten whom it owes replies; what is still in the outbox it has not seen yet."""
        kept = {number for number, _ in self._outbox}.union(but or ())
        for number in [number for number in self._waiting if number not in kept]:
            self._answer(number, _BROKEN)

    def _answer(self, number: int, result: Result) -> None:
        done = self._waiting.pop(number, None)
        if done is not None:
            done(result)
