"""The shop's flows, in a process that dies and comes back, and the services that they keep up to date."""

import asyncio
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from actors.kinds import KINDS
from actors.runtime.region import Region
from actors.runtime.wire import body_of
from pipelines.count_orders import count_orders
from pipelines.erase_people import Forgetting, erase_people
from pipelines.flow import Flow
from pipelines.join_guest_orders import Joining, join_guest_orders
from pipelines.keep_transactions import keep_transactions
from pipelines.log.base import Happened
from pipelines.log.sql import JournalLog
from pipelines.notify_users import notify_users
from pipelines.open_payments import open_payments
from pipelines.progress import DeadLetter, Reached
from pipelines.runner import FlowRunner
from pipelines.send_mails import raise_foremost, send_mails
from pipelines.settle_orders import settle_orders
from pipelines.shared_log import SharedLog
from pipelines.show_activity import show_activity
from tests.simulation.clock import SimulatedClock
from tests.simulation.cluster import Cluster, ClusterWay
from tests.simulation.database import Database, woken
from tests.simulation.entropy import SeededEntropy
from tests.simulation.journal import SimulatedJournal
from tests.simulation.loop import Process
from tests.simulation.mails import SimulatedMails
from tests.simulation.people import SimulatedOutbox, Users
from tests.simulation.stores import Calls, Contacts, Transactions
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


class Services:
    """What the flows keep up to date, and what they ask: each outlives their process."""

    def __init__(self, world: World) -> None:
        self.calls = Calls(world)
        self.users = Users(world, self.calls)
        self.contacts = Contacts(self.calls)
        self.transactions = Transactions(self.calls)
        self.mails = SimulatedMails(world, self.calls, self.contacts, self.users)


class WokenLog(JournalLog):
    """Looks a while after something was written, `longest` seconds at most: else a life is spent on looking."""

    def __init__(self, journal: SimulatedJournal, database: Database, chance: Random, longest: float) -> None:
        super().__init__(journal)
        self._database = database
        self._chance = chance
        self._longest = longest
        self._nothing = (-1, -1)
        """Behind the first there was nothing when there were so many records as the second says."""

    async def read(self, after: int, limit: int) -> list[Happened]:
        seen = (after, len(self._database.records))
        if seen == self._nothing:
            return []
        found = await super().read(after, limit)
        if not found:
            self._nothing = seen
        return found

    async def wait(self, after: int, seconds: float) -> None:
        if (after, len(self._database.records)) == self._nothing:
            await woken(self._database.waiting, seconds)
        if (after, len(self._database.records)) != self._nothing:
            await asyncio.sleep(self._chance.uniform(0.0, self._longest))


def together(name: str, flows: Sequence[Flow]) -> Flow:
    """Several flows as one, so that fewer runners are simulated: what fails in one is done again in all."""
    reads: dict[str, tuple[type[Any], ...]] = {}
    for flow in flows:
        for kind, types in flow.reads.items():
            reads[kind] = tuple(dict.fromkeys((*reads.get(kind, ()), *types)))

    async def handle(happened: Happened, event: Any) -> None:
        wanted = [flow for flow in flows if isinstance(event, flow.reads.get(happened.kind, ()))]
        raise_foremost(await asyncio.gather(*(flow.handle(happened, event) for flow in wanted), return_exceptions=True))

    return Flow(name, reads, handle, ordered=False)


class Flows:
    """All flows, in one process at a time."""

    def __init__(self, world: World, cluster: Cluster, services: Services) -> None:
        self._world = world
        self._cluster = cluster
        self.services = services
        self._progress = SimulatedProgress(world)
        self._number = 0
        self.process = Process("flows.0")
        self.runners: list[FlowRunner] = []
        self.of_users: list[FlowRunner] = []
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
        self._furnish(region, chance, clock)
        world.loop.spawn(self.process, way.keep_fresh(1.0), "way")
        for runner in (*self.runners, *self.of_users):
            world.loop.spawn(self.process, runner.start(), f"flow {runner.flow.name}")

    def _furnish(self, region: Region, chance: Random, clock: SimulatedClock) -> None:
        services = self.services
        # As in a shop: the flows that everything waits for read the journal for themselves.
        soon, later = (SharedLog(WokenLog(self.journal, self._world.database, chance, most)) for most in (0.3, 1.0))
        forgetting = Forgetting(services.contacts, services.mails, services.users)
        joining = Joining(region, services.users, services.contacts, forgetting)
        of_orders = (count_orders(services.users, joining), send_mails(region, services.mails))
        of_users = (
            show_activity(services.users),
            join_guest_orders(joining),
            erase_people(forgetting, clock),
            notify_users(services.mails, services.users),
        )
        flows = (
            (soon, open_payments(region)),
            (soon, settle_orders(region)),
            (later, keep_transactions(services.transactions)),
            (later, together("of_orders", of_orders)),
        )
        self.runners = [FlowRunner(flow, log, self._progress, clock=clock) for log, flow in flows]
        outbox = SimulatedOutbox(services.users, services.calls)
        self.of_users = [FlowRunner(together("of_users", of_users), outbox, self._progress, clock=clock)]

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
        told = len(self.services.users.outbox)
        for runner in self.of_users:
            if runner.position < told:
                lagging.append(f"flow {runner.flow.name} is at {runner.position} of {told}")
        return "; ".join(lagging)
