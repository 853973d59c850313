"""The chances of faults that hold throughout a life, and how everything comes to be well again at its end."""

from random import Random

from tests.simulation.cluster import Cluster
from tests.simulation.flows import Flows
from tests.simulation.gateway import SimulatedGateway
from tests.simulation.journal import Trouble
from tests.simulation.stores import Calls
from tests.simulation.world import World


def worsen(world: World, gateway: SimulatedGateway, calls: Calls) -> None:
    """Draws how bad everything is, of the kinds that the plan allows."""
    faults, chance, weather = world.plan.faults, world.stream("conditions"), world.weather
    if "slow_network" in faults:
        weather.slow = chance.choice((0.02, 0.2))
        weather.slowest = chance.choice((0.1, 4.0, 15.0))
    if "lossy_network" in faults:
        weather.lost = chance.choice((0.01, 0.1))
    if "duplicates" in faults:
        weather.twice = chance.choice((0.02, 0.3))
    for keeper in world.keepers:
        _trouble(keeper.trouble, faults, chance)
    if "stores_fail" in faults:
        calls.fails = chance.choice((0.02, 0.2))
    if "gateway_fails" in faults:
        gateway.fails = chance.choice((0.05, 0.3))
        gateway.refuses = chance.choice((0.0, 0.2))
    if (kafka := world.kafka) is not None:
        kafka.fails = chance.choice((0.05, 0.3)) if "log_fails" in faults else 0.0
        if "log_late" in faults:
            kafka.fails = max(kafka.fails, 0.1)
            kafka.late = 0.6


def _trouble(trouble: Trouble, faults: tuple[str, ...], chance: Random) -> None:
    """Each database has its own."""
    if "journal_fails" in faults:
        trouble.fails = chance.choice((0.01, 0.1, 0.3))
    if "journal_late" in faults:
        trouble.fails = max(trouble.fails, 0.05)
        trouble.late = 0.6
    if "journal_partial" in faults:
        trouble.fails = max(trouble.fails, 0.05)
        trouble.partial = 0.7
    if "stale_reads" in faults:
        trouble.stale = chance.choice((0.3, 1.0))


def clear_up(world: World, gateway: SimulatedGateway, cluster: Cluster, flows: Flows) -> None:
    """No fault is left; who is dead is started, and who was superseded ends."""
    weather = world.weather
    weather.slow = weather.lost = weather.twice = 0.0
    weather.cut.clear()
    for keeper in world.keepers:
        trouble = keeper.trouble
        trouble.fails = trouble.stale = 0.0
        trouble.down = False
        trouble.quick = trouble.usual
    gateway.fails = gateway.refuses = gateway.falls = 0.0
    flows.services.calls.fails = 0.0
    gateway.down = False
    if (kafka := world.kafka) is not None:
        kafka.fails = 0.0
        kafka.down = False
    _clear_up_hosts(world, cluster)
    _clear_up_flows(world, flows)


def _clear_up_hosts(world: World, cluster: Cluster) -> None:
    for incarnation in cluster.everybody:
        incarnation.cut(False)
        incarnation.deaf = False
        if incarnation.process.stalled:
            world.loop.resume(incarnation.process)
        if incarnation.superseded:
            cluster.kill(incarnation)
    for name in cluster.names:
        current = cluster.current.get(name)
        if current is None or current.process.dead or current.group.ended:
            cluster.start(name)
    for shard, name in cluster.assigned.items():
        if not name:
            cluster.assigned[shard] = cluster.names[0]


def _clear_up_flows(world: World, flows: Flows) -> None:
    for member in flows.members:
        member.cut(False)
        for life in member.lives:
            if life.stalled:
                world.loop.resume(life)
            if life is not member.process:
                member.kill(life)
        if member.process.dead:
            member.start()
