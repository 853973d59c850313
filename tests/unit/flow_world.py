"""What flows are tested with: a log in memory, entities that only take notes, and a clock that does not wait."""

import asyncio
from typing import Any, NamedTuple

import msgspec

from actors.decision import Done, Message
from actors.runtime.clock import SystemClock
from actors.runtime.ports import Answer
from pipelines.log.base import Happened

DEADLINE = 10.0


class HastyClock(SystemClock):
    """Sleeps are noted and over at once."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


class MemoryLog:
    def __init__(self) -> None:
        self.events: list[Happened] = []
        self.reads = 0
        self.fail_reads = 0
        self._grown = asyncio.Event()

    def append(self, kind: str, entity: str, version: int, *events: Message, at: int = 1_000) -> int:
        """One decision; its events share a position, which is returned."""
        position = (self.events[-1].position if self.events else 0) + 2
        for index, event in enumerate(events):
            encoded = msgspec.msgpack.encode(event)
            self.events.append(Happened(position, kind, entity, version, index, at, encoded))
        self._grown.set()
        return position

    async def read(self, after: int, limit: int) -> list[Happened]:
        self.reads += 1
        if self.fail_reads > 0:
            self.fail_reads -= 1
            raise OSError("no log today")
        behind = [one for one in self.events if one.position > after]
        if len(behind) <= limit:
            return behind
        return [one for one in behind if one.position <= behind[limit - 1].position]

    async def wait(self, after: int, seconds: float) -> None:
        if self.events and self.events[-1].position > after:
            return
        self._grown.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._grown.wait()
        except TimeoutError:
            return


class Asked(NamedTuple):
    kind: str
    entity: str
    command: Message
    command_id: str | None


class NotingEntities:
    """Answers Done, or what `replies` has for a kind; views come from `views`, all at version 7."""

    def __init__(self, views: dict[tuple[str, str], Message] | None = None) -> None:
        self.asked: list[Asked] = []
        self.reads: list[tuple[str, str, int]] = []
        self.views = views or {}
        self.replies: dict[str, Message] = {}

    async def ask(self, kind: str, entity: str, command: Message, *, command_id: str | None = None, **_: Any) -> Answer:
        self.asked.append(Asked(kind, entity, command, command_id))
        return Answer(self.replies.get(kind, Done()), 7)

    async def read(self, kind: str, entity: str, *, at_least: int = 0, seconds: float = 5.0) -> Answer:
        self.reads.append((kind, entity, at_least))
        view = self.views.get((kind, entity))
        return Answer(Done(), 0) if view is None else Answer(view, 7)

    async def watch(self, kind: str, entity: str, *, beyond: int | None = None, seconds: float) -> Answer:
        return await self.read(kind, entity)
