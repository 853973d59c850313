"""The event log on Kafka: each partition of a topic is a log of its own, read from any place in it."""

import asyncio
import logging
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipelines.log.base import Happened
from pipelines.log.cloud_events import KafkaCluster, NotAnEvent, from_kafka

FETCH = 1000
STOP_SECONDS = 5.0
READ_SECONDS = 20.0
LOOK_SECONDS = 1.0

_log = logging.getLogger("troupe.flows")


def consumer_of(cluster: KafkaCluster, **more: Any) -> AIOKafkaConsumer:
    """Reads what is committed, from the start where nothing better is known; nothing is committed by itself."""
    return AIOKafkaConsumer(
        bootstrap_servers=cluster.servers,
        **cluster.access.options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=500,
        request_timeout_ms=10_000,
        # A Kafka that is away is asked for by many: a tenth of a second would be felt.
        retry_backoff_ms=500,
        **more,
    )


class ClientBroken(Exception):
    """A consumer will never answer again: another must take its place."""


def check(consumer: AIOKafkaConsumer) -> None:
    """Raises ClientBroken if an error that the client did not foresee has ended one of the tasks that it lives by.

    It says so itself only for one of them, and for the others nothing more is ever read.
    """
    for task in _tasks_of(consumer):
        if task.done():
            raise ClientBroken(repr(None if task.cancelled() else task.exception()))


async def end(consumer: AIOKafkaConsumer) -> None:
    """Stops it within five seconds, whatever state it and Kafka are in; nothing of it goes on."""
    tasks = _tasks_of(consumer)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await consumer.stop()
    except (TimeoutError, KafkaError) as error:
        _log.warning("a consumer did not end in order: %r", error)
        for task in tasks:
            task.cancel()
        await consumer._client.close()


def _tasks_of(consumer: AIOKafkaConsumer) -> list[asyncio.Task[Any]]:
    tasks = (
        getattr(consumer._fetcher, "_fetch_task", None),
        getattr(consumer._coordinator, "_coordination_task", None),
    )
    return [task for task in tasks if task is not None]


class Client:
    """A consumer of no group: connects at the first use, and anew after it broke. Not for two callers at once."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._consumer: AIOKafkaConsumer | None = None

    async def consumer(self) -> AIOKafkaConsumer:
        """Raises KafkaError; ClientBroken once, when it was so: the next call begins anew."""
        if self._consumer is not None:
            try:
                check(self._consumer)
            except ClientBroken:
                await self.close()
                raise
        if self._consumer is None:
            consumer = consumer_of(self._cluster)
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await end(consumer)


class PartitionLog:
    """Implements `EventLog` over one partition that the consumer has. Positions are offsets, counted from 1.

    For one reader: it moves the consumer. It does not wait for what is fetched: an empty answer may just be early.
    """

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        self._consumer = consumer
        self._partition = partition
        # What was fetched and is not handed out; it begins at `_at`, an offset.
        self._kept: list[Any] = []
        self._at: int | None = None

    async def read(self, after: int, limit: int) -> list[Happened]:
        """As `EventLog.read`; what is no event of ours is passed over. Raises KafkaError."""
        while records := await self._take(after, limit):
            if events := [event for record in records if (event := _event(record)) is not None]:
                return events
            after = records[-1].offset + 1
        return []

    async def wait(self, after: int, seconds: float) -> None:
        """As `EventLog.wait`. Raises KafkaError."""
        self._go_to(after)
        if not self._kept:
            self._kept = await self._fetch(FETCH, seconds)

    async def _take(self, after: int, limit: int) -> list[Any]:
        self._go_to(after)
        if not self._kept:
            self._kept = await self._fetch(limit, 0)
        taken, self._kept = self._kept[:limit], self._kept[limit:]
        if taken:
            self._at = taken[-1].offset + 1
        return taken

    def _go_to(self, after: int) -> None:
        if self._at != after:
            self._kept = []
            self._consumer.seek(self._partition, after)
            self._at = after

    async def _fetch(self, limit: int, seconds: float) -> list[Any]:
        found = await self._consumer.getmany(self._partition, timeout_ms=round(seconds * 1000), max_records=limit)
        return list(found.get(self._partition, ()))


def _event(record: Any) -> Happened | None:
    try:
        return from_kafka(record.offset + 1, record.headers, record.value, record.timestamp)
    except NotAnEvent as error:
        _log.error("record %d of %s is no event: %s", record.offset, record.topic, error)
        return None


class TopicLog:
    """Implements `EventLog` over a topic of one partition, for readers that want all of it in order.

    Also raises ClientBroken, once: the next call begins anew. Connects at the first use. Any number may read; each
    place is sought anew when they take turns.
    """

    def __init__(self, cluster: KafkaCluster, kind: str) -> None:
        self._client = Client(cluster)
        self._partition = TopicPartition(cluster.topic(kind), 0)
        self._turn = asyncio.Lock()
        self._reading: tuple[AIOKafkaConsumer, PartitionLog] | None = None

    async def read(self, after: int, limit: int) -> list[Happened]:
        """As `EventLog.read`. Raises KafkaError; TimeoutError if 20 s did not bring what is there."""
        async with self._turn:
            consumer, log = await self._open()
            found = await log.read(after, limit)
            if found:
                return found
            end = await self._end(consumer)
            async with asyncio.timeout(READ_SECONDS):
                # By the consumer's own place: behind the last event may be what is none, or was compacted away.
                while not found and await consumer.position(self._partition) < end:
                    await log.wait(after, LOOK_SECONDS)
                    found = await log.read(after, limit)
            return found

    async def wait(self, after: int, seconds: float) -> None:
        """As `EventLog.wait`. Raises KafkaError."""
        async with self._turn:
            await (await self._open())[1].wait(after, seconds)

    async def end(self) -> int:
        """The last position; 0 if nothing is there yet. Raises KafkaError."""
        async with self._turn:
            return await self._end((await self._open())[0])

    async def close(self) -> None:
        async with self._turn:
            await self._client.close()

    async def _end(self, consumer: AIOKafkaConsumer) -> int:
        return int((await consumer.end_offsets([self._partition]))[self._partition])

    async def _open(self) -> tuple[AIOKafkaConsumer, PartitionLog]:
        consumer = await self._client.consumer()
        if self._reading is None or self._reading[0] is not consumer:
            consumer.assign([self._partition])
            self._reading = consumer, PartitionLog(consumer, self._partition)
        return self._reading
