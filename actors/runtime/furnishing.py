"""What an application puts into a host's process, and the hosts that are made of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from actors.journal.base import Journal
from actors.runtime.host import Host
from actors.runtime.kind import Kind
from actors.runtime.limits import Limits
from actors.runtime.ports import Clock, Done, EffectRunner, Entities, Entropy, Publisher
from actors.runtime.wire import Envelope, Record

Post = Callable[[Envelope, Done], None]


class Kept(NamedTuple):
    """Kinds of entity, and the journal that their records stand in."""

    kinds: Mapping[str, Kind]
    journal: Journal


class Contents(Protocol):
    """What hosts are made of. `publisher`: where events go out to; None where the journal itself is the event log."""

    kept: Sequence[Kept]
    runners: Mapping[str, EffectRunner]
    limits: Limits
    publisher: Publisher | None

    def wrote(self, position: int, record: Record) -> None: ...


class Furnishing(Contents, Protocol):
    """That, and what runs beside the hosts."""

    async def start(self, entities: Entities, alone: Callable[[], bool]) -> None: ...

    async def stop(self) -> None: ...


def hosts_of(name: str, contents: Contents, clock: Clock, entropy: Entropy, elsewhere: Post) -> list[Host]:
    """One for each journal; not started yet."""
    return [
        Host(
            name,
            kept.kinds,
            kept.journal,
            clock,
            entropy,
            contents.limits,
            contents.runners,
            elsewhere,
            contents.wrote,
            contents.publisher,
        )
        for kept in contents.kept
    ]
