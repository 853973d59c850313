"""Where events stand that flows read, and how far these have come."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from actors.kinds import KINDS
from pipelines.log.base import Happened
from pipelines.log.cloud_events import TOPICS


class Place(NamedTuple):
    """`text` for people. `partition`: what follows the name of a flow in that of its progress here, if anything."""

    text: str
    partition: str
    position: int


def in_the_databases(happened: Happened) -> Place | None:
    """Where an event stands without Kafka: entities' in their journal, others in their service's outbox."""
    log = "journal" if happened.kind in KINDS else f"outbox of {TOPICS[happened.kind]}"
    index = f".{happened.index}" if happened.index else ""
    return Place(f"{log} {happened.position}{index}", "", happened.position)


class Reached(NamedTuple):
    """By flow: every event up to its position is done with, and those of `ahead`; `letters` it gave up on.

    `groups`: flows that run, whether or not they have come anywhere.
    """

    positions: dict[str, int]
    ahead: frozenset[tuple[str, str]]
    letters: frozenset[tuple[str, str]]
    place: Callable[[Happened], Place | None] = in_the_databases
    groups: frozenset[str] = frozenset()

    @property
    def flows(self) -> frozenset[str]:
        """Those that run in this shop."""
        return self.groups | {name.partition("@")[0] for name in self.positions}

    def done(self, flow: str, happened: Happened) -> bool:
        """Whether the flow is done with an event of its log, and did not put it aside."""
        mine = (flow, happened.id)
        return (mine in self.ahead or self._passed(flow, happened)) and mine not in self.letters

    def _passed(self, flow: str, happened: Happened) -> bool:
        place = self.place(happened)
        return place is not None and self.positions.get(flow + place.partition, -1) >= place.position


class _Tagged(msgspec.Struct):
    type: str


_tag = msgspec.msgpack.Decoder(_Tagged)


def name_of(message: bytes) -> str:
    """``OrderPlaced`` of an encoded OrderPlaced/1."""
    return _tag.decode(message).type.partition("/")[0]
