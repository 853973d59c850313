"""The way into Kafka. An idempotent producer keeps the order of each partition, whatever is sent again."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed

from actors.runtime.wire import Record
from pipelines.log.base import Happened
from pipelines.log.cloud_events import KafkaCluster, events_of, to_kafka

# A broker that was killed has another in its place within seconds.
SECONDS = 20.0
STOP_SECONDS = 2.0
LARGEST = 8 * 2**20

_log = logging.getLogger("troupe.flows")


class KafkaPublisher:
    """Implements `Publisher`. Connects at the first use; after an error, or no answer in time, it begins anew."""

    def __init__(self, cluster: KafkaCluster, *, seconds: float = SECONDS) -> None:
        self._cluster = cluster
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, records: Sequence[Record]) -> None:
        """See `Publisher.publish`."""
        await self.tell([happened for record in records for happened in events_of(record)])

    async def tell(self, events: Sequence[Happened]) -> None:
        """Durable, each entity's in order, when it returns. Raises KafkaError or TimeoutError: tell them again."""
        if not events:
            return
        async with self._turn:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._tell(events)
            except BaseException:
                # What is under way may still arrive. It must not do so behind what is told next, by another producer
                # of the same order; that one's first records stand behind whatever this one has sent.
                await self._give_up()
                raise

    async def _tell(self, events: Sequence[Happened]) -> None:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self._cluster.servers,
                **self._cluster.access.options(),
                enable_idempotence=True,
                acks="all",
                max_request_size=LARGEST,
                max_batch_size=2**18,
                request_timeout_ms=10_000,
            )
            await self._producer.start()
        sent = []
        for happened in events:
            topic, one = self._cluster.topic(happened.kind), to_kafka(happened)
            sent.append(
                await self._producer.send(topic, one.value, key=one.key, headers=one.headers, timestamp_ms=one.at)
            )
        for result in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def close(self) -> None:
        async with self._turn:
            await self._give_up()

    async def _give_up(self) -> None:
        if self._producer is None:
            return
        producer, self._producer = self._producer, None
        # Its stop would wait for ever for a broker that is away.
        producer._message_accumulator.fail_all(ProducerClosed())
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await producer.stop()
