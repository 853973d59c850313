"""How far flows are behind Kafka, by what they have saved; the metrics tell it."""

import asyncio
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from pipelines.log.cloud_events import KafkaCluster
from pipelines.log.kafka import Client, ClientBroken, PartitionLog
from pipelines.progress import Standing
from serve.gateway.clock import now_ms
from serve.measures import Behind, Standings


class KafkaFlows:
    """One row a flow: the records of all its partitions, and the age of the oldest of them."""

    def __init__(self, cluster: KafkaCluster, progress: Standings, now: Callable[[], int] = now_ms) -> None:
        self._client = Client(cluster)
        self._progress = progress
        self._now = now
        self._turn = asyncio.Lock()

    async def look(self) -> list[Behind]:
        """Raises KafkaError, or what the progress raises."""
        standings = await self._progress.standings()
        async with self._turn:
            places = await self._places(standings)
        flows: dict[str, Behind] = {}
        for standing, (records, seconds) in zip(standings, places, strict=True):
            flow = standing.flow.partition("@")[0]
            before = flows.get(flow, Behind(flow, 0, 0.0, 0))
            flows[flow] = Behind(
                flow, before.records + records, max(before.seconds, seconds), before.letters + standing.letters
            )
        return list(flows.values())

    async def close(self) -> None:
        async with self._turn:
            await self._client.close()

    async def _places(self, standings: Sequence[Standing]) -> list[tuple[int, float]]:
        """Of each standing: how many records behind, and how old the first of them is, in seconds."""
        partitions = [partition_of(one.flow) for one in standings]
        consumer = await self._open()
        known = {one for one in partitions if one is not None}
        if known != consumer.assignment():
            consumer.assign(list(known))
        ends = await consumer.end_offsets(list(known)) if known else {}
        places = []
        for standing, partition in zip(standings, partitions, strict=True):
            records = max(0, ends[partition] - standing.position) if partition is not None else 0
            places.append((records, await self._age(consumer, partition, standing.position) if records else 0.0))
        return places

    async def _age(self, consumer: AIOKafkaConsumer, partition: TopicPartition | None, position: int) -> float:
        assert partition is not None
        log = PartitionLog(consumer, partition)
        # The first read only asks for what stands there.
        await log.wait(position, 1.0)
        found = await log.read(position, 1)
        return max(0.0, (self._now() - found[0].at) / 1000) if found else 0.0

    async def _open(self) -> AIOKafkaConsumer:
        try:
            return await self._client.consumer()
        except ClientBroken:
            return await self._client.consumer()


def partition_of(name: str) -> TopicPartition | None:
    """The partition in the name of a flow's progress, NAME@TOPIC-PARTITION; None: it is over another log."""
    _, _, place = name.partition("@")
    topic, _, number = place.rpartition("-")
    return TopicPartition(topic, int(number)) if topic and number.isdecimal() else None
