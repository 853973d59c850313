"""What goes wrong, when, for how long: drawn from the seed, of the kinds that the plan allows."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.simulation.cluster import Cluster, Incarnation
from tests.simulation.conditions import clear_up
from tests.simulation.flows import Flows
from tests.simulation.gateway import SimulatedGateway
from tests.simulation.kafka import NAME
from tests.simulation.keepers import Keeper
from tests.simulation.world import World


class Chaos:
    """Makes single things happen; see conditions.py for the chances that hold throughout."""

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
            "log_down": self._log_down,
            "members_stall": self._members_stall,
            "clients_break": self._clients_break,
        }

    def clear_up(self) -> None:
        """The faults end; what is under way ends by itself."""
        for task in self._under_way:
            task.cancel()
        clear_up(self.world, self.gateway, self.cluster, self.flows)

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
        cut = chance.random() < 0.5
        if cut:
            victim.cut(True)
            await self.world.sleep(chance.choice((0.0, 3.0)))
        if self.cluster.current.get(victim.name) is victim:
            self.cluster.start(victim.name)
        await self.world.sleep(chance.uniform(0.5, 10.0))
        victim.cut(False)
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
        task = self.world.loop.spawn(victim.process, victim.group.stop(), "stop")
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
            one.cut(chance.random() < 0.4)
        for shard in some:
            self.cluster.assigned[shard] = to
        await self.world.sleep(chance.uniform(0.5, 8.0))
        for one in deaf:
            one.deaf = False
            one.cut(False)

    async def _partition(self) -> None:
        chance = self.chance
        names = [one.process.name for one in self.cluster.alive()] + ["replica0", "replica1"]
        names += [one.process.name for one in self.flows.members]
        if self.world.kafka is not None:
            names.append(NAME)
        pair = chance.choice(names), chance.choice(names)
        self.world.note(f"{pair[0]} and {pair[1]} cannot hear each other")
        self.world.weather.cut[pair] = None
        await self.world.sleep(chance.uniform(0.5, 8.0))
        self.world.weather.cut.pop(pair, None)

    def _keeper(self) -> Keeper:
        return self.chance.choice(self.world.keepers)

    async def _journal_slow(self) -> None:
        trouble = self._keeper().trouble
        trouble.quick = (0.001, self.chance.choice((0.1, 1.5)))
        await self.world.sleep(self.chance.uniform(0.5, 6.0))
        trouble.quick = trouble.usual

    async def _journal_down(self) -> None:
        keeper = self._keeper()
        self.world.note(f"{keeper.name} is down")
        keeper.trouble.down = True
        await self.world.sleep(self.chance.uniform(0.1, 6.0))
        keeper.trouble.down = False
        self.world.note(f"{keeper.name} is up")

    async def _journal_cut(self) -> None:
        victim = self._somebody()
        if victim is not None:
            self.world.note(f"{victim.process.name} is cut off from a database")
            journal = self.chance.choice(victim.journals)
            journal.cut = True
            await self.world.sleep(self.chance.uniform(0.5, 8.0))
            journal.cut = False

    async def _wall_jumps(self) -> None:
        victim = self._somebody()
        if victim is not None:
            victim.clock.jump(self.chance.choice((-86_400_000, -5_000, 5_000, 86_400_000)))

    async def _database_jumps(self) -> None:
        """Back only: leases count on its clock not running ahead of time."""
        self._keeper().offset -= self.chance.choice((10, 500, 5_000))

    async def _gateway_down(self) -> None:
        self.gateway.down = True
        await self.world.sleep(self.chance.uniform(0.5, 10.0))
        self.gateway.down = False

    async def _flows_die(self) -> None:
        member = self.chance.choice(self.flows.members)
        member.kill()
        await self.world.sleep(self.chance.uniform(0.0, 5.0))
        if member.process.dead:
            member.start()

    async def _log_down(self) -> None:
        kafka = self.world.kafka
        assert kafka is not None
        self.world.note("Kafka is down")
        kafka.down = True
        await self.world.sleep(self.chance.uniform(0.1, 6.0))
        kafka.down = False
        self.world.note("Kafka is up")

    async def _members_stall(self) -> None:
        """For long enough to be thought dead, sometimes; then another life may begin beside this one."""
        chance = self.chance
        member = chance.choice(self.flows.members)
        life = member.process
        if life.dead or life.stalled:
            return
        self.world.note(f"{life.name} stalls")
        life.stalled = True
        await self.world.sleep(chance.choice((0.5, 3.0, 6.0)) * chance.random())
        if chance.random() < 0.4 and member.process is life:
            member.start()
        await self.world.sleep(chance.uniform(0.0, 3.0))
        if life.stalled and not life.dead:
            self.world.note(f"{life.name} goes on")
            self.world.loop.resume(life)
        if member.process is not life:
            await self.world.sleep(chance.uniform(0.0, 10.0))
            member.kill(life)

    async def _clients_break(self) -> None:
        assert self.world.kafka is not None
        if consumers := self.world.kafka.consumers:
            self.chance.choice(consumers).break_off()
