"""The flows on servers: groups over Kafka in several processes, and the relay of the users' outbox in another."""

from functools import partial
from random import Random
from typing import Any

from actors.kinds import KINDS
from actors.runtime.region import Region
from pipelines.groups import GroupRunner
from pipelines.log.cloud_events import KafkaCluster
from pipelines.relay_outbox import OutboxRelay
from pipelines.running import KafkaLogs
from tests.simulation.clock import SimulatedClock
from tests.simulation.cluster import Cluster, ClusterWay
from tests.simulation.entropy import SeededEntropy
from tests.simulation.flows import Member, Services, SimulatedProgress, flows_of
from tests.simulation.groups import SimulatedConsumer
from tests.simulation.kafka import CLUSTER, SimulatedKafka
from tests.simulation.loop import Process
from tests.simulation.people import RelayedOutbox
from tests.simulation.world import World


class Pipeline(Member):
    """A process with a member of each flow's group."""

    def __init__(self, world: World, name: str, cluster: Cluster, services: Services, flows: "KafkaFlows") -> None:
        super().__init__(world, name)
        self._cluster = cluster
        self._services = services
        self._flows = flows

    def _begin(self, chance: Random) -> None:
        world, process = self._world, self.process
        clock = SimulatedClock(world.loop, chance)
        way = ClusterWay(world, self._cluster, process)
        region = Region(KINDS, way, clock, SeededEntropy(chance), self._cluster.limits.shards)
        world.loop.spawn(process, way.keep_fresh(1.0), "way")
        logs = KafkaLogs(CLUSTER, self._flows.progress, partial(self._connect, process))
        flows = flows_of(self._services, region, clock)
        for flow in (*flows.soon, *flows.later, *flows.of_users):
            runner = logs.run(flow)
            self._flows.runners.append((process, runner))
            self._flows.reads[flow.name] = tuple(flow.reads)
            world.loop.spawn(process, runner.start(), f"group {flow.name}")

    def _connect(self, process: Process, _: KafkaCluster, *, group_id: str, **__: Any) -> SimulatedConsumer:
        return self._flows.kafka.consumer(process, group_id)


class UsersRelay(Member):
    """The process that relays the users' outbox."""

    def __init__(self, world: World, kafka: SimulatedKafka, services: Services) -> None:
        super().__init__(world, "users")
        self._kafka = kafka
        self._outbox = RelayedOutbox(services.users, services.calls)

    def _begin(self, chance: Random) -> None:
        relay = OutboxRelay("users", self._outbox, self._kafka.publisher(self.process))
        self._world.loop.spawn(self.process, relay.start(), "relay of users")


class KafkaFlows:
    """Implements Flows."""

    def __init__(self, world: World, kafka: SimulatedKafka, cluster: Cluster, services: Services) -> None:
        self.kafka = kafka
        self.services = services
        self.progress = SimulatedProgress(world, services.calls)
        self.runners: list[tuple[Process, GroupRunner]] = []
        self.reads: dict[str, tuple[str, ...]] = {}
        names = [f"pipeline{number}" for number in range(world.plan.members)]
        self.members: list[Member] = [Pipeline(world, name, cluster, services, self) for name in names]
        self.members.append(UsersRelay(world, kafka, services))

    def behind(self) -> str:
        """As `Flows.behind`: by those who run, not by what is saved."""
        if untold := len(self.services.users.untold):
            return f"{untold} events of users are not relayed"
        reached: dict[tuple[str, str], int] = {}
        for process, runner in self.runners:
            if not process.dead:
                for place, position in runner.partitions.items():
                    reached[runner.name, place] = max(position, reached.get((runner.name, place), 0))
        lagging = []
        for flow, kinds in self.reads.items():
            topics = {CLUSTER.topic(kind) for kind in kinds}
            for one, log in self.kafka.partitions.items():
                place = f"{one.topic}-{one.partition}"
                if one.topic in topics and reached.get((flow, place), -1) < len(log.records):
                    lagging.append(f"flow {flow} is at {reached.get((flow, place))} of {len(log.records)} in {place}")
        return "; ".join(lagging)
