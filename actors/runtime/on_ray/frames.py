"""What travels between callers and hosts: frames on a stream, each four bytes of length and MessagePack."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any, cast

import msgspec

from actors.runtime.wire import Envelope, Result

# A batch has at most 256 commands, and a shopper's body is far below a megabyte.
LARGEST_FRAME = 256 * 1024 * 1024


class Batch(msgspec.Struct, array_like=True):
    """Commands, each under the number by which its caller knows it. None: is anybody there?"""

    envelopes: list[tuple[int, Envelope]]


class Replies(msgspec.Struct, array_like=True):
    """Results by number. None: somebody is."""

    results: list[tuple[int, Result]]


decode_batch = msgspec.msgpack.Decoder(Batch).decode
decode_replies = msgspec.msgpack.Decoder(Replies).decode


class Framed(asyncio.Protocol, ABC):
    """One end of a connection: hands each whole frame to `frame`. What is no frame ends the connection."""

    largest = LARGEST_FRAME

    def __init__(self) -> None:
        self._read = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    @abstractmethod
    def frame(self, data: bytes) -> None:
        """Raises msgspec.DecodeError if it is not what it should be."""

    def data_received(self, data: bytes) -> None:
        read = self._read
        read += data
        start = 0
        try:
            while len(read) - start >= 4:
                size = int.from_bytes(read[start : start + 4])
                if size > self.largest:
                    raise msgspec.DecodeError("a frame too large")
                end = start + 4 + size
                if len(read) < end:
                    break
                self.frame(bytes(read[start + 4 : end]))
                start = end
        except msgspec.DecodeError:
            self.abort()
            return
        del read[:start]

    def send(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(len(data).to_bytes(4) + data)

    def unsent(self) -> int:
        """Bytes that the other end has not taken yet."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def abort(self, *_: Any) -> None:
        if self.transport is not None:
            self.transport.abort()
