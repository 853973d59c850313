"""Defects that were found in the placement of shards; Ray itself is played by plain coroutines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from actors.journal.base import ShardId
from actors.runtime.clock import SystemClock
from actors.runtime.on_ray import placement_actor
from actors.runtime.on_ray.placement_actor import PlacementActor, running_hosts
from actors.runtime.on_ray.way import NAMESPACE, RayWay
from actors.runtime.tasks import Tasks

SHARDS: list[ShardId] = [("account", n) for n in range(4)]


class Remote:
    """A method of an actor."""

    def __init__(self, method: Callable[..., Awaitable[Any]]) -> None:
        self.remote = method


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    made = Tasks()
    yield made
    await made.close()


class FakeHost:
    """A host actor that has what it is told to have."""

    def __init__(self) -> None:
        self.have: list[ShardId] = []
        self.owned, self.own = Remote(self._owned), Remote(self._own)
        self.disown, self.stop = Remote(self._disown), Remote(self._stop)

    async def _owned(self) -> list[ShardId]:
        return list(self.have)

    async def _own(self, shards: list[ShardId]) -> list[ShardId]:
        self.have += shards
        return list(self.have)

    async def _disown(self, shards: list[ShardId]) -> list[ShardId]:
        self.have = [shard for shard in self.have if shard not in shards]
        return list(self.have)

    async def _stop(self) -> None:
        self.have = []


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeHost]:
    made = {"h0": FakeHost(), "h1": FakeHost()}
    monkeypatch.setattr(placement_actor, "start_host", lambda name, *_: made[name])
    monkeypatch.setattr(placement_actor, "running_hosts", list, raising=False)
    monkeypatch.setattr(placement_actor, "running_hosts", lambda _: [])
    return made


async def _end(placement: PlacementActor) -> None:
    assert placement._looking is not None
    placement._looking.cancel()
    await asyncio.wait([placement._looking])


async def test_a_placement_that_was_started_again_leaves_callers_their_table(
    tasks: Tasks, hosts: dict[str, FakeHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answered with no shards, and, since that answer had its first version, never with any after that."""
    times = count(1)
    monkeypatch.setattr(SystemClock, "wall", lambda _: next(times))
    placement = PlacementActor(SHARDS, list(hosts), "", {})
    current = [placement]
    named = SimpleNamespace(table=Remote(lambda known: current[0].table(known)))
    monkeypatch.setattr(ray, "get_actor", lambda *_, **__: named)
    caller = RayWay(tasks)
    await placement.settle()
    await caller.refresh()
    before = caller.table()
    assert sorted(before.hosts) == SHARDS
    await _end(placement)
    current[0] = again = PlacementActor(SHARDS, list(hosts), "", {})
    await caller.refresh()
    assert caller.table() == before
    await again.settle()
    await caller.refresh()
    assert caller.table().hosts == before.hosts
    assert caller.table().version > before.version
    await _end(again)


async def test_a_placement_that_was_started_again_asks_who_has_what_before_it_moves_anything(
    hosts: dict[str, FakeHost],
) -> None:
    hosts["h0"].have, hosts["h1"].have = SHARDS[2:], SHARDS[:2]
    placement = PlacementActor(SHARDS, list(hosts), "", {})
    assert await placement.set_hosts(list(hosts)) == {"h0": 2, "h1": 2}
    assert (hosts["h0"].have, hosts["h1"].have) == (SHARDS[2:], SHARDS[:2])
    await _end(placement)


async def test_a_placement_that_was_started_again_has_the_hosts_that_there_are(
    hosts: dict[str, FakeHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took those of the settings: of one that was added later it knew nothing."""
    hosts["h0"].have, hosts["h1"].have = SHARDS[:2], SHARDS[2:]
    actors = [("h1", NAMESPACE), ("placement", NAMESPACE), ("h7", "another"), ("h0", NAMESPACE), ("hotel", NAMESPACE)]
    listed = [{"name": name, "namespace": namespace} for name, namespace in actors]
    monkeypatch.setattr(ray.util, "list_named_actors", lambda all_namespaces: listed)
    monkeypatch.setattr(placement_actor, "running_hosts", running_hosts)
    placement = PlacementActor(SHARDS, ["h0"], "", {})
    await placement.settle()
    assert await placement.hosts() == ["h0", "h1"]
    assert (hosts["h0"].have, hosts["h1"].have) == (SHARDS[:2], SHARDS[2:])
    await _end(placement)


async def forever(*_: Any) -> None:
    await asyncio.get_running_loop().create_future()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement_actor, "CALL_SECONDS", 0.3)
    monkeypatch.setattr(placement_actor, "ANSWER_SECONDS", 0.1, raising=False)
    monkeypatch.setattr(placement_actor, "GIVEN_UP", 0.2)


@pytest.mark.usefixtures("hasty")
async def test_hosts_keep_their_shards_while_one_takes_long_to_recover_its_own(hosts: dict[str, FakeHost]) -> None:
    """The looking after waits for it: what the others answered before that is old by then."""
    hosts["h1"].own = Remote(forever)
    placement = PlacementActor(SHARDS, list(hosts), "", {})
    for _ in range(3):
        await placement._look()
    assert set(placement._meant.values()) == {"h0", "h1"}
    assert (len(hosts["h0"].have), len(hosts["h1"].have)) == (2, 0)


@pytest.mark.usefixtures("hasty")
async def test_the_shards_of_a_host_that_hangs_go_to_the_others(hosts: dict[str, FakeHost]) -> None:
    placement = PlacementActor(SHARDS, list(hosts), "", {})
    await placement._look()
    assert (len(hosts["h0"].have), len(hosts["h1"].have)) == (2, 2)
    hosts["h1"].owned = hosts["h1"].own = Remote(forever)
    for _ in range(6):
        await placement._look()
    assert sorted(hosts["h0"].have) == SHARDS
    assert set(placement._table.values()) == {"h0"}
