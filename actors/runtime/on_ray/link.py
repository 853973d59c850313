"""The caller's side of the way to one host actor."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from actors.runtime.on_ray.frames import Batch, Framed, decode_replies
from actors.runtime.on_ray.reception import Endpoint
from actors.runtime.ports import Done
from actors.runtime.tasks import Tasks
from actors.runtime.wire import Envelope, Mode, Result, Status, encode

_log = logging.getLogger("troupe.runtime")

BATCH = 256
# How long it may take to learn where the host is and to reach it; a host that recovers its shards takes a while.
REACH_SECONDS = 20.0
# A host that says nothing for so long, though asked whether it is there, is cut off without an error.
SILENCE_SECONDS = 10.0
ASK_EVERY = 2.0
# Beyond this many unanswered commands shoppers are refused at once; the runtime's own messages are not.
UNANSWERED = 20_000
PAUSE = 0.1

_BROKEN = Result(Status.UNAVAILABLE, retry_after=1.0)
_FULL = Result(Status.OVERLOADED, retry_after=1.0)


class Connection(Framed):
    """To one incarnation of a host; `lost` is done when it is over."""

    def __init__(self, token: bytes, hand_out: Callable[[int, Result], None]) -> None:
        super().__init__()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard = asyncio.get_running_loop().time()
        self._token = token
        self._hand_out = hand_out

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.send(self._token)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def frame(self, data: bytes) -> None:
        self.heard = asyncio.get_running_loop().time()
        for number, result in decode_replies(data).results:
            self._hand_out(number, result)


class RayLink:
    """Posts envelopes to a host in batches and hands out its replies.

    `find` says where the actor of that name listens, asked anew for each connection, since it may have been ended and
    another started; it raises LookupError if there is none. Then the link is `gone`.
    """

    def __init__(self, tasks: Tasks, find: Callable[[], Awaitable[Endpoint]]) -> None:
        self.gone = False
        self._find = find
        self._waiting: dict[int, Done] = {}
        self._outbox: list[tuple[int, Envelope]] = []
        self._number = 0
        self._connection: Connection | None = None
        self._leaving = False
        tasks.start(self._keep_connected(), "connection to a host")

    def post(self, envelope: Envelope, done: Done) -> None:
        if self.gone:
            done(_BROKEN)
        elif len(self._waiting) >= UNANSWERED and envelope.mode is not Mode.MESSAGE:
            done(_FULL)
        else:
            self._number += 1
            self._waiting[self._number] = done
            self._outbox.append((self._number, envelope))
            if self._connection is not None and not self._leaving:
                # A turn of the loop later, so that what arrives in it travels together.
                self._leaving = True
                asyncio.get_running_loop().call_soon(self._leave)

    def _leave(self) -> None:
        self._leaving = False
        if self._connection is not None:
            outbox, self._outbox = self._outbox, []
            for start in range(0, len(outbox), BATCH):
                self._connection.send(encode(Batch(outbox[start : start + BATCH])))

    async def _keep_connected(self) -> None:
        try:
            while not self.gone:
                await self._connect()
                self._give_up()
                if not self.gone:
                    await asyncio.sleep(PAUSE)
        finally:
            self.gone = True
            self._give_up()

    async def _connect(self) -> None:
        """Returns when there is no connection any more, or none could be made."""
        try:
            async with asyncio.timeout(REACH_SECONDS):
                address, port, token = await self._find()
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(lambda: Connection(token, self._answer), address, port)
        except LookupError:
            self.gone = True
            return
        except Exception as error:
            _log.info("a host cannot be reached: %s", type(error).__name__)
            return
        self._connection = connection
        try:
            self._leave()
            await self._until_lost(connection)
        finally:
            self._connection = None
            connection.abort()

    async def _until_lost(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        while not connection.lost.done() and loop.time() - connection.heard < SILENCE_SECONDS:
            connection.send(encode(Batch([])))
            await asyncio.wait([connection.lost], timeout=ASK_EVERY)

    def _give_up(self) -> None:
        """What was sent may or may not have been carried out; the host has forgotten whom it owes replies."""
        self._outbox.clear()
        for number in list(self._waiting):
            self._answer(number, _BROKEN)

    def _answer(self, number: int, result: Result) -> None:
        done = self._waiting.pop(number, None)
        if done is not None:
            done(result)
