"""The event log port: everything that happened to entities, in one order that never changes."""

from typing import NamedTuple, Protocol

DECISION_BITS = 16
"""Of a place: enough for all events of one decision."""


class Happened(NamedTuple):
    """One event. `at` is UTC in milliseconds, `event` the encoded message, `index` its place in its decision."""

    position: int
    kind: str
    entity: str
    version: int
    index: int  # type: ignore[assignment]  # hides a method of tuples that nobody needs here
    at: int
    event: bytes

    @property
    def place(self) -> int:
        """Grows with each event of an entity; its version does not, since all events of a decision have the same."""
        return (self.version << DECISION_BITS) | self.index

    @property
    def id(self) -> str:
        """The event's id everywhere: in inboxes, in command ids, in published events."""
        return f"{self.kind}/{self.entity}/{self.version}/{self.index}"


class EventLog(Protocol):
    """Events by position. Positions grow but have gaps; all events of one decision share one."""

    async def read(self, after: int, limit: int) -> list[Happened]:
        """Events behind `after`, in order, about `limit` of them; empty only if none are there now."""
        ...

    async def wait(self, after: int, seconds: float) -> None:
        """Returns when something may stand behind `after`, or after `seconds`."""
        ...
