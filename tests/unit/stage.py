"""A cluster of toy accounts on the doubles: hosts in one loop, on time that only the test moves."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from actors.decision import Message
from actors.journal.base import Journal, ShardId
from actors.runtime.clock import SystemClock, SystemEntropy
from actors.runtime.host import Host
from actors.runtime.in_process import InProcess, NearLink, NearWay
from actors.runtime.limits import Limits
from actors.runtime.ports import Answer, Done
from actors.runtime.region import Region
from actors.runtime.wire import Envelope, Mode, Result, Status
from tests.unit.doubles import CountingEntropy, FakeClock, MemoryJournal, turns
from tests.unit.toy import Note, Statement, Toy, names

T = TypeVar("T")

SHARDS = 4
LIMITS = Limits(shards=SHARDS)
# No test may take longer than this by its own clock.
MOST = 120.0


class Bank:
    """Carries out the effects: at once, or, while it is `shut`, never; `failing` times it raises first."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.shut = False
        self.failing = 0

    async def run(self, request: Message) -> Message:
        reference = str(getattr(request, "reference", ""))
        self.calls.append(reference)
        if self.shut:
            await asyncio.get_running_loop().create_future()
        if self.failing:
            self.failing -= 1
            raise ConnectionError("no answer")
        return Note(f"paid {reference}")


class Network(NearWay):
    """The way to the hosts; `lost`: how many answers to messages don't come back from now on."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0

    def link(self, kind: str, shard: int) -> NearLink | None:
        near = super().link(kind, shard)
        return None if near is None else LossyLink(near.host, self)


class LossyLink(NearLink):
    def __init__(self, host: Host, network: Network) -> None:
        super().__init__(host)
        self.network = network

    def post(self, envelope: Envelope, done: Done) -> None:
        def answered(result: Result) -> None:
            if self.network.lost and envelope.mode is Mode.MESSAGE:
                self.network.lost -= 1
                result = Result(Status.UNAVAILABLE)
            done(result)

        super().post(envelope, answered)


class Stage:
    """One cluster. Several on one journal are parts of a network that do not see each other."""

    def __init__(self, limits: Limits = LIMITS, beside: "Stage | None" = None) -> None:
        self.clock: FakeClock = beside.clock if beside else FakeClock()
        self.journal: MemoryJournal = beside.journal if beside else MemoryJournal(self.clock)
        self.entropy: CountingEntropy = beside.entropy if beside else CountingEntropy()
        self.toy = Toy()
        self.bank = Bank()
        self.limits = limits
        runners = {"account": self.bank}
        self.cluster = InProcess(self.toy.kinds(), self.journal, self.clock, self.entropy, limits, runners)
        self.network = self.cluster.way = Network()
        self.cluster.region = Region(self.cluster.kinds, self.network, self.clock, self.entropy, limits.shards)

    async def start(self, name: str = "h", shards: Sequence[int] | None = None) -> Host:
        """Starts a host with these shards (None: all), and lets what time it needs pass."""
        ids: list[ShardId] | None = None if shards is None else [("account", n) for n in shards]
        return await self.run(self.cluster.start(name, ids))

    async def kill(self, host: Host) -> None:
        await host.kill()
        self.cluster.way.hosts.remove(host)

    async def stop(self, host: Host) -> None:
        await self.run(host.stop())
        self.cluster.way.hosts.remove(host)

    async def close(self) -> None:
        for host in self.cluster.way.hosts:
            await host.kill()

    async def run(self, work: Awaitable[T], most: float = MOST) -> T:
        """Waits for this while time moves on by itself."""
        task = asyncio.ensure_future(work)
        until = self.clock.monotonic() + most
        while True:
            await turns()
            if task.done():
                return task.result()
            if self.clock.monotonic() > until:
                task.cancel()
                raise AssertionError(f"not done after {most} s")
            self.clock.tick()

    async def until(self, holds: Callable[[], bool], most: float = MOST) -> None:
        """Lets time pass until a condition holds."""
        until = self.clock.monotonic() + most
        await turns()
        while not holds():
            assert self.clock.monotonic() <= until, f"not so after {most} s"
            self.clock.tick()
            await turns()

    async def ask(
        self,
        entity: str,
        command: Message,
        key: str | None = None,
        fingerprint: bytes = b"",
        seconds: float = 10.0,
        creates: bool = False,
        follow: bool = False,
    ) -> Answer:
        asking = self.cluster.region.ask(
            "account",
            entity,
            command,
            command_id=key,
            fingerprint=fingerprint,
            seconds=seconds,
            creates=creates,
            follow=follow,
        )
        return await self.run(asking)

    def asking(self, entity: str, command: Message, key: str | None = None) -> "asyncio.Task[Answer]":
        """Asks, and does not wait."""
        asking = self.cluster.region.ask("account", entity, command, command_id=key)
        return asyncio.ensure_future(asking)

    async def view(self, entity: str) -> Statement:
        answer = await self.run(self.cluster.region.read("account", entity))
        assert isinstance(answer.reply, Statement)
        return answer.reply

    def ids(self, shard: int, count: int) -> list[str]:
        return names(shard, count, self.limits.shards)


def real_cluster(journal: Journal, toy: Toy, bank: Bank, limits: Limits = LIMITS) -> InProcess:
    """The same on the machine's own time, for databases whose answers take some."""
    return InProcess(toy.kinds(), journal, SystemClock(), SystemEntropy(), limits, {"account": bank})
