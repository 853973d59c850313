"""What goes wrong, when, for how long: drawn from the seed, of the kinds that the plan allows."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.simulation.cluster import Cluster, Incarnation
from tests.simulation.flows import Flows
from tests.simulation.gateway import SimulatedGateway
from tests.simulation.world import World


class Chaos:
    """`weather` settles the chances that hold throughout; `rage` makes single things happen."""

    def __init__(self, world: World, cluster: Cluster, gateway: SimulatedGateway, flows: Flows) -> None:
        self.world = world
        self.cluster = cluster
        self.gateway = gateway
        self.flows = flows
        self.chance = world.stream("chaos")
        self._under_way: list[asyncio.Task[None]] = []
        self._blows: dict[str, Callable[[], Awaitable[None]]] = {
            "kill": self._kill,
            "zombie": self._zombie,
            "stall": self._stall,
            "stop": self._stop,
            "move": self._move,
            "force": self._force,
            "partition": self._partition,
            "journal_slow": self._journal_slow,
            "journal_down": self._journal_down,
            "journal_cut": self._journal_cut,
            "wall_jumps": self._wall_jumps,
            "database_jumps": self._database_jumps,
            "gateway_down": self._gateway_down,
            "flows_die": self._flows_die,
        }

    def weather(self) -> None:
        faults, chance = self.world.plan.faults, self.chance
        weather, trouble = self.world.weather, self.world.trouble
        if "slow_network" in faults:
            weather.slow = chance.choice((0.02, 0.2))
            weather.slowest = chance.choice((0.1, 4.0, 15.0))
        if "lossy_network" in faults:
            weather.lost = chance.choice((0.01, 0.1))
        if "duplicates" in faults:
            weather.twice = chance.choice((0.02, 0.3))
        if "journal_fails" in faults:
            trouble.fails = chance.choice((0.01, 0.1, 0.3))
        if "journal_late" in faults:
            trouble.fails = max(trouble.fails, 0.05)
            trouble.late = 0.6
        if "journal_partial" in faults:
            trouble.fails = max(trouble.fails, 0.05)
            trouble.partial = 0.7
        if "stores_fail" in faults:
            self.flows.services.calls.fails = chance.choice((0.02, 0.2))
        if "gateway_fails" in faults:
            self.gateway.fails = chance.choice((0.05, 0.3))
            self.gateway.refuses = chance.choice((0.0, 0.2))

    def clear_up(self) -> None:
        """The faults end; what is under way ends by itself."""
        for task in self._under_way:
            task.cancel()
        weather, trouble = self.world.weather, self.world.trouble
        weather.slow = weather.lost = weather.twice = 0.0
        weather.cut.clear()
        trouble.fails = 0.0
        trouble.down = False
        trouble.quick = trouble.usual
        self.gateway.fails = self.gateway.refuses = 0.0
        self.flows.services.calls.fails = 0.0
        self.gateway.down = False
        for incarnation in self.cluster.everybody:
            incarnation.journal.cut = incarnation.deaf = False
            if incarnation.process.stalled:
                self.world.loop.resume(incarnation.process)
            if incarnation.superseded:
                self.cluster.kill(incarnation)
        for name in self.cluster.names:
            current = self.cluster.current.get(name)
            if current is None or current.process.dead or current.host.ended:
                self.cluster.start(name)
        for shard, name in self.cluster.assigned.items():
            if not name:
                self.cluster.assigned[shard] = self.cluster.names[0]
        self.flows.journal.cut = False
        if self.flows.process.dead:
            self.flows.start()

    async def rage(self, seconds: float) -> None:
        kinds = [kind for kind in self._blows if kind in self.world.plan.faults]
        until = self.world.loop.time() + seconds
        while kinds and self.world.loop.time() < until:
            await self.world.sleep(self.chance.expovariate(1 / self.world.plan.pause))
            kind = self.chance.choice(kinds)
            self._under_way.append(asyncio.create_task(self._strike(kind), name=kind))

    async def _strike(self, kind: str) -> None:
        await self._blows[kind]()

    def _somebody(self) -> Incarnation | None:
        alive = [one for one in self.cluster.current.values() if not one.process.dead]
        return self.chance.choice(alive) if alive else None

    async def _restart(self, name: str) -> None:
        await self.world.sleep(self.chance.choice((0.01, 0.5, 3.0)))
        current = self.cluster.current.get(name)
        if current is None or current.process.dead:
            self.cluster.start(name)

    async def _kill(self) -> None:
        victim = self._somebody()
        if victim is not None:
            self.cluster.kill(victim)
            await self._restart(victim.name)

    async def _zombie(self) -> None:
        """A second incarnation starts while the first still runs, cut off from whoever assigns shards.

        Half of them are cut off from the database too: nothing tells such a one that its shards are gone, until it
        can renew its lease again. That may have run out before anyone took the shards.
        """
        victim, chance = self._somebody(), self.chance
        if victim is None:
            return
        victim.journal.cut = chance.random() < 0.5
        if victim.journal.cut:
            await self.world.sleep(chance.choice((0.0, 3.0)))
        if self.cluster.current.get(victim.name) is victim:
            self.cluster.start(victim.name)
        await self.world.sleep(chance.uniform(0.5, 10.0))
        victim.journal.cut = False
        await self.world.sleep(chance.uniform(0.0, 10.0))
        self.cluster.kill(victim)

    async def _stall(self) -> None:
        victim = self._somebody()
        if victim is None or victim.process.stalled:
            return
        seconds = self.chance.choice((0.2, 1.0, 3.0, 8.0))
        self.world.note(f"{victim.process.name} stalls for {seconds} s")
        victim.process.stalled = True
        again = self.cluster.start if seconds > 2 and self.chance.random() < 0.5 else None
        if again is not None:
            await self.world.sleep(self.chance.choice((0.5, 2.5)))
            if self.cluster.current.get(victim.name) is victim:
                again(victim.name)
        await self.world.sleep(seconds)
        if victim.process.stalled and not victim.process.dead:
            self.world.note(f"{victim.process.name} goes on")
            self.world.loop.resume(victim.process)
        if victim.superseded:
            await self.world.sleep(self.chance.uniform(0.0, 10.0))
            self.cluster.kill(victim)

    async def _stop(self) -> None:
        victim = self._somebody()
        if victim is None or victim.superseded:
            return
        self.world.note(f"{victim.process.name} is asked to stop")
        victim.superseded, victim.fights = True, False
        task = self.world.loop.spawn(victim.process, victim.host.stop(), "stop")
        await asyncio.wait([task], timeout=10.0)
        self.cluster.kill(victim)
        await self._restart(victim.name)

    async def _move(self) -> None:
        chance = self.chance
        some = chance.sample(self.cluster.shards, chance.randint(1, 3))
        to = chance.choice(self.cluster.names)
        self.world.note(f"{some} go to {to} in order")
        await self.cluster.hand_over(some, to)

    async def _force(self) -> None:
        """The new owner takes them while the old one has not heard yet."""
        chance = self.chance
        to = chance.choice(self.cluster.names)
        some = chance.sample(self.cluster.shards, chance.randint(1, 3))
        self.world.note(f"{some} go to {to} by force")
        deaf = [one for one in self.cluster.current.values() if one.name != to and chance.random() < 0.7]
        for one in deaf:
            one.deaf = True
            one.journal.cut = chance.random() < 0.4
        for shard in some:
            self.cluster.assigned[shard] = to
        await self.world.sleep(chance.uniform(0.5, 8.0))
        for one in deaf:
            one.deaf = one.journal.cut = False

    async def _partition(self) -> None:
        chance = self.chance
        names = [one.process.name for one in self.cluster.alive()] + ["replica0", "replica1", self.flows.process.name]
        pair = chance.choice(names), chance.choice(names)
        self.world.note(f"{pair[0]} and {pair[1]} cannot hear each other")
        self.world.weather.cut[pair] = None
        await self.world.sleep(chance.uniform(0.5, 8.0))
        self.world.weather.cut.pop(pair, None)

    async def _journal_slow(self) -> None:
        self.world.trouble.quick = (0.001, self.chance.choice((0.1, 1.5)))
        await self.world.sleep(self.chance.uniform(0.5, 6.0))
        self.world.trouble.quick = self.world.trouble.usual

    async def _journal_down(self) -> None:
        self.world.note("the database is down")
        self.world.trouble.down = True
        await self.world.sleep(self.chance.uniform(0.1, 6.0))
        self.world.trouble.down = False
        self.world.note("the database is up")

    async def _journal_cut(self) -> None:
        victim = self._somebody()
        if victim is not None:
            self.world.note(f"{victim.process.name} is cut off from the database")
            victim.journal.cut = True
            await self.world.sleep(self.chance.uniform(0.5, 8.0))
            victim.journal.cut = False

    async def _wall_jumps(self) -> None:
        victim = self._somebody()
        if victim is not None:
            victim.clock.jump(self.chance.choice((-86_400_000, -5_000, 5_000, 86_400_000)))

    async def _database_jumps(self) -> None:
        """Back only: leases count on its clock not running ahead of time."""
        self.world.database_offset -= self.chance.choice((10, 500, 5_000))

    async def _gateway_down(self) -> None:
        self.gateway.down = True
        await self.world.sleep(self.chance.uniform(0.5, 10.0))
        self.gateway.down = False

    async def _flows_die(self) -> None:
        self.flows.kill()
        await self.world.sleep(self.chance.uniform(0.0, 5.0))
        if self.flows.process.dead:
            self.flows.start()
