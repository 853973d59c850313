"""Runs a seed and says what it found; makes a failing one shorter."""

import asyncio
import logging
from dataclasses import dataclass, replace
from time import process_time

from actors.kinds import KINDS
from tests.simulation import checks
from tests.simulation.callers import Person, Replica
from tests.simulation.chaos import Chaos
from tests.simulation.cluster import Cluster
from tests.simulation.conditions import worsen
from tests.simulation.flows import EmbeddedFlows, Flows, Services
from tests.simulation.follow_ups import check_follow_ups
from tests.simulation.gateway import SimulatedGateway
from tests.simulation.invariants import check_shop
from tests.simulation.kafka import SimulatedKafka
from tests.simulation.ledger import Ledger
from tests.simulation.outage import live_without
from tests.simulation.pipelines import KafkaFlows
from tests.simulation.plan import ON_SERVERS, Plan, plan_of
from tests.simulation.published import check_published
from tests.simulation.shoppers import Shop, Shopper, Staff
from tests.simulation.world import World

SETTLE = 1_200.0
"""Virtual seconds after the faults within which everything must be quiet."""

SHOWN = 60


@dataclass(frozen=True)
class Report:
    """`digest`: of the whole trace; the same seed has the same. `cpu`: seconds."""

    plan: Plan
    violations: tuple[str, ...]
    trace: tuple[str, ...]
    digest: int
    records: int
    answers: int
    orders: dict[str, int]
    turns: int
    virtual: float
    cpu: float

    @property
    def passed(self) -> bool:
        return not self.violations

    def __str__(self) -> str:
        lines = [str(self.plan)]
        lines += [f"  violated: {what}" for what in self.violations[:20]]
        lines += [f"  {line}" for line in self.trace[-SHOWN:]]
        return "\n".join(lines)


class _Errors(logging.Handler):
    """Nothing that the runtime logs as an error may happen: it has no expected errors."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = f": {record.exc_info[1]!r}" if record.exc_info else ""
        self._world.violate(f"logged: {record.getMessage()}{error}")


class Simulation:
    """Everything that one plan needs."""

    def __init__(self, plan: Plan) -> None:
        self.world = world = World(plan)
        self.gateway = world.gateway = SimulatedGateway(world)
        kafka = world.kafka = SimulatedKafka(world, plan.partitions) if plan.servers else None
        self.cluster = Cluster(world, plan.hosts, plan.shards)
        self.services = Services(world)
        self.flows: Flows = (
            EmbeddedFlows(world, self.cluster, self.services)
            if kafka is None
            else KafkaFlows(world, kafka, self.cluster, self.services)
        )
        self.chaos = Chaos(world, self.cluster, self.gateway, self.flows)
        self.ledger = Ledger(world)
        self.shop = Shop(self.gateway, self.services)
        self.replicas = [Replica(world, self.cluster, f"replica{n}") for n in range(2)]
        self.onlookers = [Replica(world, self.cluster, f"onlooker{n}") for n in range(2)]
        self.gateway.entities = self.replicas[0].region

    def _person(self, name: str, replicas: list[Replica] | None = None) -> Person:
        return Person(self.world, self.ledger, replicas or self.replicas, name)

    async def live(self) -> None:
        plan, world = self.world.plan, self.world
        for name in self.cluster.names:
            self.cluster.start(name)
        for replica in self.replicas:
            world.loop.spawn(replica.process, replica.way.keep_fresh(1.0), "way")
        staring = [asyncio.create_task(self._person(one.process.name, [one]).stare()) for one in self.onlookers]
        for member in self.flows.members:
            member.start()
        if world.kafka is not None:
            world.loop.create_task(world.kafka.watch_members(), name="members of groups")
        staff = Staff(self.shop, self._person("staff"))
        people = [asyncio.create_task(self._stock_and_work(staff), name="staff")]
        for number in range(plan.shoppers):
            devices = [self._person(f"{number}{letter}") for letter in "ab"[: 1 + number % 2]]
            people.append(
                asyncio.create_task(Shopper(self.shop, devices, number).shop_around(), name=f"shopper{number}")
            )
        worsen(world, self.gateway, self.services.calls)
        await self.chaos.rage(plan.seconds)
        world.note("the faults end")
        self.chaos.clear_up()
        _, late = await asyncio.wait(people, timeout=SETTLE)
        for task in people:
            if task in late:
                world.violate(f"{task.get_name()} is still waiting for an answer")
            else:
                task.result()
        for task in staring:
            task.cancel()
        await self._settle()
        if world.kafka is not None:
            await live_without(world, self.cluster, self._person("witness"))
            await self._settle()

    async def _stock_and_work(self, staff: Staff) -> None:
        await staff.stock_up()
        await staff.work(self.world.plan.seconds)

    async def _settle(self) -> None:
        """Until nothing is open anywhere."""
        until = self.world.loop.time() + SETTLE
        open_work = self._open()
        while open_work and self.world.loop.time() < until:
            await asyncio.sleep(1.0)
            open_work = self._open()
        if open_work:
            self.world.violate(f"it does not settle: {open_work}")

    def _open(self) -> str:
        """What is not done yet; empty if nothing."""
        missing = dict.fromkeys(self.cluster.shards)
        for incarnation in self.cluster.alive():
            for shard in incarnation.shards():
                missing.pop(shard.id, None)
                owed = shard.owed
                if shard.pending or owed.size:
                    return f"{incarnation.process.name} {shard.id}: {shard.pending} pending, {_some(owed)}"
                if incarnation.publisher is not None and owed.relayed < shard.seq:
                    return f"{incarnation.process.name} {shard.id} is relayed to {owed.relayed} of {shard.seq}"
        if missing:
            return f"nobody has {list(missing)}"
        if self.gateway.news:
            return "the gateway has news"
        return self.flows.behind()

    async def read_all(self) -> None:
        """Everybody's view is what the journal says."""
        entities = checks.entities_of(self.world.database)
        person = self._person("auditor")
        for (kind, name), records in entities.items():
            answer = await person.read(kind, name)
            if answer is None:
                self.world.violate(f"{kind}/{name} cannot be read")
            elif answer.version != len(records):
                self.world.violate(f"{kind}/{name} is read at version {answer.version} of {len(records)}")
            elif answer.reply != _view(kind, name, entities):
                self.world.violate(f"{kind}/{name} is read as {answer.reply}")

    def check(self) -> None:
        database = self.world.database
        entities = checks.entities_of(database)
        kafka = self.world.kafka
        for found in (
            checks.check_shards(database, self.cluster.shards),
            checks.check_entities(entities),
            checks.check_acknowledged(database, self.ledger),
            checks.check_views(entities, self.ledger),
            checks.check_messages(database, entities),
            checks.check_effects_and_timers(database, entities, database.now()),
            checks.check_snapshots(database, entities),
            check_shop(entities, self.shop, self.gateway.intents),
            check_follow_ups(database, entities, self.services),
            check_published(database, self.services.users, kafka) if kafka is not None else (),
        ):
            for what in found:
                self.world.violate(what)
        for error in self.world.loop.errors:
            self.world.violate(f"nobody caught: {error}")

    async def main(self) -> None:
        await self.live()
        await self.read_all()
        self.check()


def _view(kind: str, name: str, entities: checks.Entities) -> object:
    return KINDS[kind].view(checks.state_at(kind, name, entities))


def _some(owed: object) -> str:
    parts = {name: list(getattr(owed, name))[:3] for name in ("sends", "effects", "timers") if getattr(owed, name)}
    return str(parts)


def run_plan(plan: Plan) -> Report:
    began = process_time()
    simulation = Simulation(plan)
    world = simulation.world
    handler = _Errors(world)
    loggers = [logging.getLogger(name) for name in ("troupe", "asyncio")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        logger.addHandler(handler)
    try:
        world.loop.run(simulation.main())
    except Exception as error:
        world.violate(f"it broke: {type(error).__name__}: {error}")
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
    return Report(
        plan=plan,
        violations=tuple(world.violations),
        trace=tuple(world.trace),
        digest=world.digest,
        records=len(world.database.records),
        answers=simulation.ledger.answers,
        orders=_statuses(simulation),
        turns=world.loop.turns,
        virtual=world.loop.time(),
        cpu=process_time() - began,
    )


def _statuses(simulation: Simulation) -> dict[str, int]:
    entities = checks.entities_of(simulation.world.database)
    found: dict[str, int] = {}
    for kind, name in entities:
        if kind == "order":
            status = checks.state_at(kind, name, entities).status
            found[status] = found.get(status, 0) + 1
    return found


def run_seed(seed: int) -> Report:
    """The same seed does the same, in any process."""
    return run_plan(plan_of(seed))


def shrink(seed: int) -> Report:
    """Takes away faults, shoppers and time for as long as the seed still fails; the last failing report."""
    report = run_seed(seed)
    if report.passed:
        return report
    shorter = True
    while shorter:
        shorter = False
        for plan in _smaller(report.plan):
            tried = run_plan(plan)
            if not tried.passed:
                report, shorter = tried, True
                break
    return report


def _smaller(plan: Plan) -> list[Plan]:
    plans = [plan.without(fault) for fault in plan.faults]
    if plan.servers:
        plans.append(replace(plan, servers=False, faults=tuple(one for one in plan.faults if one not in ON_SERVERS)))
    if plan.shoppers > 1:
        plans.append(replace(plan, shoppers=plan.shoppers - 1))
    if plan.seconds > 4:
        plans.append(replace(plan, seconds=plan.seconds / 2))
    return plans
