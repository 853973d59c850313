"""Groups share partitions as Kafka's do: in order, anew when somebody comes, goes or falls silent."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError

from actors.runtime.wire import encode
from pipelines.events.users import UserDeleted
from pipelines.log.base import Happened
from tests.simulation.groups import SimulatedConsumer
from tests.simulation.kafka import SimulatedKafka
from tests.simulation.loop import Process
from tests.simulation.plan import plan_of
from tests.simulation.world import World

PLACES = [TopicPartition("users", number) for number in range(2)]


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """What a member has by what it was told, and what everybody has."""

    def __init__(self, everybody: "list[Listener]") -> None:
        self.has: set[TopicPartition] = set()
        self._everybody = everybody
        everybody.append(self)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self.has = set(assigned)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        assert set(revoked) == self.has
        self.has = set()


class Stage:
    def __init__(self) -> None:
        self.world = World(plan_of(0))
        self.kafka = self.world.kafka = SimulatedKafka(self.world, 2)
        self.listeners: list[Listener] = []

    def run(self, act: Callable[["Stage"], Awaitable[None]]) -> None:
        async def main() -> None:
            self.world.loop.create_task(self.kafka.watch_members())
            await act(self)

        self.world.loop.run(main())
        assert self.world.loop.errors == []

    async def member(self, name: str) -> tuple[Process, Listener, SimulatedConsumer]:
        process, listener = Process(name), Listener(self.listeners)
        made: list[SimulatedConsumer] = []

        async def begin() -> None:
            consumer = self.kafka.consumer(process, "group")
            consumer.subscribe(["users"], listener)
            await consumer.start()
            made.append(consumer)

        await self.world.loop.spawn(process, begin(), name)
        # Of virtual time: the others hear a little later what they are left with.
        await asyncio.sleep(1)
        return process, listener, made[0]

    def had(self) -> list[set[TopicPartition]]:
        return [listener.has for listener in self.listeners]


def told(version: int) -> Happened:
    return Happened(0, "user", "u", version, 0, 1_700_000_000_000, encode(UserDeleted(1)))


def test_who_comes_gets_a_share_and_who_leaves_gives_it_back() -> None:
    async def act(stage: Stage) -> None:
        _, _, first = await stage.member("first")
        assert stage.had() == [set(PLACES)]
        _, _, second = await stage.member("second")
        assert sorted(map(len, stage.had())) == [1, 1]
        assert set().union(*stage.had()) == set(PLACES)
        await second.stop()
        await asyncio.sleep(3)
        assert stage.had()[0] == set(PLACES)
        await first.commit({PLACES[0]: 1})

    Stage().run(act)


def test_who_is_silent_too_long_is_no_member_and_learns_it_when_it_goes_on() -> None:
    async def act(stage: Stage) -> None:
        process, silent, consumer = await stage.member("first")
        await stage.member("second")
        mine = set(silent.has)
        process.stalled = True
        await asyncio.sleep(10)
        # It still believes so, and another has them by now.
        assert silent.has == mine
        assert stage.had()[1] == set(PLACES)
        with pytest.raises(CommitFailedError):
            await _while_it_was_away(stage, process, consumer)
        await asyncio.sleep(5)
        assert sorted(map(len, stage.had())) == [1, 1]

    Stage().run(act)


async def _while_it_was_away(stage: Stage, process: Process, consumer: SimulatedConsumer) -> None:
    stage.world.loop.resume(process)
    await consumer.commit({PLACES[0]: 1})


def test_nobody_reads_what_was_taken_from_it() -> None:
    async def act(stage: Stage) -> None:
        _, listener, consumer = await stage.member("first")
        await stage.member("second")
        (taken,) = set(PLACES) - listener.has
        with pytest.raises(IllegalStateError):
            consumer.seek(taken, 0)
        assert len(stage.world.violations) == 1

    Stage().run(act)


def test_a_publication_that_fails_may_have_written_the_first_of_it() -> None:
    written = set()

    async def act(stage: Stage) -> None:
        publisher = stage.kafka.publisher(Process("p"))
        stage.kafka.fails = 1.0
        for _ in range(60):
            before = _count(stage)
            with pytest.raises(KafkaConnectionError):
                await publisher.tell([told(1), told(2)])
            await asyncio.sleep(1)
            written.add(_count(stage) - before)

    Stage().run(act)
    assert written == {0, 1, 2}


def _count(stage: Stage) -> int:
    return sum(len(partition.records) for partition in stage.kafka.partitions.values())
