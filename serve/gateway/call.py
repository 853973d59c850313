"""One HTTP request as ASGI gives it: reading its body within bounds, sending its answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import aclosing, suppress
from typing import Any, NamedTuple, cast

from serve.gateway.browsers import Browsers
from serve.gateway.ended_sessions import NONE_ENDED, EndedSessions
from serve.gateway.problems import Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Header = tuple[bytes, bytes]

NO_STORE = (b"cache-control", b"no-store")
MAX_BODY = 1_000_000
BODY_SECONDS = 20.0
LOOK_EVERY = 1.0
"""Seconds between looks whether the session of a stream has ended."""
LAST_SECONDS = 1.0
READ_SECONDS = 8.0
"""Longer than an entity's move to another host takes; much shorter than a database's own patience."""
WRITE_SECONDS = 8.0
"""Shorter than a refresh token may come again (10 s): who is told to repeat its exchange must still be able to."""
_END = {"type": "http.response.body", "body": b""}


class Bounds(NamedTuple):
    """What holds for all requests: the largest body in bytes, what browsers are told, and how long looking may take.

    `reading`: seconds that a GET waits for what it asks. A lean route that changes something is never given up so,
    since what became of it would be unknown; it has deadlines of its own where it waits. `writing`: seconds after which
    the caller of another one is told that it is unknown.
    """

    max_body: int = MAX_BODY
    browsers: Browsers = Browsers()
    reading: float = READ_SECONDS
    writing: float = WRITE_SECONDS


USUAL = Bounds()


class ClientGone(Exception):
    """The caller went away before its request was whole: there is nobody to answer."""


class Call:
    """One request as ASGI gives it, and what is known of its answer."""

    __slots__ = (
        "authorization",
        "bounds",
        "complete",
        "extra",
        "forwarded",
        "length",
        "origin",
        "receive",
        "received",
        "request_id",
        "scope",
        "send",
        "session",
        "status",
        "tells_id",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request_id: str,
        authorization: bytes | None,
        forwarded: bytes | None,
        tells_id: bool = True,
        bounds: Bounds = USUAL,
        origin: bytes | None = None,
        length: bytes | None = None,
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.request_id = request_id
        self.authorization = authorization
        self.forwarded = forwarded
        self.tells_id = tells_id
        self.bounds = bounds
        self.origin = origin
        self.length = length
        self.extra: list[Header] = []
        self.session = ""
        self.status = 0
        self.complete = False
        self.received = 0

    def check_length(self) -> None:
        """Raises Problem `body_too_large` when the caller announces more than is taken."""
        # A number of twenty digits is too large whatever it is, and long ones take long to read.
        if self.length is not None and (
            not self.length.isdigit() or len(self.length) > 19 or int(self.length) > self.bounds.max_body
        ):
            raise self._too_large()

    async def body(self) -> bytes:
        """Raises Problem `body_too_large` or `body_too_slow`, ClientGone."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                message = await self.limited_receive()
                body = bytearray(message.get("body", b""))
                while message.get("more_body", False):
                    message = await self.limited_receive()
                    body += message.get("body", b"")
        except TimeoutError:
            raise Problem("body_too_slow", f"The body must arrive within {BODY_SECONDS:.0f} s.") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        return bytes(body)

    async def limited_receive(self) -> Message:
        message = await self.receive()
        self.received += len(message.get("body", b""))
        if self.received > self.bounds.max_body:
            raise self._too_large()
        return message

    def headers(self, own: Iterable[Header]) -> list[Header]:
        """An answer's own headers and those that every answer has; what a token opened is not for caches."""
        headers = self.bounds.browsers.headers(own, self.origin)
        headers += self.extra
        if self.tells_id:
            headers.append((b"x-request-id", self.request_id.encode("ascii")))
        if self.authorization is not None and not any(name == b"cache-control" for name, _ in headers):
            headers.append(NO_STORE)
        return headers

    def _too_large(self) -> Problem:
        return Problem("body_too_large", f"At most {self.bounds.max_body} bytes.")

    async def send_with_id(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": self.headers(message.get("headers", ()))}
        await self.send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True


async def stream(call: Call, pieces: AsyncIterator[bytes], ended: EndedSessions = NONE_ENDED) -> None:
    """Sends the pieces until they end, the caller goes away or its session is among the `ended`; then the source is
    closed."""

    async def send_pieces() -> None:
        async with aclosing(cast(Any, pieces)):
            async for piece in pieces:
                await call.send({"type": "http.response.body", "body": piece, "more_body": True})
            await call.send(_END)

    async def until_gone() -> None:
        while (await call.receive())["type"] != "http.disconnect":
            pass

    async def until_ended() -> None:
        while call.session not in ended:  # noqa: ASYNC110 (it stands in another process's database)
            await asyncio.sleep(LOOK_EVERY)

    tasks = {asyncio.create_task(send_pieces()), asyncio.create_task(until_gone())}
    over = asyncio.create_task(until_ended()) if call.session else None
    if over is not None:
        tasks.add(over)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if done == {over}:
        # Whoever reads nothing any more is not waited for.
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await call.send(_END)
