"""How far flows have come is written down together, never backwards, with what is done ahead."""

import asyncio
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from pipelines.positions import Place, Positions, until_saved
from pipelines.progress import Reached, SqlProgress
from tests.databases import Databases


class World:
    def __init__(self, url: str) -> None:
        self.progress = SqlProgress(url)
        self.positions = Positions(self.progress._engine)
        self.commits = 0
        sa.event.listen(self.progress._engine, "commit", self._committed)

    def _committed(self, _: sa.Connection) -> None:
        self.commits += 1

    async def there(self, flow: str) -> tuple[int, frozenset[str]]:
        reached: Reached = await self.progress.load(flow)
        return reached.position, reached.ahead


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases("flows"))
    yield made
    made.progress._engine.dispose()


async def test_those_who_come_meanwhile_share_a_transaction(world: World) -> None:
    flows = [f"flow@orders-{number}" for number in range(40)]
    for _ in range(2):  # the first time nothing is known of them yet
        world.commits = 0
        await asyncio.gather(*(world.positions.save(Place(flow, 7, ())) for flow in flows))
        # One goes at once, and the others while it is under way.
        assert world.commits <= 2
    assert [await world.there(flow) for flow in flows] == [(7, frozenset())] * 40


async def test_a_position_never_goes_back(world: World) -> None:
    other = Positions(world.progress._engine)
    await world.positions.save(Place("flow", 5, ()))
    await other.save(Place("flow", 9, [("e12", 12)]))
    await world.positions.save(Place("flow", 6, ()))
    await world.positions.save(Place("flow", 7, [("e8", 8)]))
    assert await world.there("flow") == (9, frozenset({"e12"}))


async def test_what_is_done_ahead_is_replaced_each_time(world: World) -> None:
    await world.positions.save(Place("flow", 1, [("e3", 3), ("e4", 4)]))
    await world.positions.save(Place("flow", 1, [("e4", 4), ("e6", 6)]))
    assert await world.there("flow") == (1, frozenset({"e4", "e6"}))
    await world.positions.save(Place("flow", 2, ()))
    assert await world.there("flow") == (2, frozenset())
    await world.positions.save(Place("flow", 3, ()))
    await world.positions.save(Place("flow", 3, [("e9", 9)]))
    assert await world.there("flow") == (3, frozenset({"e9"}))


async def test_of_two_saves_of_a_flow_at_once_the_further_one_holds(world: World) -> None:
    first = asyncio.create_task(world.positions.save(Place("another", 1, ())))
    await asyncio.sleep(0)
    saves = [Place("flow", 3, [("e5", 5)]), Place("flow", 4, ()), Place("flow", 2, [("e3", 3)])]
    await asyncio.gather(*(world.positions.save(one) for one in saves))
    await first
    assert await world.there("flow") == (4, frozenset())


async def test_closing_waits_for_what_was_asked_for(world: World) -> None:
    asked = asyncio.create_task(world.positions.save(Place("flow", 3, ())))
    await asyncio.sleep(0)
    await world.positions.close()
    assert await world.there("flow") == (3, frozenset())
    await asked


@pytest.mark.parametrize(("now", "seconds"), [(0.0, 1.0), (12.25, 0.75), (12.0, 1.0), (0.5, 0.5)])
def test_all_are_saved_at_the_same_moment(now: float, seconds: float) -> None:
    assert until_saved(now) == seconds
