"""The host's side of the way: takes commands from whoever knows its token, and answers each as soon as it can.

A socket of its own, since a Ray call costs more than the command that it would carry. Ray says where it is and hands
out the token, so only who may call the actor can talk to it here.
"""

import asyncio
import hmac
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec

from actors.runtime.on_ray.frames import Framed, Replies, decode_batch
from actors.runtime.ports import Done
from actors.runtime.wire import Envelope, Result, encode

# Who has not shown the token by then is sent away.
GREETING_SECONDS = 5.0
# Callers ask every two seconds whether anybody is there: one that says nothing for so long is gone without a word.
SILENT_SECONDS = 30.0
# A caller that takes its replies so slowly loses the connection; it asks again what it still wants to know.
LARGEST_BACKLOG = 64 * 1024 * 1024

Accept = Callable[[Envelope, Done], None]


class Endpoint(NamedTuple):
    """Where a host listens, and what to say first."""

    address: str
    port: int
    token: bytes


class Reception:
    """`accept` takes each command with where its reply goes."""

    def __init__(self, accept: Accept, token: bytes) -> None:
        self._accept = accept
        self._token = token
        self._visitors: set[Visitor] = set()
        self._server: asyncio.Server | None = None

    async def open(self, address: str) -> Endpoint:
        """Listens on a free port of this address. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Visitor(self._accept, self._token, self._visitors), address, 0)
        return Endpoint(address, self._server.sockets[0].getsockname()[1], self._token)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for visitor in list(self._visitors):
                visitor.abort()
            await self._server.wait_closed()


class Visitor(Framed):
    """One caller's connection. Replies of one turn of the loop, so of one commit, leave together."""

    def __init__(self, accept: Accept, token: bytes, all_of_them: "set[Visitor]") -> None:
        super().__init__()
        self.largest = len(token)
        self._accept = accept
        self._token = token
        self._all = all_of_them
        self._known = False
        self._ready: list[tuple[int, Result]] = []
        self._leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._all.add(self)
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        self._late = loop.call_later(GREETING_SECONDS, self.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        self._all.discard(self)

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        super().data_received(data)

    def frame(self, data: bytes) -> None:
        if not self._known:
            self._greet(data)
            return
        envelopes = decode_batch(data).envelopes
        if not envelopes:
            self.send(encode(Replies([])))
        for number, envelope in envelopes:
            self._accept(envelope, partial(self._put, number))

    def _greet(self, token: bytes) -> None:
        if not hmac.compare_digest(token, self._token):
            # Ends the reading of what came with it, too.
            raise msgspec.DecodeError("a wrong token")
        self._late.cancel()
        self._late = asyncio.get_running_loop().call_later(SILENT_SECONDS, self._look)
        self._known = True
        self.largest = Framed.largest

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._heard > SILENT_SECONDS:
            self.abort()
        else:
            self._late = loop.call_later(SILENT_SECONDS, self._look)

    def _put(self, number: int, result: Result) -> None:
        self._ready.append((number, result))
        if not self._leaving:
            self._leaving = True
            asyncio.get_running_loop().call_soon(self._leave)

    def _leave(self) -> None:
        self._leaving = False
        ready, self._ready = self._ready, []
        if self.unsent() > LARGEST_BACKLOG:
            self.abort()
        else:
            self.send(encode(Replies(ready)))
