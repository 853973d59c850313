"""An HTTP/1.1 client that costs the load generator as little as Python can: one connection, one request at a time."""

import asyncio
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import httptools

KEPT = frozenset({b"location", b"retry-after", b"x-guest-token"})


class Response(NamedTuple):
    """An answer; of its headers, only those that the load generator looks at (names in lower case)."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class ConnectionBroken(Exception):
    """The connection ended, or the answer was not HTTP, before the whole answer was there."""


class _Exchange(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[Response] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []

    @property
    def usable(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._fail(str(exc) if exc is not None else "closed by the server")

    def on_message_begin(self) -> None:
        self._headers = {}
        self._body = []

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in KEPT:
            self._headers[name] = value

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            return
        answer, self.answer = self.answer, None
        if not self._parser.should_keep_alive() and self.transport is not None:
            self.transport.close()
        if answer is not None and not answer.done():
            answer.set_result(Response(status, self._headers, b"".join(self._body)))

    def _fail(self, why: str) -> None:
        answer, self.answer = self.answer, None
        if answer is not None and not answer.done():
            answer.set_exception(ConnectionBroken(why))
        if self.transport is not None:
            self.transport.abort()


class Client:
    """One keep-alive connection to one server, opened when first needed and again after it broke.

    A request is never sent twice: the caller is told that the connection broke, and counts it.
    """

    def __init__(self, url: str, seconds: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"only http:// is measured, not {url}")
        self._host, self._port = parts.hostname, parts.port or 80
        self._tail = f" HTTP/1.1\r\nHost: {parts.netloc}\r\n".encode()
        self._seconds = seconds
        self._exchange: _Exchange | None = None

    async def request(
        self, method: bytes, path: bytes, body: bytes | None = None, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> Response:
        """Sends a request and waits for the whole answer. Raises ConnectionBroken, TimeoutError (seconds given)."""
        head = [method, b" ", path, self._tail]
        for name, value in headers:
            head += (name, b": ", value, b"\r\n")
        if body is None:
            head.append(b"\r\n")
        else:
            head.append(b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            head.append(body)
        try:
            async with asyncio.timeout(self._seconds):
                exchange = await self._connected()
                answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
                exchange.answer = answer
                assert exchange.transport is not None
                exchange.transport.write(b"".join(head))
                return await answer
        except BaseException:
            # Whatever else comes over this connection would be the answer to a request that nobody waits for.
            self.close()
            raise

    async def _connected(self) -> _Exchange:
        if self._exchange is None or not self._exchange.usable:
            try:
                loop = asyncio.get_running_loop()
                _, self._exchange = await loop.create_connection(_Exchange, self._host, self._port)
            except OSError as error:
                raise ConnectionBroken(str(error)) from error
        return self._exchange

    def close(self) -> None:
        """Drops the connection."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None and exchange.transport is not None:
            exchange.transport.abort()
