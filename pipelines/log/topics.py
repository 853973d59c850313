"""The topics in Kafka, one a service, and how long each keeps what it holds."""

import asyncio
from collections.abc import Callable, Iterable

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from pipelines.log.cloud_events import TOPICS, KafkaCluster

DAY_MS = 24 * 3_600_000
SECONDS = 30.0
# Who keeps a copy of the catalogue wants all of it, in one order.
OF_ONE_PARTITION = ("catalog",)
_EXISTS = 36

RETENTION: dict[str, dict[str, str]] = {
    "users": {"retention.ms": "-1"},
    "orders": {"retention.ms": "-1"},
    "payments": {"retention.ms": "-1"},
    "stock": {"retention.ms": "-1"},
    "catalog": {"cleanup.policy": "compact"},
    "carts": {"retention.ms": str(30 * DAY_MS)},
}
"""Without limit what is history, the newest of each product, and carts for a month."""

LARGEST = 8 * 2**20


Tell = Callable[[str], None]


class TopicsFailed(Exception):
    """A text for people: which topic could not be made, or is missing, and why."""


async def make_topics(cluster: KafkaCluster, partitions: int, replication: int, tell: Tell) -> None:
    """Makes those that are missing; what is there stays as it is. Raises TopicsFailed, KafkaError, TimeoutError."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers, **cluster.access.options())
    async with asyncio.timeout(SECONDS):
        await admin.start()
        try:
            await _make(admin, cluster.prefix, partitions, replication, tell)
        finally:
            await admin.close()


async def _make(admin: AIOKafkaAdminClient, prefix: str, partitions: int, replication: int, tell: Tell) -> None:
    wanted = []
    for topic in sorted(set(TOPICS.values())):
        configs = {
            **RETENTION[topic],
            "min.insync.replicas": str(2 if replication > 2 else 1),
            "max.message.bytes": str(LARGEST),
        }
        count = 1 if topic in OF_ONE_PARTITION else partitions
        wanted.append(NewTopic(prefix + topic, count, replication, topic_configs=configs))
    answer = await admin.create_topics(wanted)
    # It does not raise: what went wrong stands in the answer.
    for topic, code, *text in answer.topic_errors:
        if code == 0:
            tell(f"topic {topic} made")
        elif code != _EXISTS:
            raise TopicsFailed(
                f"The topic {topic} could not be made: {for_code(code).__name__} {' '.join(map(str, text))}"
            )


async def partitions_of(cluster: KafkaCluster, kinds: Iterable[str] = TOPICS) -> list[TopicPartition]:
    """Those of the topics of some kinds. Raises TopicsFailed if one is missing; KafkaError, TimeoutError."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers, **cluster.access.options())
    async with asyncio.timeout(SECONDS):
        await admin.start()
        try:
            found = await admin.describe_topics(sorted({cluster.topic(kind) for kind in kinds}))
        finally:
            await admin.close()
    for topic in found:
        if topic["error_code"]:
            raise TopicsFailed(f"Kafka has no topic {topic['topic']} yet. Run `troupe setup`.")
    return [TopicPartition(topic["topic"], one["partition"]) for topic in found for one in topic["partitions"]]
