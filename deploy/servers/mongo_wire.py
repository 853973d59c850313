"""As much of MongoDB's protocol as it takes to start a replica set: one command, one answer."""

import struct
from typing import Any

from deploy.servers.server import Tls, connected, receive

OP_MSG = 2013
Document = dict[str, Any]


def encode(document: Document) -> bytes:
    """BSON of a document of strings, numbers, booleans, lists and documents. Raises TypeError for anything else."""
    body = b"".join(_element(name.encode() + b"\0", value) for name, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _element(name: bytes, value: Any) -> bytes:
    match value:
        case bool():
            return b"\x08" + name + bytes([value])
        case int():
            return b"\x12" + name + struct.pack("<q", value)
        case float():
            return b"\x01" + name + struct.pack("<d", value)
        case str():
            text = value.encode() + b"\0"
            return b"\x02" + name + struct.pack("<i", len(text)) + text
        case dict():
            return b"\x03" + name + encode(value)
        case list():
            return b"\x04" + name + encode({str(index): one for index, one in enumerate(value)})
    raise TypeError(f"{type(value).__name__} is not written")


def decode(data: bytes) -> Document:
    """A document from BSON; dates, ids and binary, not wanted here, become None. Raises ValueError for other types."""
    found: Document = {}
    at = 4
    while data[at]:
        kind = data[at]
        end = data.index(b"\0", at)
        name = data[at + 1 : end].decode()
        found[name], at = _value(kind, data, end + 1)
    return found


def _value(kind: int, data: bytes, at: int) -> tuple[Any, int]:
    if kind in (0x07, 0x09, 0x11, 0x0A, 0xFF, 0x7F):
        return None, at + {0x07: 12, 0x09: 8, 0x11: 8}.get(kind, 0)
    if kind == 0x08:
        return bool(data[at]), at + 1
    if kind in (0x01, 0x10, 0x12):
        form = {0x01: "<d", 0x10: "<i", 0x12: "<q"}[kind]
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    (length,) = struct.unpack_from("<i", data, at)
    if kind == 0x02:
        return data[at + 4 : at + 3 + length].decode(), at + 4 + length
    if kind == 0x05:
        return None, at + 5 + length
    if kind in (0x03, 0x04):
        inner = decode(data[at : at + length])
        return (inner if kind == 0x03 else list(inner.values())), at + length
    raise ValueError(f"type {kind} is not read")


def command(port: int, document: Document, tls: Tls | None = None) -> Document:
    """Runs a command on the database admin and returns the answer. Raises OSError, EOFError; waits 5 s."""
    body = struct.pack("<iB", 0, 0) + encode({**document, "$db": "admin"})
    with connected(port, 5, tls) as connection:
        connection.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, OP_MSG) + body)
        (length,) = struct.unpack("<i", receive(connection, 4))
        return decode(receive(connection, length - 4)[12 + 5 :])
