"""What travels between callers and hosts, and what is stored: records and their parts."""

from enum import IntEnum

import msgspec

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode


class SentMessage(msgspec.Struct, array_like=True, frozen=True):
    """A message as its sender's record keeps it."""

    kind: str
    entity: str
    message: bytes
    creates: bool = False


class TimerNote(msgspec.Struct, array_like=True, frozen=True):
    """A timer set (`at` in UTC milliseconds) or, with `at` 0, cleared."""

    name: str
    at: int
    command: bytes = b""


class Note(IntEnum):
    """What a record is about."""

    DECISION = 0
    CLAIM = 1
    RELEASE = 2


class Body(msgspec.Struct, array_like=True, frozen=True):
    """A decision as it is stored; `at` is UTC in milliseconds."""

    at: int
    note: Note = Note.DECISION
    fingerprint: bytes = b""
    reply: bytes = b""
    events: tuple[bytes, ...] = ()
    sends: tuple[SentMessage, ...] = ()
    timers: tuple[TimerNote, ...] = ()
    effects: tuple[bytes, ...] = ()


class Record(msgspec.Struct, array_like=True, frozen=True):
    """One decision, numbered in its shard; claims and releases have no entity."""

    record_id: bytes
    kind: str
    shard: int
    seq: int
    epoch: int
    entity: str
    version: int
    command_id: str
    body: bytes


_body = msgspec.msgpack.Decoder(Body)


def body_of(record: Record) -> Body:
    return _body.decode(record.body)


class Mode(IntEnum):
    """How an envelope is to be treated: a shopper's command, a read, a wait, or one of the runtime's own messages."""

    ASK = 0
    READ = 1
    WATCH = 2
    MESSAGE = 3


class Envelope(msgspec.Struct, array_like=True):
    """A command on its way. `number` is the version asked for (READ) or to get beyond (WATCH; -1: until settled).

    `again`: it may have been carried out before, so look first. `keyed`: its answer must be kept. `seconds`: how
    long its caller waits. `at`: when a message's record was decided (UTC, milliseconds).
    """

    mode: Mode
    kind: str
    entity: str
    command: bytes = b""
    command_id: str = ""
    fingerprint: bytes = b""
    creates: bool = False
    again: bool = False
    keyed: bool = False
    follow: bool = False
    number: int = 0
    seconds: float = 10.0
    at: int = 0


class Status(IntEnum):
    """How an envelope fared. All but the first two leave the caller to try again or give up."""

    OK = 0
    REPEATED = 1
    MOVED = 2
    UNAVAILABLE = 3
    OVERLOADED = 4
    KEY_REUSED = 5
    FAILED = 6
    TOO_OLD = 7


class Result(msgspec.Struct, array_like=True):
    """The outcome of an envelope. `kind` is whose reply it is: with `follow` another than was asked."""

    status: Status
    reply: bytes = b""
    version: int = 0
    kind: str = ""
    retry_after: float = 0.0
