"""What was published is really looked at: each way in which Kafka could be wrong is told, in a life that was right."""

from collections.abc import Callable, Iterator

import pytest
from aiokafka import TopicPartition

from actors.kinds import KINDS
from tests.simulation.kafka import Partition, SimulatedKafka
from tests.simulation.plan import plan_of
from tests.simulation.published import check_published
from tests.simulation.run import Simulation

SEED = 30
ORDERS = TopicPartition("orders", 0)


class Life:
    """One on servers that was lived to its end."""

    def __init__(self) -> None:
        simulation = Simulation(plan_of(SEED))
        simulation.world.loop.run(simulation.main())
        assert simulation.world.violations == []
        self.database = simulation.world.database
        self.users = simulation.services.users
        assert simulation.world.kafka is not None
        self.kafka: SimulatedKafka = simulation.world.kafka

    @property
    def orders(self) -> Partition:
        return self.kafka.partitions[ORDERS]

    def wrong(self) -> list[str]:
        return list(check_published(self.database, self.users, self.kafka))


@pytest.fixture(scope="module")
def life() -> Life:
    return Life()


@pytest.fixture
def damaged(life: Life) -> Iterator[Life]:
    """It is whole again afterwards."""
    kept = list(life.orders.records)
    yield life
    life.orders.records[:] = kept


def lose(orders: Partition) -> str:
    first = orders.records[0].key
    orders.records[:] = [one for one in orders.records if one.key != first]
    return " events were never published"


def swap(orders: Partition) -> str:
    key = orders.records[0].key
    places = [place for place, one in enumerate(orders.records) if one.key == key]
    one, other = places[0], places[-1]
    orders.records[one], orders.records[other] = orders.records[other], orders.records[one]
    return " stands in TopicPartition(topic='orders', partition=0) behind "


def invent(orders: Partition) -> str:
    orders.records[0] = orders.records[0]._replace(
        headers=[(name, b"order/never/1/0" if name == "ce_id" else value) for name, value in orders.records[0].headers]
    )
    return "order/never/1/0 stands in TopicPartition(topic='orders', partition=0) as "


def change(orders: Partition) -> str:
    orders.records[0] = orders.records[0]._replace(value=orders.records[-1].value)
    return ", committed is "


def test_every_kind_was_published(life: Life) -> None:
    published = {one.topic for one, partition in life.kafka.partitions.items() if partition.records}
    assert published == {"carts", "orders", "payments", "stock", "users"}
    assert set(KINDS) == {"cart", "order", "payment", "stock"}


@pytest.mark.parametrize("damage", [lose, swap, invent, change])
def test_each_damage_is_told(damaged: Life, damage: Callable[[Partition], str]) -> None:
    assert damaged.wrong() == []
    sentence = damage(damaged.orders)
    wrong = damaged.wrong()
    assert any(sentence in one for one in wrong), (sentence, wrong)
