"""The shop's flows, in processes that die and come back, and the services that they keep up to date."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol

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
    """Implements Progress: what is saved outlives the process.

    `calls`: the way to its database, which may fail; None: it does not. What fails may be written all the same, also
    when its caller is gone.
    """

    def __init__(self, world: World, calls: Calls | None) -> None:
        self._world = world
        self._calls = calls
        self._saved: dict[str, tuple[int, frozenset[str]]] = {}

    def position(self, flow: str) -> int:
        return self._saved.get(flow, (0, frozenset()))[0]

    async def load(self, flow: str) -> Reached:
        await self._pass(lambda: None)
        position, ahead = self._saved.get(flow, (0, frozenset()))
        return Reached(position, ahead, frozenset())

    async def save(self, flow: str, position: int, ahead: Iterable[Happened]) -> None:
        handled = frozenset(one.id for one in ahead)

        def write() -> None:
            if position >= self.position(flow):
                self._saved[flow] = (position, handled)

        await self._pass(write)

    async def _pass(self, write: Callable[[], None]) -> None:
        if self._calls is None:
            await self._world.pass_time()
            write()
        else:
            await self._calls.make(write)

    async def bury(self, flow: str, letter: DeadLetter) -> None:
        self._world.violate(f"flow {flow} buried {letter.happened.id}: {letter.error}")

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


class Shopflows(NamedTuple):
    """The shop's flows, as one process has them: those that everything waits for, the others, and those of people."""

    soon: tuple[Flow, ...]
    later: tuple[Flow, ...]
    of_users: tuple[Flow, ...]


def flows_of(services: Services, region: Region, clock: SimulatedClock) -> Shopflows:
    forgetting = Forgetting(services.contacts, services.mails, services.users)
    joining = Joining(region, services.users, services.contacts, forgetting)
    of_orders = (count_orders(services.users, joining), send_mails(region, services.mails))
    of_users = (
        show_activity(services.users),
        join_guest_orders(joining),
        erase_people(forgetting, clock),
        notify_users(services.mails, services.users),
    )
    return Shopflows(
        (open_payments(region), settle_orders(region)),
        (keep_transactions(services.transactions), together("of_orders", of_orders)),
        (together("of_users", of_users),),
    )


class Member:
    """A process that runs flows, one life after another."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self._number = 0
        self.process = Process(f"{name}.0")
        self.lives: list[Process] = []

    def start(self) -> None:
        """A new life; one that still runs is left to itself."""
        self._number += 1
        self.process = Process(f"{self._name}.{self._number}")
        self.lives.append(self.process)
        self._begin(self._world.stream(self._name, self._number))

    def _begin(self, chance: Random) -> None:
        raise NotImplementedError

    def cut(self, whether: bool) -> None:
        """From its database, if it has one of its own; or from none any more."""

    def kill(self, process: Process | None = None) -> None:
        """None: the life that it leads."""
        process = process or self.process
        if not process.dead:
            self._world.note(f"{process.name} dies")
            process.dead = True
            self._world.network.hang_up(process)


class Flows(Protocol):
    """All flows of a shop. `services`: what they keep up to date."""

    services: Services
    members: list[Member]

    def behind(self) -> str:
        """What the flows have still to do; empty if nothing."""
        ...


class EmbeddedFlows(Member):
    """All flows over the databases' own logs, in one process at a time."""

    def __init__(self, world: World, cluster: Cluster, services: Services) -> None:
        super().__init__(world, "flows")
        self._cluster = cluster
        self._progress = SimulatedProgress(world, None)
        (self._keeper,) = world.keepers
        self.services = services
        self.members: list[Member] = [self]
        self.runners: list[FlowRunner] = []
        self.of_users: list[FlowRunner] = []
        self._journal = SimulatedJournal(self._keeper.database)

    def _begin(self, chance: Random) -> None:
        world = self._world
        clock = SimulatedClock(world.loop, chance)
        self._journal = self._keeper.connect(chance)
        way = ClusterWay(world, self._cluster, self.process)
        region = Region(KINDS, way, clock, SeededEntropy(chance), self._cluster.limits.shards)
        flows = flows_of(self.services, region, clock)
        # As in a shop: the flows that everything waits for read the journal for themselves.
        soon, later = (SharedLog(WokenLog(self._journal, self._keeper.database, chance, most)) for most in (0.3, 1.0))
        outbox = SimulatedOutbox(self.services.users, self.services.calls)
        shares = ((soon, flows.soon), (later, flows.later), (outbox, flows.of_users))
        runners = [[FlowRunner(one, log, self._progress, clock=clock) for one in some] for log, some in shares]
        self.runners, self.of_users = runners[0] + runners[1], runners[2]
        world.loop.spawn(self.process, way.keep_fresh(1.0), "way")
        for runner in (*self.runners, *self.of_users):
            world.loop.spawn(self.process, runner.start(), f"flow {runner.flow.name}")

    def cut(self, whether: bool) -> None:
        self._journal.cut = whether

    def behind(self) -> str:
        """As `Flows.behind`."""
        records = self._keeper.database.records
        lagging = []
        for runner in self.runners:
            if any(body_of(record).events for record in records[runner.position :]):
                lagging.append(f"flow {runner.flow.name} is at {runner.position} of {len(records)}")
        told = len(self.services.users.outbox)
        for runner in self.of_users:
            if runner.position < told:
                lagging.append(f"flow {runner.flow.name} is at {runner.position} of {told}")
        return "; ".join(lagging)
