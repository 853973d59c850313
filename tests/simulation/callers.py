"""Those who ask: replicas with a region each, and people who ask through any of them, again when nobody answers."""

import asyncio
from collections.abc import Awaitable

from actors.cart import CartView
from actors.decision import Message
from actors.kinds import KINDS
from actors.runtime.ports import Answer, CommandFailed, Overloaded, Unavailable
from actors.runtime.region import Region
from tests.simulation.clock import SimulatedClock
from tests.simulation.cluster import Cluster, ClusterWay
from tests.simulation.entropy import SeededEntropy
from tests.simulation.ledger import Ledger
from tests.simulation.loop import Process
from tests.simulation.world import World


class Replica:
    """A process of the web tier."""

    def __init__(self, world: World, cluster: Cluster, name: str) -> None:
        chance = world.stream("replica", name)
        self.process = Process(name)
        self.clock = SimulatedClock(world.loop, chance, spread_ms=60_000)
        self.way = ClusterWay(world, cluster, self.process)
        self.region = Region(KINDS, self.way, self.clock, SeededEntropy(chance), cluster.limits.shards)


class Person:
    """Somebody with one device: asks, retries under the same command id, and never sees an entity go back."""

    def __init__(self, world: World, ledger: Ledger, replicas: list[Replica], name: str) -> None:
        self.world = world
        self.ledger = ledger
        self.name = name
        self.chance = world.stream("person", name)
        self._replicas = replicas
        self._seen: dict[tuple[str, str], int] = {}
        self._keys = 0

    def key(self) -> str:
        self._keys += 1
        return f"{self.name}-{self._keys}"

    async def idle(self, longest: float = 1.5) -> None:
        await asyncio.sleep(self.chance.uniform(0, longest) * self.world.plan.haste)

    def _region(self) -> Region:
        return self.chance.choice(self._replicas).region

    async def ask(
        self,
        kind: str,
        entity: str,
        command: Message,
        key: str | None = None,
        follow: bool = False,
        creates: bool = False,
        tries: int = 12,
    ) -> Answer | None:
        """None: nobody answered; the command may have been carried out."""
        for attempt in range(tries):
            floor = self.ledger.floor(kind, entity)
            seconds = self.chance.choice((0.3, 2.0, 10.0))
            try:
                ask = self._region().ask(
                    kind,
                    entity,
                    command,
                    command_id=key,
                    fingerprint=b"f",
                    seconds=seconds,
                    creates=creates and attempt == 0,
                    follow=follow,
                )
                answer = await self._maybe_hang_up(ask)
            except (Unavailable, Overloaded, TimeoutError):
                if key is None:
                    return None
                await self.idle(1.0)
                continue
            except CommandFailed:
                self.world.violate(f"{type(command).__name__} to {kind}/{entity} raised")
                return None
            if not follow:
                self._hear(kind, entity, command, key, answer, floor)
            return answer
        return None

    async def _maybe_hang_up(self, ask: Awaitable[Answer]) -> Answer:
        if "hang_ups" in self.world.plan.faults and self.chance.random() < 0.1:
            async with asyncio.timeout(self.chance.uniform(0, 0.02)):
                return await ask
        return await ask

    def _hear(self, kind: str, entity: str, command: Message, key: str | None, answer: Answer, floor: int) -> None:
        name = type(command).__name__
        self.world.note(f"{self.name}: {name} to {kind}/{entity} ({key}): {answer}"[:300])
        transient = type(answer.reply).__name__ == "PricesNeeded"
        if key is not None and not transient:
            self.ledger.replied(kind, entity, "c:" + key, answer.reply, answer.version)
        self.ledger.heard(kind, entity, answer.version, 0 if answer.repeated else floor, name)
        if isinstance(answer.reply, CartView):
            self.ledger.shown(kind, entity, answer.version, answer.reply)
        if not answer.repeated:
            self._seen[kind, entity] = max(answer.version, self._seen.get((kind, entity), 0))

    async def read(self, kind: str, entity: str, tries: int = 6) -> Answer | None:
        """The view now. What this person has seen or, anyone was told of before, must be in it."""
        seen = self._seen.get((kind, entity), 0)
        for _ in range(tries):
            floor = self.ledger.floor(kind, entity)
            at_least = seen if self.chance.random() < 0.5 else 0
            try:
                answer = await self._region().read(kind, entity, at_least=at_least, seconds=2.0)
            except (Unavailable, Overloaded):
                await self.idle(0.5)
                continue
            self.ledger.heard(kind, entity, answer.version, max(floor, at_least), f"a read by {self.name}")
            self.ledger.shown(kind, entity, answer.version, answer.reply)
            self._seen[kind, entity] = max(seen, answer.version)
            return answer
        return None

    async def stare(self) -> None:
        """Reads what others change, for ever, by a way that it looks up only when nobody answers any more."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.01, 0.2))
            known = list(self.ledger.floors)[-12:]
            if known:
                await self.read(*self.chance.choice(known), tries=1)

    async def watch(self, kind: str, entity: str, seconds: float) -> Answer | None:
        floor = self.ledger.floor(kind, entity)
        try:
            answer = await self._region().watch(kind, entity, seconds=seconds)
        except (Unavailable, Overloaded):
            return None
        self.ledger.heard(kind, entity, answer.version, floor, f"a watch by {self.name}")
        self.ledger.shown(kind, entity, answer.version, answer.reply)
        return answer
