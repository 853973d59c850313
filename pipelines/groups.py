"""A flow over Kafka: a consumer group of its own, and a runner for each partition that this member has.

Members share a flow's partitions; whoever gets one goes on where the progress says. A partition's order is kept, as it
has one runner at a time: Kafka takes it from one member before it gives it to another, and a member that was thought
dead may handle some events again, which every flow must bear anyway.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from actors.runtime.tasks import Tasks
from pipelines.log.base import EventLog
from pipelines.log.cloud_events import KafkaCluster
from pipelines.log.kafka import PartitionLog, check, consumer_of, end

COMMIT_SECONDS = 1.0
# Longer than one request may take: the client would complain of one that is broken off.
COMMIT_DEADLINE_SECONDS = 15.0
SESSION_SECONDS = 10
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0

log = logging.getLogger("troupe.flows")


class Running(Protocol):
    """A flow or projection that runs from its stored position until stopped."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Follower(Running, Protocol):
    """One that reads one log."""

    @property
    def position(self) -> int:
        """Every event up to here is done with."""
        ...


Begin = Callable[[str, EventLog], Follower]
"""Makes the runner of one partition, from the name that its progress has and the partition's log."""

Connect = Callable[..., AIOKafkaConsumer]
"""Makes a consumer of a cluster that is not started yet; see `consumer_of`."""


class GroupRunner:
    """A member of the flow's group. It connects, and connects again, for as long as it runs."""

    def __init__(
        self, cluster: KafkaCluster, name: str, kinds: Iterable[str], begin: Begin, connect: Connect = consumer_of
    ) -> None:
        self.name = name
        self._cluster = cluster
        self._topics = sorted({cluster.topic(kind) for kind in kinds})
        self._begin = begin
        self._connect = connect
        self._member: _Member | None = None
        self._tasks = Tasks()

    async def start(self) -> None:
        """Returns at once: a Kafka that is away delays the flow and nothing else."""
        self._tasks.start(self._run(), f"group {self.name}")

    async def stop(self) -> None:
        """What is done is saved; what is under way is handled again by whoever has the partition next."""
        await self._tasks.close()

    @property
    def partitions(self) -> dict[str, int]:
        """How far each partition is done that this member has."""
        reached = self._member.reached() if self._member is not None else {}
        return {_place(one): position for one, position in reached.items()}

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            consumer = self._connect(
                self._cluster,
                group_id=self._cluster.group(self.name),
                session_timeout_ms=SESSION_SECONDS * 1000,
                heartbeat_interval_ms=1000,
                max_poll_interval_ms=600_000,
            )
            self._member = _Member(consumer, self.name, self._begin)
            consumer.subscribe(self._topics, listener=self._member)
            try:
                await consumer.start()
                pause = FIRST_PAUSE
                await self._member.commit_now_and_then()
            except Exception as error:
                log.warning("flow %s: Kafka does not answer: %r", self.name, error)
            finally:
                await self._member.close()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


class _Member(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One connection to the group, with a task for each partition that it was given."""

    def __init__(self, consumer: AIOKafkaConsumer, name: str, begin: Begin) -> None:
        self._consumer = consumer
        self._name = name
        self._begin = begin
        self._following: dict[TopicPartition, asyncio.Task[None]] = {}
        self._runners: dict[TopicPartition, Follower] = {}

    def reached(self) -> dict[TopicPartition, int]:
        return {one: runner.position for one, runner in self._runners.items()}

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Called by the consumer, which waits for it."""
        for one in assigned:
            if one not in self._following:
                self._following[one] = asyncio.create_task(self._follow(one), name=f"{self._name}@{_place(one)}")

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Called by the consumer, which waits for it before another member gets them."""
        ended = [self._following.pop(one) for one in list(revoked) if one in self._following]
        for task in ended:
            task.cancel()
        if ended:
            await asyncio.wait(ended)

    async def close(self) -> None:
        await self.on_partitions_revoked(list(self._following))
        await end(self._consumer)

    async def _follow(self, one: TopicPartition) -> None:
        runner = self._begin(f"{self._name}@{_place(one)}", PartitionLog(self._consumer, one))
        pause = FIRST_PAUSE
        while True:
            try:
                await runner.start()
                break
            except Exception as error:
                log.warning("flow %s: %s cannot be begun: %r", self._name, _place(one), error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        self._runners[one] = runner
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            del self._runners[one]
            try:
                await runner.stop()
            except Exception as error:
                # It is handled again from where the progress stands.
                log.warning("flow %s: %s could not be saved: %r", self._name, _place(one), error)

    async def commit_now_and_then(self) -> None:
        """For those who look at groups' lags; where a flow goes on stands in its own progress. Raises ClientBroken."""
        committed: dict[TopicPartition, int] = {}
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            check(self._consumer)
            new = {one: at for one, at in self.reached().items() if committed.get(one) != at}
            if not new:
                continue
            try:
                async with asyncio.timeout(COMMIT_DEADLINE_SECONDS):
                    await self._consumer.commit(new)
                committed |= new
            except (KafkaError, TimeoutError) as error:
                log.warning("flow %s: positions were not told to Kafka: %r", self._name, error)


def _place(partition: TopicPartition) -> str:
    return f"{partition.topic}-{partition.partition}"
