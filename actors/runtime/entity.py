"""An entity in memory, a decision on its way to the journal, and a command that waits for its answer."""

from typing import Any

from actors.runtime.ports import Done
from actors.runtime.wire import Body, Envelope, Mode, Record, Result, Status


class Entity:
    """Two states: the committed one, which readers see, and the one ahead, on which the next command is decided.

    Not `proven`: it is believed to be new, and no record has shown it yet.
    """

    __slots__ = ("ahead", "at", "id", "pending", "proven", "snapshot", "state", "used", "version", "waiting")

    def __init__(self, entity: str, state: Any, version: int = 0, at: int = 0, snapshot: int = 0) -> None:
        self.id = entity
        self.state = state
        self.version = version
        self.ahead = state
        self.pending: list[Pending] | None = None
        self.at = at
        self.snapshot = snapshot
        self.used = 0.0
        self.waiting = 0
        self.proven = True


class Work:
    """A command that somebody waits for. `again`: it may have been carried out before."""

    __slots__ = ("again", "done", "envelope")

    def __init__(self, envelope: Envelope, done: Done, again: bool | None = None) -> None:
        self.envelope = envelope
        self.done = done
        self.again = envelope.again if again is None else again


class Pending:
    """A decision that is not committed yet, and everybody whose answer rests on it."""

    __slots__ = (
        "body",
        "dropped",
        "encoded",
        "entity",
        "joined",
        "record",
        "record_id",
        "state",
        "tails",
        "version",
        "work",
    )

    def __init__(self, entity: Entity, work: Work, state: Any, body: Body, encoded: bytes, record_id: bytes) -> None:
        self.entity = entity
        self.work = work
        self.state = state
        self.body = body
        self.encoded = encoded
        self.record_id = record_id
        self.version = entity.version + len(entity.pending or ()) + 1
        self.record: Record | None = None
        self.joined: list[Work] | None = None
        self.tails: list[tuple[Work, bytes]] | None = None
        self.dropped = False

    @property
    def places(self) -> int:
        """How many of the entity's places for shoppers are taken by those who wait for this decision."""
        mine = 0 if self.work.envelope.mode is Mode.MESSAGE else 1
        return mine + len(self.joined or ()) + len(self.tails or ())

    def works(self) -> list[Work]:
        """Everybody who waits, to be decided again from the start."""
        waiting = [Work(self.work.envelope, self.work.done, again=True)]
        waiting.extend(Work(w.envelope, w.done, again=True) for w in self.joined or ())
        waiting.extend(work for work, _ in self.tails or ())
        return waiting


MOVED = Result(Status.MOVED)
UNAVAILABLE = Result(Status.UNAVAILABLE, retry_after=1.0)
OVERLOADED = Result(Status.OVERLOADED, retry_after=1.0)
KEY_REUSED = Result(Status.KEY_REUSED)
FAILED = Result(Status.FAILED)
TOO_OLD = Result(Status.TOO_OLD)
