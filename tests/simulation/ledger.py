"""What callers were told, so that it can be held against what is so: acknowledged replies, and versions seen."""

from typing import NamedTuple

from actors.decision import Message
from actors.runtime.wire import encode
from tests.simulation.world import World

EntityId = tuple[str, str]


class Told(NamedTuple):
    reply: bytes
    version: int


class Ledger:
    """`told`: the first reply to each command id. `floors`: the highest version of an entity that anyone was told of.

    `views`: what an entity was shown as at each version.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.told: dict[tuple[str, str, str], Told] = {}
        self.floors: dict[EntityId, int] = {}
        self.views: dict[EntityId, dict[int, bytes]] = {}
        self.answers = 0

    def floor(self, kind: str, entity: str) -> int:
        return self.floors.get((kind, entity), 0)

    def heard(self, kind: str, entity: str, version: int, floor: int, what: str) -> None:
        """Somebody learned a version; `floor` is what had been acknowledged to anybody before he asked."""
        self.answers += 1
        committed = self._world.database.version_of(kind, entity)
        if version > committed:
            self._world.violate(f"{what} of {kind}/{entity} answered version {version}, committed is {committed}")
        if version < floor:
            self._world.violate(f"{what} of {kind}/{entity} answered version {version} after {floor} was acknowledged")
        self.floors[kind, entity] = max(version, self.floors.get((kind, entity), 0))

    def shown(self, kind: str, entity: str, version: int, view: Message) -> None:
        """Whoever sees a version sees the same."""
        views = self.views.setdefault((kind, entity), {})
        shown = encode(view)
        if views.setdefault(version, shown) != shown:
            self._world.violate(f"version {version} of {kind}/{entity} was shown as {views[version]!r} and {shown!r}")

    def replied(self, kind: str, entity: str, command_id: str, reply: Message, version: int) -> None:
        """The same command id must always be told the same."""
        told = Told(encode(reply), version)
        before = self.told.setdefault((kind, entity, command_id), told)
        if before != told:
            self._world.violate(f"command {command_id} of {kind}/{entity} was told {before}, then {told}")
