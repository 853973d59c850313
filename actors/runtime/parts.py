"""What the shards of a host share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from actors.journal.base import Journal
from actors.runtime.limits import Limits
from actors.runtime.open_work import Opened
from actors.runtime.ports import Clock, Done, Entropy
from actors.runtime.tasks import Tasks
from actors.runtime.wire import Envelope, Result

if TYPE_CHECKING:
    from actors.runtime.committer import Committer
    from actors.runtime.entity import Work
    from actors.runtime.relay import Relay
    from actors.runtime.shard import Shard


class DatabaseTime:
    """The journal database's clock, carried on by the monotonic one; it never runs backwards."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._base = clock.wall()
        self._read = clock.monotonic()
        self._last = 0

    def learn(self, now: int, asked: float) -> None:
        """The database said `now` (UTC, milliseconds) to a question asked at `asked` (monotonic)."""
        self._base, self._read = now, asked

    def reach(self, at: int) -> None:
        """Something happened at `at` (UTC, milliseconds): it is not earlier now."""
        self._last = max(self._last, at)

    def now(self) -> int:
        now = self._base + int((self._clock.monotonic() - self._read) * 1000)
        self._last = max(self._last, now)
        return self._last


class ReadingLease(Protocol):
    """The host's lease; see lease.py."""

    owner: str

    def valid(self) -> bool: ...


@dataclass
class Parts:
    """One per host; `opened` starts what a committed record asks for, `follow` waits for another entity.

    `relay`: None where the journal itself is the event log.
    """

    limits: Limits
    journal: Journal
    clock: Clock
    entropy: Entropy
    time: DatabaseTime
    tasks: Tasks
    lease: ReadingLease
    committer: "Committer"
    opened: Callable[["Shard", Opened], None]
    follow: Callable[["Work", tuple[str, str], Result], None]
    route: Callable[[Envelope, Done], None]
    relay: "Relay | None" = None
