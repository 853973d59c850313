"""An entity as its records make it."""

from typing import Any, NamedTuple

from actors.runtime.wire import SentMessage
from serve.audit.flows import Seen


class Place(NamedTuple):
    """Which record opened a piece of work."""

    shard: int
    seq: int


class Replayed:
    """`events` are kept of orders and payment sessions only; of a stock item the last that tells what is available.

    `open_sends`: messages that their receivers have not recorded. `effects` and `timers`: what has not come back, by
    the id of the command that it would come back as.
    """

    def __init__(self, kind: str, entity: str, state: Any) -> None:
        self.kind = kind
        self.id = entity
        self.state = state
        self.version = 0
        self.at = 0
        self.shard: int | None = None
        self.readable = True
        self.commands: set[str] = set()
        self.events: list[Seen] = []
        self.available: Seen | None = None
        self.open_sends: list[SentMessage] = []
        self.effects: dict[str, Place] = {}
        self.timers: dict[str, tuple[str, Place]] = {}
        self.waits_for_flows = False

    @property
    def name(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def busy(self) -> bool:
        """Something that it asked for, or told, has not been seen to yet."""
        return bool(self.open_sends or self.effects or self.waits_for_flows)

    def events_of(self, kind: type[Any]) -> list[Any]:
        return [seen.event for seen in self.events if isinstance(seen.event, kind)]
