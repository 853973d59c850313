"""The event log of the embedded profile: the SQL journal, read in order of position."""

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path

from actors.journal.base import Journal, Logged
from actors.runtime.wire import Record
from pipelines.log.base import Happened
from pipelines.log.cloud_events import events_of
from pipelines.log.resting import LONGEST, Resting

KEPT = 20_000
# Other processes write into the same journal: their records are seen by looking.
LOOK_EVERY = 0.05


class Tail:
    """The newest records that this process has committed, so that they need not be read back.

    Behind `base` nothing is missing of what this process knows of; None: not known from where on.
    """

    def __init__(self) -> None:
        self._kept: deque[Logged] = deque()
        self._base: int | None = None
        self.grown = asyncio.Event()

    def append(self, position: int, record: Record) -> None:
        """Positions arrive in order. One that is not known (0), or a gap, makes what came before useless."""
        if self._base is None or position != self._base + len(self._kept) + 1:
            self._kept.clear()
            self._base = position - 1 if position else None
        if position:
            self._kept.append(Logged(position, record))
            if len(self._kept) > KEPT:
                self._base = self._kept.popleft().position
        self.grown.set()

    def ends_at(self, position: int) -> None:
        """The journal was read to its end, which is here, and nothing was committed since."""
        if self._base is None:
            self._base = position

    def forget(self) -> None:
        """Others may have written: what follows is not all here."""
        self._kept.clear()
        self._base = None

    def after(self, position: int, limit: int) -> list[Logged] | None:
        """None: what follows `position` is not all here."""
        if self._base is None or position < self._base:
            return None
        skipped = position - self._base
        return [self._kept[n] for n in range(skipped, min(len(self._kept), skipped + limit))]


def _never() -> bool:
    return False


class JournalLog:
    """Implements `EventLog`. `alone` says whether nobody else can write now: then the tail is all there is to look at.

    `look_every`: how often, in seconds, others' records are looked for; less often while the journal's `file` rests.
    """

    def __init__(
        self,
        journal: Journal,
        tail: Tail | None = None,
        alone: Callable[[], bool] = _never,
        look_every: float = LOOK_EVERY,
        file: Path | None = None,
    ) -> None:
        self._resting = Resting(file)
        self._look_every = look_every
        self._journal = journal
        self._tail = tail or Tail()
        self._alone = alone
        self._was_alone = False

    async def read(self, after: int, limit: int) -> list[Happened]:
        """As `EventLog.read`. Raises JournalUnavailable."""
        alone = self._alone()
        if alone and not self._was_alone:
            # Until now another could write: the journal is looked at once more, from where the reader stands.
            self._tail.forget()
        self._was_alone = alone
        while True:
            found = self._tail.after(after, limit)
            if not found and not (found is not None and alone):
                found = await self._journal.log(after, limit)
                if not found:
                    self._tail.ends_at(after)
            if not found:
                return []
            events = [event for logged in found for event in events_of(logged.record, logged.position)]
            if events:
                return events
            # Claims and answers without events: nobody's news, so look behind them.
            after = found[-1].position

    async def wait(self, after: int, seconds: float) -> None:
        """Until something may be there, as `EventLog.wait`."""
        if self._tail.after(after, 1):
            return
        self._tail.grown.clear()
        until = asyncio.get_running_loop().time() + min(seconds, LONGEST)
        while not await self._grown(seconds if self._alone() else min(seconds, self._look_every)):
            if not self._resting() or asyncio.get_running_loop().time() >= until:
                return

    async def _grown(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._tail.grown.wait()
        except TimeoutError:
            return False
