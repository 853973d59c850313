"""Hosts that come and go, and who is to have which shard."""

from collections.abc import Mapping, Sequence

from actors.journal.base import ShardId
from actors.kinds import KINDS
from actors.runtime.furnishing import Kept, hosts_of
from actors.runtime.in_process import all_shards
from actors.runtime.limits import Limits
from actors.runtime.on_ray.host_group import HostGroup
from actors.runtime.ports import Done, EffectRunner, Publisher
from actors.runtime.region import Region
from actors.runtime.shard import Shard
from actors.runtime.wire import Envelope, Record
from tests.simulation.clock import SimulatedClock
from tests.simulation.entropy import SeededEntropy
from tests.simulation.loop import Process
from tests.simulation.network import SimulatedLink
from tests.simulation.world import World

KEEPER_EVERY = 0.3


class Incarnation:
    """One life of a host's process. `superseded`: another of its name was started; it hears nothing of it.

    `deaf`: it does not hear who is to have what. `fights`: it takes back what it believes to be its own.
    Implements Contents: its hosts are made as in production.
    """

    def __init__(self, world: World, cluster: "Cluster", name: str, number: int, limits: Limits) -> None:
        chance = world.stream("host", name, number)
        self.name = name
        self.process = Process(f"{name}.{number}")
        self.clock = SimulatedClock(world.loop, chance, spread_ms=3_600_000)
        self.journals = [keeper.connect(chance) for keeper in world.keepers]
        self.way = ClusterWay(world, cluster, self.process)
        entropy = SeededEntropy(chance)
        self.region = Region(KINDS, self.way, self.clock, entropy, limits.shards)
        kept = zip(world.keepers, self.journals, strict=True)
        self.kept: Sequence[Kept] = [Kept(keeper.kinds, journal) for keeper, journal in kept]
        self.runners: Mapping[str, EffectRunner] = {"payment": world.gateway.runner()}
        self.limits = limits
        self.publisher: Publisher | None = None if world.kafka is None else world.kafka.publisher(self.process)
        self.group = HostGroup(hosts_of(self.process.name, self, self.clock, entropy, self.region.post))
        self.superseded = False
        self.deaf = False
        self.fights = chance.random() < 0.3
        self.believes: list[ShardId] = []

    def accept(self, envelope: Envelope, done: Done) -> None:
        self.group.accept(envelope, done)

    def wrote(self, position: int, record: Record) -> None:
        """Nobody here wants to know."""

    def cut(self, whether: bool) -> None:
        """From all of its databases, or from none any more."""
        for journal in self.journals:
            journal.cut = whether

    def shards(self) -> list[Shard]:
        return [shard for host in self.group.hosts for shard in host.shards.values()]


class ClusterWay:
    """Implements Way: what one process believes about who has what. It learns by asking, and may be wrong."""

    def __init__(self, world: World, cluster: "Cluster", process: Process) -> None:
        self._world = world
        self._cluster = cluster
        self._process = process
        self._where: dict[ShardId, Incarnation] = {}

    def link(self, kind: str, shard: int) -> SimulatedLink | None:
        incarnation = self._where.get((kind, shard))
        return None if incarnation is None else self._world.network.link(self._process, incarnation)

    async def refresh(self) -> None:
        await self._world.pass_time()
        self._where = self._cluster.directory()

    async def keep_fresh(self, seconds: float) -> None:
        while True:
            await self.refresh()
            await self._world.sleep(seconds)


class Cluster:
    """Assigns shards to host names, and starts and ends the incarnations behind them."""

    def __init__(self, world: World, hosts: int, shards: int) -> None:
        self.world = world
        chance = world.stream("limits")
        self.limits = Limits(
            shards=shards,
            checkpoint=chance.choice((0.5, 2.0, 5.0)),
            idle=chance.choice((0.5, 5.0, 300.0)),
            snapshot_every=chance.choice((3, 20, 100)),
            snapshot_idle=2,
            recent_commands=chance.choice((2, 20, 500)),
            batch_records=chance.choice((1, 3, 2_000)),
            effect_seconds=4.0,
            retry_most=chance.choice((2.0, 8.0)),
        )
        self.shards = all_shards(KINDS, shards)
        self.names = [f"host{n}" for n in range(hosts)]
        self.current: dict[str, Incarnation] = {}
        self.everybody: list[Incarnation] = []
        self.assigned: dict[ShardId, str] = {
            shard: self.names[place % hosts] for place, shard in enumerate(self.shards)
        }

    def directory(self) -> dict[ShardId, Incarnation]:
        """Where each shard is said to be."""
        return {shard: self.current[name] for shard, name in self.assigned.items() if name in self.current}

    def start(self, name: str) -> Incarnation:
        """A new incarnation; one that still runs under the name is left to itself."""
        before = self.current.get(name)
        if before is not None:
            before.superseded = True
        number = sum(one.name == name for one in self.everybody) + 1
        incarnation = Incarnation(self.world, self, name, number, self.limits)
        self.everybody.append(incarnation)
        self.current[name] = incarnation
        self.world.note(f"{incarnation.process.name} starts")
        self.world.loop.spawn(incarnation.process, self._live(incarnation), f"life of {incarnation.process.name}")
        self.world.loop.spawn(incarnation.process, incarnation.way.keep_fresh(1.0), "way")
        return incarnation

    def kill(self, incarnation: Incarnation) -> None:
        if not incarnation.process.dead:
            self.world.note(f"{incarnation.process.name} dies")
            incarnation.process.dead = True
            self.world.network.hang_up(incarnation.process)

    async def _live(self, incarnation: Incarnation) -> None:
        """Does what placement asks of a host."""
        group, clock = incarnation.group, incarnation.clock
        await group.start()
        while not group.ended:
            if not (incarnation.superseded or incarnation.deaf):
                incarnation.believes = [shard for shard, name in self.assigned.items() if name == incarnation.name]
            if not incarnation.superseded or incarnation.fights:
                await self._obey(incarnation, incarnation.believes)
            await clock.sleep(KEEPER_EVERY)

    async def _obey(self, incarnation: Incarnation, wanted: Sequence[ShardId]) -> None:
        group = incarnation.group
        surplus = [shard for shard in group.shards if shard not in wanted]
        if surplus:
            await group.disown(surplus)
        has = group.shards
        missing = [shard for shard in wanted if shard not in has]
        if missing:
            await group.own(missing)
            self.world.note(f"{incarnation.process.name} has {len(group.shards)} of {len(wanted)} shards")

    async def hand_over(self, shards: Sequence[ShardId], to: str) -> None:
        """In order: who has them lets go first. Waited for a while; then they are taken."""
        for shard in shards:
            source = self.current.get(self.assigned[shard])
            self.assigned[shard] = ""
            for _ in range(40):
                if source is None or source.process.dead or shard not in source.group.shards:
                    break
                await self.world.sleep(0.1)
            self.assigned[shard] = to

    def alive(self) -> list[Incarnation]:
        return [one for one in self.everybody if not one.process.dead]
