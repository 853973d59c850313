"""Defects that were found in the way between processes; Ray itself is played by plain coroutines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from actors.journal.base import ShardId
from actors.runtime.clock import SystemClock
from actors.runtime.on_ray import link as link_module
from actors.runtime.on_ray import mailroom, placement_actor
from actors.runtime.on_ray.link import RayLink
from actors.runtime.on_ray.mailroom import Mailroom
from actors.runtime.on_ray.placement_actor import PlacementActor, running_hosts
from actors.runtime.on_ray.way import NAMESPACE, RayWay
from actors.runtime.ports import Done
from actors.runtime.tasks import Tasks
from actors.runtime.wire import Envelope, Mode, Result, Status

SHARDS: list[ShardId] = [("account", n) for n in range(4)]
OK = Result(Status.OK)


class Remote:
    """A method of an actor."""

    def __init__(self, method: Callable[..., Awaitable[Any]]) -> None:
        self.remote = method


class FarHost:
    """The mailroom of a host whose calls may get no answer. What runs there goes on when the caller gives up."""

    def __init__(self) -> None:
        self.accepted: list[Done] = []
        self.room = Mailroom("one", lambda envelope, done: self.accepted.append(done))
        self.collecting = asyncio.Event()
        self.collecting.set()
        self.losing = False
        self.dead = False
        self.collects = 0
        self.deliver = Remote(self._deliver)
        self.collect = Remote(self._collect)

    async def _deliver(self, caller: str, data: bytes) -> bytes:
        answer = b"" if self.dead else await self.room.deliver(caller, data)
        if self.losing or self.dead:
            raise ConnectionError
        return answer

    async def _collect(self, caller: str) -> bytes:
        if self.dead:
            raise ConnectionError
        self.collects += 1
        self.standing = asyncio.ensure_future(self.room.collect(caller))
        await self.collecting.wait()
        return await asyncio.shield(self.standing)


def message(number: int) -> Envelope:
    return Envelope(Mode.MESSAGE, "account", "a", command_id=f"m:account/b/{number}/0")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    made = Tasks()
    yield made
    await made.close()


def never() -> Any:
    raise AssertionError("nobody else has this name")


async def test_replies_that_were_lost_with_the_call_of_a_later_batch_are_not_waited_for(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailroom, "FIRST_REPLY", 0.001)
    far = FarHost()
    link = RayLink(far, "c", tasks, never)
    told: list[int] = []
    link.post(message(1), lambda result: told.append(1))
    await until(lambda: len(far.accepted) == 1 and link._calls == 0)
    monkeypatch.setattr(mailroom, "FIRST_REPLY", 5.0)
    far.losing = True
    link.post(message(2), lambda result: told.append(2))
    await until(lambda: len(far.accepted) == 2)
    for done in far.accepted:
        done(OK)
    await until(lambda: sorted(told) == [1, 2])


async def test_a_standing_call_that_its_caller_gave_up_takes_no_replies(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "CALL_SECONDS", 0.05)
    monkeypatch.setattr(link_module, "PAUSE", 0.001)
    monkeypatch.setattr(mailroom, "FIRST_REPLY", 0.001)
    far = FarHost()
    far.collecting.clear()
    link = RayLink(far, "c", tasks, lambda: far)
    await until(lambda: far.collects == 1)
    far.collecting.set()
    monkeypatch.setattr(link_module, "CALL_SECONDS", 20.0)
    await until(lambda: far.collects >= 2)
    told: list[Status] = []
    link.post(message(1), lambda result: told.append(result.status))
    await until(lambda: len(far.accepted) == 1 and link._calls == 0)
    far.accepted[0](OK)
    await until(lambda: told == [Status.OK])


async def test_a_caller_whose_box_was_thrown_away_does_not_wait_for_what_was_in_it(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailroom, "STANDING", 0.001)
    monkeypatch.setattr(mailroom, "FIRST_REPLY", 0.001)
    far = FarHost()
    link = RayLink(far, "c", tasks, never)
    told: list[Status] = []
    link.post(message(1), lambda result: told.append(result.status))
    await until(lambda: len(far.accepted) == 1 and link._calls == 0)
    # The caller sleeps, longer than the host remembers it.
    far.collecting.clear()
    collects = far.collects
    await until(lambda: far.collects > collects and far.standing.done())
    await asyncio.sleep(0.01)
    monkeypatch.setattr(mailroom, "FORGET", -1.0)
    far.room._box("another")
    monkeypatch.setattr(mailroom, "FORGET", 60.0)
    far.accepted[0](OK)
    far.collecting.set()
    await until(lambda: told == [Status.UNAVAILABLE])


async def test_a_host_that_was_ended_and_started_again_under_its_name_is_found(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "PAUSE", 0.001)
    old, new = FarHost(), FarHost()
    old.dead = True
    link = RayLink(old, "c", tasks, lambda: new)
    told: list[Status] = []
    await until(lambda: new.collects == 1)
    link.post(message(1), lambda result: told.append(result.status))
    await until(lambda: len(new.accepted) == 1)
    new.accepted[0](OK)
    await until(lambda: told == [Status.OK])


async def test_a_link_to_a_host_that_is_no_more_ends(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PAUSE", 0.001)
    old = FarHost()
    old.dead = True

    def find() -> Any:
        raise ValueError

    link = RayLink(old, "c", tasks, find)
    await until(lambda: link.gone and not len(tasks))


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
    caller = RayWay("c", tasks)
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
