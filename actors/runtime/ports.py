"""What the runtime touches comes through here, so that a simulation can stand in for all of it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from actors.decision import Message
from actors.runtime.wire import Envelope, Record, Result


class Answer(NamedTuple):
    """What an entity answered. `repeated`: the command had been carried out before, this is its first reply."""

    reply: Message
    version: int
    repeated: bool = False


class Overloaded(Exception):
    """Too much is waiting for this entity or host; ask again after `retry_after` seconds."""

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__(f"overloaded, try again in {retry_after:g} s")
        self.retry_after = retry_after


class Unavailable(Exception):
    """Nobody answered in time; the command may or may not have been carried out: repeat it with the same id."""

    def __init__(self, detail: str = "nobody answered in time", retry_after: float = 1.0) -> None:
        super().__init__(f"{detail}, try again in {retry_after:g} s")
        self.retry_after = retry_after


class KeyReused(Exception):
    """A command id came again with another content."""


class CommandFailed(Exception):
    """The rules raised: a defect. Nothing was changed."""


class Entities(Protocol):
    """The caller's side of the runtime."""

    async def ask(
        self,
        kind: str,
        entity: str,
        command: Message,
        *,
        command_id: str | None = None,
        fingerprint: bytes = b"",
        seconds: float = 10.0,
        creates: bool = False,
        follow: bool = False,
    ) -> Answer:
        """Carries out a command effectively once per `command_id` (None: a new one).

        `creates`: the entity's id was just made, so nothing need be read first. `follow`: if the reply names
        another entity, answer with that one's view once it is settled, or as it is at the deadline.
        Raises Overloaded, Unavailable, KeyReused, CommandFailed.
        """
        ...

    async def read(self, kind: str, entity: str, *, at_least: int = 0, seconds: float = 5.0) -> Answer:
        """The committed view; version 0 if the entity never was. Raises Overloaded, Unavailable."""
        ...

    async def watch(self, kind: str, entity: str, *, beyond: int | None = None, seconds: float) -> Answer:
        """The view once its version is above `beyond` (None: once it is settled), or as it is at the deadline."""
        ...


class Clock(Protocol):
    """Time. `wall` is UTC in milliseconds and only a first guess: hosts keep the database's time."""

    def wall(self) -> int: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class Entropy(Protocol):
    """Where record ids, owner ids and the jitter of retries come from."""

    def token(self) -> bytes:
        """16 random bytes."""
        ...

    def fraction(self) -> float:
        """Uniform in [0, 1)."""
        ...


class EffectRunner(Protocol):
    """Carries out the effects of one kind."""

    async def run(self, request: Message) -> Message:
        """The command that tells the entity how it ended. Raises when that isn't known: it is run again."""
        ...


Done = Callable[[Result], None]


class Link(Protocol):
    """The way to one host."""

    def post(self, envelope: Envelope, done: Done) -> None:
        """Delivers; `done` is called once, with a retryable result when the way is broken."""
        ...


class Way(Protocol):
    """Where each shard is, and the way there."""

    def link(self, kind: str, shard: int) -> Link | None:
        """None: nobody is known to have it now."""
        ...

    async def refresh(self) -> None:
        """Learns who has which shard."""
        ...


class Publisher(Protocol):
    """The way into the event log, for a host's relay."""

    async def publish(self, records: Sequence[Record]) -> None:
        """Makes the events of these records known, those of an entity in order.

        They are durable when this returns. When it raises nobody knows which of them are: publish them again.
        """
        ...

    async def close(self) -> None: ...
