"""Consumer groups: members join, share the partitions anew, fall silent, and come back to find others have theirs."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError

from tests.simulation.database import Waiting, wake, woken
from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.simulation.kafka import SimulatedKafka

HEARTBEAT = 1.0
FETCH_SECONDS = (0.0005, 0.02)


class Share(NamedTuple):
    """What a member was given, in which generation of its group."""

    generation: int
    partitions: tuple[TopicPartition, ...]


class Group:
    """What Kafka knows of a group. Nobody is given anything before every member has let go of what it had."""

    def __init__(self, kafka: "SimulatedKafka", name: str) -> None:
        self.name = name
        self.waiting: Waiting = []
        self._kafka = kafka
        self._generation = 0
        self._sharing = False
        self._silent: dict[SimulatedConsumer, float] = {}
        self._joining: dict[SimulatedConsumer, asyncio.Future[Share | None]] = {}

    def join(self, member: "SimulatedConsumer") -> "asyncio.Future[Share | None]":
        """What the member is given, or None: it has to ask again."""
        answer: asyncio.Future[Share | None] = asyncio.get_running_loop().create_future()
        self._silent[member] = 0.0
        self._joining[member] = answer
        self._share_anew()
        return answer

    def leave(self, member: "SimulatedConsumer") -> None:
        if self._silent.pop(member, None) is not None:
            if (answer := self._joining.pop(member, None)) is not None:
                self._answer(member, answer, None)
            self._share_anew()

    def miss(self, seconds: float, longest: float) -> None:
        """So much time has passed."""
        for member in list(self._silent):
            heard = not member.stopped and self._kafka.reaches(member.process)
            self._silent[member] = 0.0 if heard else self._silent[member] + seconds
            if self._silent[member] >= longest:
                self.leave(member)

    def settled(self, member: "SimulatedConsumer", generation: int) -> bool:
        """Whether the member may keep what it was given in this generation."""
        return member in self._silent and generation == self._generation and not self._sharing

    def _share_anew(self) -> None:
        if not self._sharing:
            self._sharing = True
            wake(self.waiting)
        if all(member in self._joining for member in self._silent):
            self._sharing = False
            self._generation += 1
            members = list(self._joining)
            shares: dict[SimulatedConsumer, list[TopicPartition]] = {member: [] for member in members}
            for number, place in enumerate(self._places(members)):
                shares[members[number % len(members)]].append(place)
            for member, answer in self._joining.items():
                self._answer(member, answer, Share(self._generation, tuple(shares[member])))
            self._joining.clear()

    def _places(self, members: "Sequence[SimulatedConsumer]") -> list[TopicPartition]:
        topics = {topic for member in members for topic in member.topics}
        return [place for place in self._kafka.partitions if place.topic in topics]

    def _answer(self, member: "SimulatedConsumer", answer: "asyncio.Future[Share | None]", share: Share | None) -> None:
        def tell() -> None:
            if not answer.done():
                answer.set_result(share)

        delay = self._kafka.chance.uniform(*FETCH_SECONDS)
        self._kafka.world.loop.call_later(delay, tell, context=member.process.context.copy())


class SimulatedConsumer:
    """What the groups of flows ask of an AIOKafkaConsumer.

    After `break_off` it fetches nothing again, as after an error that the client did not foresee.
    """

    _listener: ConsumerRebalanceListener

    def __init__(self, kafka: "SimulatedKafka", process: Process, group: Group) -> None:
        self.process = process
        self.stopped = False
        self.topics: tuple[str, ...] = ()
        self._kafka = kafka
        self._group = group
        self._generation = 0
        self._at: dict[TopicPartition, int] = {}
        self._given = asyncio.Event()
        self._coordination_task: asyncio.Task[None] | None = None
        self._fetch_task: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Where the real one has the tasks that it lives by; see `pipelines.log.kafka.check`.
        self._fetcher = self._coordinator = self

    def break_off(self) -> None:
        self._fetch_task.cancel()

    def subscribe(self, topics: Iterable[str], listener: ConsumerRebalanceListener) -> None:
        self.topics, self._listener = tuple(topics), listener

    async def start(self) -> None:
        """Returns once it was given something. Raises KafkaConnectionError."""
        self._kafka.consumers.append(self)
        await asyncio.sleep(self._kafka.chance.uniform(*FETCH_SECONDS))
        if not self._kafka.reaches(self.process):
            await asyncio.sleep(self._kafka.chance.uniform(0.05, 1.0))
            raise KafkaConnectionError("simulated")
        self._coordination_task = asyncio.create_task(self._coordinate(), name=f"coordination of {self._group.name}")
        await self._given.wait()

    async def stop(self) -> None:
        """Kafka hears of it, if it can; else it misses the heartbeats."""
        self.stopped = True
        if self in self._kafka.consumers:
            self._kafka.consumers.remove(self)
        if self._coordination_task is not None:
            self._coordination_task.cancel()
            with suppress(asyncio.CancelledError):
                await self._coordination_task
        if self._kafka.reaches(self.process):
            self._group.leave(self)

    async def _coordinate(self) -> None:
        while True:
            await self._listener.on_partitions_revoked(list(self._at))
            self._at.clear()
            share = await self._join()
            self._generation = share.generation
            self._at = dict.fromkeys(share.partitions, 0)
            await self._listener.on_partitions_assigned(list(self._at))
            self._given.set()
            await self._learn_that_it_is_over()

    async def _join(self) -> Share:
        while True:
            if self._kafka.reaches(self.process):
                answer = self._group.join(self)
                await asyncio.wait([answer], timeout=10 * HEARTBEAT)
                if answer.done() and (share := answer.result()) is not None:
                    return share
            await asyncio.sleep(HEARTBEAT / 2)

    async def _learn_that_it_is_over(self) -> None:
        """By the answer to a heartbeat: also of a death that it was thought to have died."""
        while self._group.settled(self, self._generation) or not self._kafka.reaches(self.process):
            if self._group.settled(self, self._generation):
                await woken(self._group.waiting, 60.0)
            await asyncio.sleep(self._kafka.chance.uniform(0, HEARTBEAT))

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Raises IllegalStateError: others may have it by now."""
        if place not in self._at:
            self._kafka.world.violate(f"{self.process.name} reads {place}, which was taken from it")
            raise IllegalStateError(f"{place} is not assigned")
        self._at[place] = offset

    async def getmany(
        self, place: TopicPartition, *, timeout_ms: int = 0, max_records: int
    ) -> Mapping[TopicPartition, Sequence[Any]]:
        """What stands there, or nothing after a while."""
        found = self._fetch(place, max_records)
        if not found and timeout_ms:
            until = self._kafka.world.loop.time() + timeout_ms / 1000
            await woken(self._kafka.partitions[place].waiting, timeout_ms / 1000)
            await asyncio.sleep(
                min(self._kafka.chance.uniform(*FETCH_SECONDS), until - asyncio.get_running_loop().time())
            )
            found = self._fetch(place, max_records)
        if found and place in self._at:
            self._at[place] += len(found)
        return {place: found} if found else {}

    def _fetch(self, place: TopicPartition, limit: int) -> Sequence[Any]:
        if place not in self._at or self._fetch_task.done():
            return ()
        return self._kafka.fetch(self.process, place, self._at[place], limit)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """For onlookers only. Raises KafkaConnectionError, CommitFailedError."""
        await asyncio.sleep(self._kafka.chance.uniform(*FETCH_SECONDS))
        if not self._kafka.reaches(self.process):
            raise KafkaConnectionError("simulated")
        if not self._group.settled(self, self._generation):
            raise CommitFailedError
