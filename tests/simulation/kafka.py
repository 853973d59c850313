"""Kafka in memory: topics with partitions, and producers of which nobody knows what a failing call has written.

What fails may be written all the same, now or later, of each partition a prefix. Members of groups are in groups.py.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import partial
from typing import NamedTuple
from zlib import crc32

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from actors.kinds import KINDS
from actors.runtime.wire import Record
from pipelines.log.base import Happened
from pipelines.log.cloud_events import TOPICS, Headers, KafkaCluster, events_of, to_kafka
from tests.simulation.database import Waiting, wake
from tests.simulation.groups import Group, SimulatedConsumer
from tests.simulation.loop import Process
from tests.simulation.world import World

CLUSTER = KafkaCluster("simulated")
NAME = "kafka"
QUICK = (0.001, 0.02)
PATIENCE = (0.05, 3.0)
LATEST = 8.0
LOOK_SECONDS = 0.5


class Stored(NamedTuple):
    """As consumers get it."""

    topic: str
    offset: int
    key: bytes
    value: bytes
    headers: Headers
    timestamp: int


class Partition:
    """`waiting`: those who want to know of more."""

    def __init__(self) -> None:
        self.records: list[Stored] = []
        self.waiting: Waiting = []


class SimulatedKafka:
    """`fails`: chance of a single publication, `late`: that what it wrote becomes visible only later."""

    def __init__(self, world: World, partitions: int) -> None:
        self.world = world
        self.chance = world.stream(NAME)
        self.fails = 0.0
        self.late = 0.0
        self.down = False
        self.session = self.chance.choice((1.5, 4.0))
        self.partitions: dict[TopicPartition, Partition] = {
            TopicPartition(topic, number): Partition()
            for topic in sorted({CLUSTER.topic(kind) for kind in TOPICS if kind != "product"})
            for number in range(partitions)
        }
        self._count = partitions
        self.consumers: list[SimulatedConsumer] = []
        self._groups: dict[str, Group] = {}
        self._context = Context()

    def reaches(self, process: Process) -> bool:
        """Whether the process and Kafka hear each other."""
        cut = self.world.weather.is_cut(process.name, NAME)
        return not (self.down or cut or process.dead or process.stalled)

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        """In Kafka's own time: the death of who asked changes nothing."""
        self.world.loop.call_later(seconds, what, context=self._context)

    # producers

    def publisher(self, process: Process) -> "SimulatedPublisher":
        return SimulatedPublisher(self, process)

    async def take(self, process: Process, events: Sequence[Happened]) -> None:
        """Raises KafkaConnectionError: what of it is written, or will be, is unknown."""
        batches: dict[TopicPartition, list[Happened]] = {}
        for happened in events:
            batches.setdefault(self.place(happened), []).append(happened)
        chance, reached = self.chance, self.reaches(process)
        if not reached or chance.random() < self.fails:
            for place, batch in batches.items():
                if reached and chance.random() < 0.5:
                    part = batch[: chance.randint(0, len(batch))] if chance.random() < 0.5 else batch
                    self.later(self._landing(), partial(self._append, place, part))
            await asyncio.sleep(chance.uniform(*PATIENCE))
            raise KafkaConnectionError("simulated")
        longest = 0.0
        for place, batch in batches.items():
            longest = max(longest, way := chance.uniform(*QUICK))
            self.later(way, partial(self._append, place, batch))
        await asyncio.sleep(longest + chance.uniform(*QUICK))

    def _landing(self) -> float:
        return self.chance.uniform(0, LATEST) if self.chance.random() < self.late else self.chance.uniform(*QUICK)

    def place(self, happened: Happened) -> TopicPartition:
        return TopicPartition(CLUSTER.topic(happened.kind), crc32(happened.entity.encode()) % self._count)

    def _append(self, place: TopicPartition, events: Sequence[Happened]) -> None:
        partition = self.partitions[place]
        for happened in events:
            if happened.kind in KINDS:
                committed = self.world.database.version_of(happened.kind, happened.entity)
                if happened.version > committed:
                    self.world.violate(f"{happened.id} is published, committed is version {committed}")
            sent = to_kafka(happened)
            offset = len(partition.records)
            partition.records.append(Stored(place.topic, offset, sent.key, sent.value, sent.headers, sent.at))
        wake(partition.waiting)

    # consumers

    def consumer(self, process: Process, group_id: str) -> SimulatedConsumer:
        group = self._groups.setdefault(group_id, Group(self, group_id))
        return SimulatedConsumer(self, process, group)

    def fetch(self, process: Process, place: TopicPartition, offset: int, limit: int) -> list[Stored]:
        return self.partitions[place].records[offset : offset + limit] if self.reaches(process) else []

    async def watch_members(self) -> None:
        """Members that are not heard of for too long are no members any more."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self.down:
                for group in self._groups.values():
                    group.miss(LOOK_SECONDS, self.session)


class SimulatedPublisher:
    """One producer of a process, as `KafkaPublisher`: what is told waits for what was told before."""

    def __init__(self, kafka: SimulatedKafka, process: Process) -> None:
        self._kafka = kafka
        self._process = process
        self._turn = asyncio.Lock()

    async def publish(self, records: Sequence[Record]) -> None:
        """See `Publisher.publish`."""
        await self.tell([happened for record in records for happened in events_of(record)])

    async def tell(self, events: Sequence[Happened]) -> None:
        """Raises KafkaConnectionError."""
        if events:
            async with self._turn:
                await self._kafka.take(self._process, events)

    async def close(self) -> None:
        """Nothing is open."""
