"""The shop's own flows (`open_payments`, `settle_orders`) in a process that dies and comes back."""

from collections.abc import Iterable

from actors.kinds import KINDS
from actors.runtime.region import Region
from actors.runtime.wire import body_of
from pipelines.log.base import Happened
from pipelines.log.sql import JournalLog
from pipelines.open_payments import open_payments
from pipelines.progress import DeadLetter, Reached
from pipelines.runner import FlowRunner
from pipelines.settle_orders import settle_orders
from tests.simulation.clock import SimulatedClock
from tests.simulation.cluster import Cluster, ClusterWay
from tests.simulation.entropy import SeededEntropy
from tests.simulation.journal import SimulatedJournal
from tests.simulation.loop import Process
from tests.simulation.world import World


class SimulatedProgress:
    """Implements Progress: what is saved outlives the process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._saved: dict[str, tuple[int, frozenset[str]]] = {}
        self.letters: list[DeadLetter] = []

    async def load(self, flow: str) -> Reached:
        await self._world.pass_time()
        position, ahead = self._saved.get(flow, (0, frozenset()))
        return Reached(position, ahead, frozenset())

    async def save(self, flow: str, position: int, ahead: Iterable[Happened]) -> None:
        handled = frozenset(one.id for one in ahead)
        await self._world.pass_time()
        if position >= self._saved.get(flow, (0, handled))[0]:
            self._saved[flow] = (position, handled)

    async def bury(self, flow: str, letter: DeadLetter) -> None:
        self._world.violate(f"flow {flow} buried {letter.happened.id}: {letter.error}")
        self.letters.append(letter)

    async def wanted(self, flow: str, ordered: bool) -> list[DeadLetter]:
        return []

    async def exhume(self, flow: str, event_id: str) -> None:
        raise AssertionError("nothing is wanted")


class Flows:
    """Both flows, in one process at a time."""

    def __init__(self, world: World, cluster: Cluster) -> None:
        self._world = world
        self._cluster = cluster
        self._progress = SimulatedProgress(world)
        self._number = 0
        self.process = Process("flows.0")
        self.runners: list[FlowRunner] = []
        self.journal = SimulatedJournal(world.database)

    def start(self) -> None:
        self._number += 1
        world = self._world
        self.process = Process(f"flows.{self._number}")
        chance = world.stream("flows", self._number)
        clock = SimulatedClock(world.loop, chance)
        self.journal = SimulatedJournal(world.database, world.trouble, chance)
        way = ClusterWay(world, self._cluster, self.process)
        region = Region(KINDS, way, clock, SeededEntropy(chance), self._cluster.limits.shards)
        log = JournalLog(self.journal, look_every=0.3)
        self.runners = [
            FlowRunner(flow, log, self._progress, clock=clock)
            for flow in (open_payments(region), settle_orders(region))
        ]
        world.loop.spawn(self.process, way.keep_fresh(1.0), "way")
        for runner in self.runners:
            world.loop.spawn(self.process, runner.start(), f"flow {runner.flow.name}")

    def kill(self) -> None:
        self._world.note(f"{self.process.name} dies")
        self.process.dead = True
        self._world.network.hang_up(self.process)

    def behind(self) -> str:
        """What the flows have still to do; empty if nothing."""
        end = len(self._world.database.records)
        lagging = []
        for runner in self.runners:
            tail = self._world.database.records[runner.position : end]
            if any(body_of(record).events for record in tail):
                lagging.append(f"flow {runner.flow.name} is at {runner.position} of {end}")
        return "; ".join(lagging)
