"""The event log of the embedded profile: the SQL journal, read in order of position."""

import asyncio
from collections import deque

from actors.journal.base import Journal, Logged
from actors.runtime.wire import Note, Record, body_of
from pipelines.log.base import Happened

KEPT = 20_000
# Other processes write into the same journal: their records are seen by looking.
LOOK_EVERY = 0.05


class Tail:
    """The newest records that this process has committed, so that they need not be read back."""

    def __init__(self) -> None:
        self._kept: deque[Logged] = deque(maxlen=KEPT)
        self.grown = asyncio.Event()

    def append(self, position: int, record: Record) -> None:
        """Positions arrive in order. One that is not known (0), or a gap, makes what came before useless."""
        if not position or (self._kept and position != self._kept[-1].position + 1):
            self._kept.clear()
        if position:
            self._kept.append(Logged(position, record))
        self.grown.set()

    def after(self, position: int, limit: int) -> list[Logged] | None:
        """None: what follows `position` is not all here."""
        if not self._kept or position < self._kept[0].position - 1:
            return None
        skipped = position - self._kept[0].position + 1
        return [self._kept[n] for n in range(skipped, min(len(self._kept), skipped + limit))]


class JournalLog:
    """Implements `EventLog`. `alone`: nobody else writes, so the tail is all there is to look at.

    `look_every`: how often, in seconds, others' records are looked for.
    """

    def __init__(
        self, journal: Journal, tail: Tail | None = None, alone: bool = False, look_every: float = LOOK_EVERY
    ) -> None:
        self._look_every = look_every
        self._journal = journal
        self._tail = tail or Tail()
        self._alone = alone

    async def read(self, after: int, limit: int) -> list[Happened]:
        """As `EventLog.read`. Raises JournalUnavailable."""
        while True:
            found = self._tail.after(after, limit)
            if not found and not (self._alone and found is not None):
                found = await self._journal.log(after, limit)
            if not found:
                return []
            events = [event for logged in found for event in _events(logged)]
            if events:
                return events
            # Claims and answers without events: nobody's news, so look behind them.
            after = found[-1].position

    async def wait(self, after: int, seconds: float) -> None:
        """Until something may be there, as `EventLog.wait`."""
        if self._tail.after(after, 1):
            return
        self._tail.grown.clear()
        try:
            async with asyncio.timeout(seconds if self._alone else min(seconds, self._look_every)):
                await self._tail.grown.wait()
        except TimeoutError:
            return


def _events(logged: Logged) -> list[Happened]:
    record = logged.record
    body = body_of(record)
    if body.note is not Note.DECISION or not body.events:
        return []
    return [
        Happened(logged.position, record.kind, record.entity, record.version, index, body.at, event)
        for index, event in enumerate(body.events)
    ]
