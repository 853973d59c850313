"""What everything in a simulation shares: the loop, the network, the databases, the gateway, the trace."""

import asyncio
from collections import deque
from random import Random
from typing import TYPE_CHECKING
from zlib import crc32

from tests.simulation.database import Databases
from tests.simulation.entropy import stream
from tests.simulation.keepers import keepers_of
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Network, Weather
from tests.simulation.plan import Plan

if TYPE_CHECKING:
    from tests.simulation.gateway import SimulatedGateway
    from tests.simulation.kafka import SimulatedKafka

TRACE = 400


class Violation(Exception):
    """A promise or an invariant that does not hold."""


class World:
    """`note` writes a line of the trace; `violate` one that fails the seed. `kafka`: None where there is none."""

    gateway: "SimulatedGateway"
    kafka: "SimulatedKafka | None" = None

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loop = VirtualLoop(self.stream("shuffle") if "shuffle" in plan.faults else None)
        self.trace: deque[str] = deque(maxlen=TRACE)
        self.lines = 0
        self.digest = 0
        self.violations: list[str] = []
        self.keepers = keepers_of(plan.servers, plan.commit, self.loop.time)
        self.database = Databases({kind: keeper.database for keeper in self.keepers for kind in keeper.kinds})
        self.weather = Weather()
        self.chance = self.stream("world")
        self.network = Network(self.loop, self.weather, self.stream("network"), self.violate)

    def stream(self, *names: object) -> Random:
        return stream(self.plan.seed, *names)

    def note(self, line: str) -> None:
        self.lines += 1
        text = f"{self.loop.time():9.4f} {line}"
        self.digest = hash_on(self.digest, text)
        self.trace.append(text)

    def violate(self, what: str) -> None:
        self.violations.append(what)
        self.note(f"VIOLATED: {what}")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def pass_time(self) -> None:
        """A little time, for a step that would take some."""
        await asyncio.sleep(self.chance.uniform(0.0005, 0.003))


def hash_on(digest: int, text: str) -> int:
    """A number that tells two traces apart, the same in each process."""
    return crc32(text.encode(), digest)
