"""The host's side of the way: what came in batches is answered in batches.

Replies that are ready soon travel back with the call that brought their commands; later ones leave with a call that
the caller keeps standing. So no command waits for a slower one that happened to travel with it.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import msgspec

from actors.runtime.ports import Done
from actors.runtime.wire import Envelope, Result, encode

# How long a batch waits for its first reply before the rest is left to the standing call.
FIRST_REPLY = 0.02
# How long a standing call stands when there is nothing to tell.
STANDING = 5.0
# A caller not heard of for so long is gone, and its replies with it.
FORGET = 60.0


class Batch(msgspec.Struct, array_like=True):
    """Commands, each under the number by which its caller knows it."""

    envelopes: list[tuple[int, Envelope]]


class Replies(msgspec.Struct, array_like=True):
    """Results by number. `incarnation`: a host that forgot its numbers has another one."""

    incarnation: str
    results: list[tuple[int, Result]]


decode_batch = msgspec.msgpack.Decoder(Batch).decode
decode_replies = msgspec.msgpack.Decoder(Replies).decode


class Box:
    """The replies that wait for one caller. While a delivery waits, the standing call leaves them to it.

    `name`: the host's incarnation and which box of it this is, since a caller not heard of for long has lost one.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: list[tuple[int, Result]] = []
        self.heard = 0.0
        self._deliveries = 0
        self._standing = 0
        self._for_delivery = asyncio.Event()
        self._for_standing = asyncio.Event()

    def put(self, number: int, result: Result) -> None:
        self.ready.append((number, result))
        (self._for_delivery if self._deliveries else self._for_standing).set()

    def take(self) -> list[tuple[int, Result]]:
        ready, self.ready = self.ready, []
        self._for_delivery.clear()
        self._for_standing.clear()
        return ready

    async def deliver(self, seconds: float) -> list[tuple[int, Result]]:
        if not self.ready:
            self._deliveries += 1
            try:
                await _wait(self._for_delivery, seconds)
            finally:
                self._deliveries -= 1
                if self.ready and not self._deliveries:
                    self._for_standing.set()
        # What the same commit made ready was put here in the same turn of the loop.
        return self.take()

    async def collect(self, seconds: float) -> list[tuple[int, Result]]:
        self._standing += 1
        mine = self._standing
        if not self.ready:
            await _wait(self._for_standing, seconds)
        # Nobody listens to an earlier call any more: the caller has only one at a time.
        return self.take() if mine == self._standing else []


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


class Mailroom:
    """Takes batches to `accept` and keeps the replies of each caller apart."""

    def __init__(self, incarnation: str, accept: Callable[[Envelope, Done], None]) -> None:
        self._incarnation = incarnation
        self._accept = accept
        self._boxes: dict[str, Box] = {}
        self._made = 0

    def _box(self, caller: str) -> Box:
        box = self._boxes.get(caller)
        if box is None:
            self._forget()
            self._made += 1
            box = self._boxes[caller] = Box(f"{self._incarnation}/{self._made}")
        box.heard = asyncio.get_running_loop().time()
        return box

    def _forget(self) -> None:
        now = asyncio.get_running_loop().time()
        for caller in [c for c, box in self._boxes.items() if now - box.heard > FORGET]:
            del self._boxes[caller]

    async def deliver(self, caller: str, data: bytes) -> bytes:
        """Takes a batch; answers with what is ready once anything is, for this caller."""
        box = self._box(caller)
        for number, envelope in decode_batch(data).envelopes:
            self._accept(envelope, partial(box.put, number))
        return encode(Replies(box.name, await box.deliver(FIRST_REPLY)))

    async def collect(self, caller: str) -> bytes:
        """Answers with later replies as soon as there are any."""
        box = self._box(caller)
        return encode(Replies(box.name, await box.collect(STANDING)))
