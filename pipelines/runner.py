"""Runs a flow: events in, one handler, each event handled at least once and, per entity, in order.

Handlers are idempotent by the event's id, so how far a flow has come is saved lazily. What goes wrong for a reason that
passes is tried for as long as it takes; what goes wrong otherwise is buried as a dead letter after some tries, and in
an ordered flow the later events of that entity are buried behind it until somebody asks for another try.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

from sqlalchemy.exc import OperationalError

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock, Overloaded, Unavailable
from actors.runtime.tasks import Tasks
from pipelines import metrics
from pipelines.flow import Flow, GivenUp
from pipelines.log.base import EventLog, Happened
from pipelines.positions import until_saved
from pipelines.progress import DeadLetter, Progress
from pipelines.sql.retrying import is_away
from pipelines.wanted import Types

PASSING = (Overloaded, Unavailable, TimeoutError, ConnectionError, OperationalError)
WAIT_SECONDS = 1.0
SAVE_EVENTS = 500
LONGEST_PAUSE = 5.0

log = logging.getLogger("troupe.flows")

Key = tuple[str, str]
Place = tuple[int, int]


class _Failed(NamedTuple):
    error: Exception
    attempts: int


class _Job(NamedTuple):
    happened: Happened
    event: Any
    letter: bool = False


class FlowRunner:
    """Runs one flow from its stored position until stopped."""

    def __init__(
        self,
        flow: Flow,
        events: EventLog,
        progress: Progress,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.flow = flow
        self._log = events
        self._progress = progress
        self._clock = clock or SystemClock()
        self._limits = flow.limits
        self._types = Types(flow.reads)
        self._tasks = Tasks()
        self._slots = asyncio.Semaphore(self._limits.in_flight)
        self._chains: dict[Key, deque[_Job]] = {}
        self._open: dict[Place, Happened] = {}
        self._ahead: dict[Place, Happened] = {}
        self._known: frozenset[str] = frozenset()
        self._letters: dict[Key, int] = {}
        self._replaying: set[Key] = set()
        self._read_to = 0
        self._saved = (-1, 0)
        self._unsaved = 0
        self._moved = asyncio.Event()
        self._handled = metrics.HANDLED.labels(flow.name)
        self._save_now = asyncio.Event()

    async def start(self) -> None:
        """Load where the flow stands and go on from there."""
        reached = await self._progress.load(self.flow.name)
        self._read_to = reached.position
        self._known = reached.ahead
        self._letters = dict.fromkeys(reached.blocked, 1)
        self._tasks.start(self._read_all(), f"flow-{self.flow.name}-read")
        self._tasks.start(self._save_all(), f"flow-{self.flow.name}-save")

    async def stop(self) -> None:
        """Drop what is under way (it is handled again after the next start) and save what is done."""
        await self._tasks.close()
        await self._save()

    @property
    def position(self) -> int:
        """Every event up to here is done with."""
        return next(iter(self._open.values())).position - 1 if self._open else self._read_to

    def lag(self) -> float:
        """Seconds since the oldest event that was read and is not done with; 0 if there is none."""
        if not self._open:
            return 0.0
        return max(0.0, (self._clock.wall() - next(iter(self._open.values())).at) / 1000)

    async def reached(self, position: int) -> None:
        """Returns once every event up to `position` is done with; the caller sets the deadline."""
        while self.position < position:
            self._moved.clear()
            await self._moved.wait()

    async def _read_all(self) -> None:
        failures = 0
        more = True
        while True:
            try:
                if not more:
                    await self._log.wait(self._read_to, WAIT_SECONDS)
                batch = await self._log.read(self._read_to, self._limits.batch)
                failures = 0
            except Exception:
                log.warning("flow %s: the event log cannot be read", self.flow.name, exc_info=True)
                await self._clock.sleep(_pause(failures))
                failures += 1
                continue
            for happened in batch:
                # Not further: events that share a position may end one before the other is admitted.
                self._read_to = max(self._read_to, happened.position - 1)
                if (event := self._types.decode(happened)) is not None:
                    await self._admit(happened, event)
            if batch:
                self._read_to = batch[-1].position
            more = len(batch) >= self._limits.batch
            self._moved.set()

    async def _admit(self, happened: Happened, event: Any) -> None:
        while len(self._open) >= self._limits.outstanding:
            self._moved.clear()
            await self._moved.wait()
        if self._known and happened.id in self._known:
            self._ahead[_place(happened)] = happened
            return
        self._open[_place(happened)] = happened
        self._enqueue(self._key(happened), _Job(happened, event))

    def _key(self, happened: Happened) -> Key:
        return (happened.kind, happened.entity) if self.flow.ordered else (happened.id, "")

    def _enqueue(self, key: Key, job: _Job) -> None:
        chain = self._chains.get(key)
        if chain is None:
            self._chains[key] = deque((job,))
            self._tasks.start(self._work(key), f"flow-{self.flow.name}")
        else:
            chain.append(job)

    async def _work(self, key: Key) -> None:
        chain = self._chains[key]
        while chain:
            job = chain.popleft()
            await (self._replay(key, job) if job.letter else self._settle(key, job))
        del self._chains[key]

    async def _settle(self, key: Key, job: _Job) -> None:
        happened = job.happened
        entity = (happened.kind, happened.entity)
        if self.flow.ordered and entity in self._letters:
            await self._bury(happened, "stands behind an earlier dead letter", wanted=key in self._replaying)
        elif (failed := await self._try(job)) is not None:
            await self._bury(happened, f"{type(failed.error).__name__}: {failed.error}", attempts=failed.attempts)
        del self._open[_place(happened)]
        self._ahead[_place(happened)] = happened
        self._unsaved += 1
        if self._unsaved >= SAVE_EVENTS:
            self._save_now.set()
        self._moved.set()
        self._handled.inc()

    async def _replay(self, key: Key, job: _Job) -> None:
        """The letters of an entity in order; at the first that fails again the rest stays buried too."""
        happened = job.happened
        entity = (happened.kind, happened.entity)
        earlier = _Failed(RuntimeError("an earlier letter failed again"), 0)
        failed = await self._try(job) if key in self._replaying else earlier
        if failed is not None:
            self._replaying.discard(key)
            letter = self._letter(happened, repr(failed.error), attempts=failed.attempts)
            await self._persist(lambda: self._progress.bury(self.flow.name, letter))
            return
        await self._persist(lambda: self._progress.exhume(self.flow.name, happened.id))
        if not any(other.letter for other in self._chains[key]):
            self._replaying.discard(key)
            # Whether others were buried meanwhile is looked up: the count here is not kept by entity on disk.
            await self._persist(lambda: self._look_for_letters(entity))
        log.info("flow %s: %s of %s was replayed", self.flow.name, happened.id, entity)

    async def _look_for_letters(self, entity: Key) -> None:
        # Of this entity only: letters of others may be on their way to the disk just now.
        if entity not in (await self._progress.load(self.flow.name)).blocked:
            self._letters.pop(entity, None)

    async def _try(self, job: _Job) -> _Failed | None:
        """None once handled; the last error if it never will be."""
        if isinstance(job.event, Exception):
            return _Failed(job.event, 1)
        rounds = failures = 0
        while True:
            try:
                async with self._slots, asyncio.timeout(self._limits.handler_seconds):
                    await self.flow.handle(job.happened, job.event)
            except GivenUp as error:
                return _Failed(error, failures + 1)
            except Exception as error:
                if passes(error):
                    log.warning("flow %s: %s waits: %r", self.flow.name, job.happened.id, error)
                    await self._clock.sleep(_pause(rounds))
                    rounds += 1
                    continue
                failures += 1
                if failures >= self._limits.tries:
                    return _Failed(error, failures)
                log.warning("flow %s: %s failed", self.flow.name, job.happened.id, exc_info=True)
            else:
                return None
            # The slot is free meanwhile: what waits must not keep others from going.
            await self._clock.sleep(_pause(rounds))
            rounds += 1

    def _letter(self, happened: Happened, error: str, wanted: bool = False, attempts: int = 0) -> DeadLetter:
        return DeadLetter(happened, error, self._clock.wall(), wanted, attempts)

    async def _bury(self, happened: Happened, error: str, wanted: bool = False, attempts: int = 0) -> None:
        log.error("flow %s: %s is a dead letter: %s", self.flow.name, happened.id, error)
        self._letters[(happened.kind, happened.entity)] = 1
        letter = self._letter(happened, error, wanted, attempts)
        await self._persist(lambda: self._progress.bury(self.flow.name, letter))
        metrics.DEAD_LETTERS.labels(self.flow.name).inc()

    async def _persist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Until it is written: going on without it would lose an event."""
        rounds = 0
        while True:
            try:
                return await write()
            except Exception:
                log.warning("flow %s: progress cannot be written", self.flow.name, exc_info=True)
            await self._clock.sleep(_pause(rounds))
            rounds += 1

    async def _save_all(self) -> None:
        while True:
            self._save_now.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(until_saved(asyncio.get_running_loop().time())):
                    await self._save_now.wait()
            try:
                await self._save()
                await self._begin_replays()
            except Exception:
                log.warning("flow %s: progress cannot be saved", self.flow.name, exc_info=True)
            metrics.LAG.labels(self.flow.name).set(self.lag())

    async def _save(self) -> None:
        position = self.position
        self._ahead = {name: one for name, one in self._ahead.items() if one.position > position}
        if (position, len(self._ahead)) == self._saved:
            return
        self._unsaved = 0
        saved = (position, len(self._ahead))
        await self._progress.save(self.flow.name, position, list(self._ahead.values()))
        self._saved = saved

    async def _begin_replays(self) -> None:
        if not self._letters:
            return
        groups: dict[Key, list[_Job]] = {}
        for letter in await self._progress.wanted(self.flow.name, self.flow.ordered):
            happened = letter.happened
            groups.setdefault(self._key(happened), []).append(_Job(happened, self._types.decode(happened), letter=True))
        for key, jobs in groups.items():
            if key not in self._replaying:
                self._replaying.add(key)
                for job in jobs:
                    self._enqueue(key, job)


def passes(error: Exception) -> bool:
    """Whether an error has a reason that passes: the event waits, and is not given up on."""
    return isinstance(error, PASSING) or is_away(error)


def _place(happened: Happened) -> Place:
    return (happened.position, happened.index)


def _pause(rounds: int) -> float:
    """Seconds before the next try: 50 ms doubled, up to five seconds."""
    return min(0.05 * (1 << min(rounds, 10)), LONGEST_PAUSE)
