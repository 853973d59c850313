"""Once all is quiet one database goes away: what lives in the other goes on, also in a process that begins then."""

import asyncio
from collections.abc import Awaitable

from actors import cart, stock
from actors.decision import Message
from tests.simulation.callers import Person
from tests.simulation.cluster import Cluster
from tests.simulation.shoppers import PRICES
from tests.simulation.world import World

SECONDS = 20.0
"""Within which everybody must be answered: a lease has to run out, and a host looks for its database first."""

ACTS: dict[str, tuple[str, Message]] = {
    "cart": ("outage", cart.AddLine("apple", 1, PRICES["apple"])),
    "stock": ("apple", stock.Receive(1)),
}
"""Of each journal one command that touches no other, and whom it is for."""


async def live_without(world: World, cluster: Cluster, person: Person) -> None:
    """Kafka is away with it, sometimes. All is up again when this returns."""
    chance = world.stream("outage")
    away = chance.choice(world.keepers)
    assert world.kafka is not None
    world.note(f"{away.name} goes away")
    away.trouble.down = True
    world.kafka.down = chance.random() < 0.5
    name = chance.choice(cluster.names)
    cluster.kill(cluster.current[name])
    cluster.start(name)
    for keeper in world.keepers:
        if keeper is not away:
            for kind, (entity, command) in ACTS.items():
                if kind in keeper.kinds:
                    await _answered(world, person.ask(kind, entity, command, person.key(), tries=1_000), kind)
                    await _answered(world, person.read(kind, entity, tries=1_000), kind)
    away.trouble.down = world.kafka.down = False
    world.note(f"{away.name} comes back")


async def _answered(world: World, asking: Awaitable[object], kind: str) -> None:
    try:
        async with asyncio.timeout(SECONDS):
            await asking
    except TimeoutError:
        world.violate(f"nobody answers for a {kind}, whose database is there")
