"""All that happened, from the first event on, for who makes a read model anew: it ends where the log ends now."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol

from aiokafka import TopicPartition

from pipelines.log.base import EventLog, Happened
from pipelines.log.cloud_events import KafkaCluster
from pipelines.log.kafka import Client, PartitionLog
from pipelines.log.topics import partitions_of

SECONDS = 30.0
"""That one piece may take to come."""


class Piece(NamedTuple):
    """Events of one place, and how far it is read now, also where what was read is no event."""

    events: list[Happened]
    reached: int


class History(Protocol):
    """The places that together hold all events of some kinds, all of one entity in one of them, in order."""

    async def ends(self) -> dict[str, int]:
        """The last position of each place. Raises what the log raises."""
        ...

    async def read(self, place: str, after: int, end: int, limit: int) -> Piece:
        """About `limit` events behind `after`, which is before `end`. Raises what the log raises, or TimeoutError."""
        ...

    def progress(self, flow: str, place: str) -> str:
        """The name that a flow's progress has at a place."""
        ...

    async def close(self) -> None: ...


class KafkaHistory:
    """Of the topics of some kinds, as of how they are partitioned at the first use."""

    def __init__(self, cluster: KafkaCluster, kinds: Iterable[str]) -> None:
        self._cluster = cluster
        self._kinds = sorted(set(kinds))
        self._client = Client(cluster)
        self._partitions: dict[str, TopicPartition] = {}
        self._logs: dict[str, PartitionLog] = {}

    async def ends(self) -> dict[str, int]:
        """As `History.ends`. Also raises TopicsFailed, if one is missing."""
        if not self._partitions:
            found = await partitions_of(self._cluster, self._kinds)
            self._partitions = {f"{one.topic}-{one.partition}": one for one in found}
            consumer = await self._client.consumer()
            consumer.assign(found)
            self._logs = {place: PartitionLog(consumer, one) for place, one in self._partitions.items()}
        ends = await (await self._client.consumer()).end_offsets(list(self._partitions.values()))
        return {place: int(ends[one]) for place, one in self._partitions.items()}

    async def read(self, place: str, after: int, end: int, limit: int) -> Piece:
        """As `History.read`."""
        log, consumer = self._logs[place], await self._client.consumer()
        async with asyncio.timeout(SECONDS):
            while True:
                # A read only looks at what has come; this waits for it.
                await log.wait(after, 1.0)
                if events := await log.read(after, limit):
                    return Piece(events, events[-1].position)
                # What was compacted away, or is no event of ours, has no position to tell.
                if await consumer.position(self._partitions[place]) >= end:
                    return Piece([], end)

    def progress(self, flow: str, place: str) -> str:
        """As `History.progress`."""
        return f"{flow}@{place}"

    async def close(self) -> None:
        await self._client.close()


class DatabaseHistory:
    """Of a log that a database is itself: one place, which has no name."""

    def __init__(self, log: EventLog, end: Callable[[], Awaitable[int]]) -> None:
        self._log = log
        self._end = end

    async def ends(self) -> dict[str, int]:
        """As `History.ends`."""
        return {"": await self._end()}

    async def read(self, place: str, after: int, end: int, limit: int) -> Piece:
        """As `History.read`."""
        events = await self._log.read(after, limit)
        return Piece(events, events[-1].position if events else end)

    def progress(self, flow: str, place: str) -> str:
        """As `History.progress`."""
        return flow

    async def close(self) -> None:
        """The log is its owner's to close."""
