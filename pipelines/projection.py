"""Keeps a read model at the latest state: many events become one write.

Each event tells something of one key, and a write carries for each key what all its events told, with the place of the
last one as its version. The read model compares versions, so writing again after a crash changes nothing, and no inbox
is needed. An entity's own version would not do: a write may end in the middle of a decision, whose events share one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from actors.decision import Message
from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from actors.runtime.tasks import Tasks
from pipelines import metrics
from pipelines.log.base import EventLog, Happened
from pipelines.positions import until_saved
from pipelines.progress import Progress
from pipelines.wanted import Types

Value = TypeVar("Value")

BATCH = 1000
LOOK_SECONDS = 1.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

log = logging.getLogger("troupe.flows")


class Versioned(NamedTuple, Generic[Value]):
    version: int
    value: Value


def newest(older: Value, newer: Value) -> Value:
    return newer


@dataclass(frozen=True)
class Projection(Generic[Value]):
    """`tells` makes of an event what is written about its entity, `merge` one of an older and a newer.

    `seconds`: how long a change may be kept back so that others join it. `write` must be idempotent by version.
    """

    name: str
    reads: Mapping[str, tuple[type[Message], ...]]
    tells: Callable[[Any], Value]
    write: Callable[[Mapping[str, Versioned[Value]]], Awaitable[None]]
    merge: Callable[[Value, Value], Value] = newest
    seconds: float = 0.25


def gather(
    projection: Projection[Value], gathered: dict[str, Versioned[Value]], happened: Happened, event: Any
) -> None:
    """Adds what an event tells to what was gathered before. Events of one entity come in the order of places."""
    told = projection.tells(event)
    before = gathered.get(happened.entity)
    if before is not None:
        told = projection.merge(before.value, told)
    gathered[happened.entity] = Versioned(happened.place, told)


class ProjectionRunner(Generic[Value]):
    """Runs one projection from its stored position until stopped."""

    def __init__(
        self, projection: Projection[Value], events: EventLog, progress: Progress, *, clock: Clock | None = None
    ) -> None:
        self.projection = projection
        self._log = events
        self._progress = progress
        self._clock = clock or SystemClock()
        self._types = Types(projection.reads)
        self._tasks = Tasks()
        self._gathered: dict[str, Versioned[Value]] = {}
        self._read_to = 0
        self._written_to = 0
        self._saved = -1
        self._wrote_at = 0.0
        self._handled = metrics.HANDLED.labels(projection.name)
        self._moved = asyncio.Event()

    async def start(self) -> None:
        """Load where the projection stands and go on from there."""
        self._read_to = self._written_to = (await self._progress.load(self.projection.name)).position
        self._tasks.start(self._run(), f"projection-{self.projection.name}")
        self._tasks.start(self._save_all(), f"projection-{self.projection.name}-save")

    async def stop(self) -> None:
        """What was read and not written is read again after the next start."""
        await self._tasks.close()
        await self._save()

    @property
    def position(self) -> int:
        """Every event up to here is written."""
        return self._written_to

    async def reached(self, position: int) -> None:
        """Returns once every event up to `position` is written; the caller sets the deadline."""
        while self.position < position:
            self._moved.clear()
            await self._moved.wait()

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._step()
                pause = FIRST_PAUSE
            except Exception:
                # Whatever it is, what was gathered is kept and written later: a projection skips nothing.
                log.warning("projection %s waits", self.projection.name, exc_info=True)
                await self._clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _step(self) -> None:
        # What cannot be written yet is not added to.
        events = await self._log.read(self._read_to, BATCH) if len(self._gathered) < BATCH else []
        for happened in events:
            self._take(happened)
        if events:
            self._read_to = events[-1].position
        # Also in time: where something happens all the time no read is ever empty.
        late = self._clock.monotonic() - self._wrote_at >= self.projection.seconds
        if self._gathered and (late or not events or len(self._gathered) >= BATCH):
            await self._write()
        if not self._gathered:
            self._written_to = self._read_to
            self._moved.set()
        if not events:
            await self._log.wait(self._read_to, LOOK_SECONDS)
            # Not at each commit: what comes now is read together.
            await self._clock.sleep(self.projection.seconds)

    async def _save_all(self) -> None:
        while True:
            await asyncio.sleep(until_saved(asyncio.get_running_loop().time()))
            try:
                await self._save()
            except Exception:
                log.warning("projection %s: progress cannot be saved", self.projection.name, exc_info=True)

    async def _save(self) -> None:
        position = self._written_to
        if position != self._saved:
            await self._progress.save(self.projection.name, position, ())
            self._saved = position

    def _take(self, happened: Happened) -> None:
        event = self._types.decode(happened)
        if event is None:
            return
        if isinstance(event, Exception):
            log.error("projection %s cannot read %s: %s", self.projection.name, happened.id, event)
            return
        self._handled.inc()
        gather(self.projection, self._gathered, happened, event)

    async def _write(self) -> None:
        await self.projection.write(self._gathered)
        self._gathered = {}
        self._wrote_at = self._clock.monotonic()
