"""An event loop on virtual time: when nothing is ready, time jumps to the next timer. Nothing real is waited for.

What runs belongs to a process (a context variable, inherited by everything that it starts). A process that dies simply
runs no more, as after kill -9: no exception, no `finally`. One that stalls is held back and goes on later.
"""

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context, ContextVar
from itertools import count
from random import Random
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

TURNS_WITHOUT_TIME = 200_000
PRUNE = 2_000


class Deadlock(Exception):
    """Nothing is ready and no timer is set: what still waits waits for ever."""


class Livelock(Exception):
    """Callbacks go on and on while time stands still."""


class Process:
    """What dies or stalls as one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.stalled = False
        self.held: list[asyncio.Handle] = []
        self.context = Context()
        self.context.run(PROCESS.set, self)


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class _Task(asyncio.Task[Any]):
    """Hashed by its number, so that sets of tasks have the same order in each run."""

    def __init__(self, number: int, coroutine: Any, **options: Any) -> None:
        self._number = number
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.BaseEventLoop):
    """`shuffle` (None: never) reorders what is ready at the same moment. `errors`: what nobody else caught."""

    def __init__(self, shuffle: Random | None = None) -> None:
        self._runs = False
        super().__init__()
        self._now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = count()
        self._numbers = count(1)
        self._tasks: list[_Task] = []
        self._prune_at = PRUNE
        self._shuffle = shuffle
        self._closed = False
        self._still = 0
        self.turns = 0
        self.errors: list[str] = []

    # what asyncio asks of a loop

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._runs

    def is_closed(self) -> bool:
        return self._closed

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + max(delay, 0.0), callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if not self._closed:
            heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when it comes up."""

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> "asyncio.Task[T]":
        task = _Task(next(self._numbers), coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > self._prune_at:
            self._tasks = [one for one in self._tasks if not one.done()]
            self._prune_at = 2 * len(self._tasks) + PRUNE
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._closed:
            self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    # processes

    def spawn(self, process: Process, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Starts a task in a process."""
        return self.create_task(work, name=name, context=process.context.copy())

    def resume(self, process: Process) -> None:
        process.stalled = False
        self._ready.extend(process.held)
        process.held.clear()

    # running

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Runs until `main` is done, then throws away everything else. Raises Deadlock, Livelock, what main raises."""
        events._set_running_loop(self)
        self._runs = True
        try:
            task = self.create_task(main, name="main")
            while not task.done():
                self._turn()
            return task.result()
        finally:
            self._throw_away()
            self._runs = False
            events._set_running_loop(None)

    def _turn(self) -> None:
        timers, ready = self._timers, self._ready
        if not ready:
            while timers and timers[0][2].cancelled():
                heapq.heappop(timers)
            if not timers:
                raise Deadlock(self._waiting())
            if timers[0][0] > self._now:
                self._now = timers[0][0]
                self._still = 0
        while timers and timers[0][0] <= self._now:
            ready.append(heapq.heappop(timers)[2])
        batch = list(ready)
        ready.clear()
        if self._shuffle is not None and len(batch) > 1:
            self._shuffle.shuffle(batch)
        for handle in batch:
            self._run_one(handle)
        self._still += len(batch)
        if self._still > TURNS_WITHOUT_TIME:
            raise Livelock(f"at {self._now:.3f}: {self._waiting()}")

    def _run_one(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
        if process is not None:
            if process.dead:
                return
            if process.stalled:
                process.held.append(handle)
                return
        self.turns += 1
        handle._run()

    def _waiting(self) -> str:
        names = [task.get_name() for task in self._tasks if not task.done()]
        return f"{len(names)} tasks wait: {', '.join(names[:20])}"

    def _throw_away(self) -> None:
        """Ends all coroutines now, so that the garbage collector has nothing to say about them later."""
        self._closed = True
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with suppress(BaseException):
                    task.get_coro().close()
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()
