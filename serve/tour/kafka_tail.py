"""What comes into Kafka from now on, read by a consumer of its own that belongs to no group."""

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from actors.kinds import KINDS
from pipelines.log.base import Happened
from pipelines.log.cloud_events import TOPICS, KafkaCluster, NotAnEvent, from_kafka
from pipelines.log.kafka import Client
from pipelines.log.topics import partitions_of
from serve.event_logs import cluster_of
from serve.settings import Settings
from serve.tour.places import Place

START_SECONDS = 30.0
LOOK_SECONDS = 0.1


class KafkaTail:
    """Every event since it was made, and the flows that are consumer groups. Raises KafkaError, TimeoutError.

    It reads in a thread of its own, with its own event loop.
    """

    def __init__(self, settings: Settings) -> None:
        self._cluster = cluster_of(settings)
        self._places: dict[str, Place] = {}
        self._told: defaultdict[str, deque[Happened]] = defaultdict(deque)
        self._ended = threading.Event()
        self.flows: frozenset[str] = frozenset()
        began: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(began,), name="tour-kafka", daemon=True)
        self._thread.start()
        began.result(2 * START_SECONDS)

    def close(self) -> None:
        self._ended.set()
        self._thread.join(START_SECONDS)

    def place(self, event_id: str) -> Place | None:
        return self._places.get(event_id)

    def new(self, service: str) -> list[Happened]:
        """Events of a service that is tables that were not asked for yet."""
        told = self._told[service]
        return [told.popleft() for _ in range(len(told))]

    def _run(self, began: "Future[None]") -> None:
        try:
            asyncio.run(self._read(lambda: began.set_result(None)))
        except BaseException as error:
            if not began.done():
                began.set_exception(error)

    async def _read(self, begun: Callable[[], None]) -> None:
        client = Client(self._cluster)
        try:
            async with asyncio.timeout(START_SECONDS):
                self.flows = await _groups(self._cluster)
                consumer, partitions = await client.consumer(), await partitions_of(self._cluster)
                consumer.assign(partitions)
                for partition, end in (await consumer.end_offsets(partitions)).items():
                    consumer.seek(partition, end)
            begun()
            while not self._ended.is_set():
                for partition, records in (await consumer.getmany(timeout_ms=round(1000 * LOOK_SECONDS))).items():
                    for record in records:
                        self._take(partition, record)
        finally:
            await client.close()

    def _take(self, partition: TopicPartition, record: Any) -> None:
        try:
            happened = from_kafka(record.offset + 1, record.headers, record.value, record.timestamp)
        except NotAnEvent:
            return
        text = f"Kafka {partition.topic}, partition {partition.partition}, offset {record.offset}"
        if happened.id in self._places:
            return  # sent twice: flows go by the first
        self._places[happened.id] = Place(text, f"@{partition.topic}-{partition.partition}", record.offset + 1)
        if happened.kind not in KINDS:
            self._told[TOPICS[happened.kind]].append(happened)


async def _groups(cluster: KafkaCluster) -> frozenset[str]:
    """The flows that have a group of consumers."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers, **cluster.access.options())
    await admin.start()
    try:
        groups = [str(group) for group, *_ in await admin.list_consumer_groups()]
    finally:
        await admin.close()
    ours = cluster.group("")
    return frozenset(group.removeprefix(ours) for group in groups if group.startswith(ours))
