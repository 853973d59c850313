"""The runner of flows: order, retries, dead letters, progress."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from actors.decision import Message
from actors.runtime.ports import Unavailable
from pipelines.flow import Flow, Limits, command_id
from pipelines.log.base import Happened
from pipelines.progress import DeadLetter, Reached, SqlProgress
from pipelines.runner import FlowRunner
from pipelines.shared_log import SharedLog
from tests.databases import Databases
from tests.unit.flow_world import DEADLINE, HastyClock, MemoryLog


class Ticked(Message, tag="Ticked/1", frozen=True):
    number: int


class Ignored(Message, tag="Ignored/1", frozen=True):
    pass


Handle = Callable[[Happened, Any], Awaitable[None]]


class World:
    def __init__(self, url: str) -> None:
        self.log = MemoryLog()
        self.progress = SqlProgress(url)
        self.seen: list[tuple[str, int]] = []
        self.broken: set[tuple[str, int]] = set()
        self.clock = HastyClock()

    async def handle(self, happened: Happened, event: Ticked) -> None:
        if (happened.entity, event.number) in self.broken:
            raise ValueError("broken")
        self.seen.append((happened.entity, event.number))

    def flow(self, handle: Handle | None = None, ordered: bool = True, **limits: Any) -> Flow:
        return Flow("test", {"clock": (Ticked,)}, handle or self.handle, ordered, Limits(**limits))

    @asynccontextmanager
    async def running(self, flow: Flow) -> AsyncIterator[FlowRunner]:
        runner = FlowRunner(flow, self.log, self.progress, clock=self.clock)
        await runner.start()
        try:
            yield runner
        finally:
            await runner.stop()

    async def pass_through(self, flow: Flow) -> None:
        async with self.running(flow) as runner, asyncio.timeout(DEADLINE):
            await runner.reached(self.log.events[-1].position)

    async def letters(self) -> list[tuple[str, int, str]]:
        return [(one.happened.entity, one.happened.version, one.error) for one in await self.progress.letters("test")]


@pytest.fixture
async def world(databases: Databases) -> AsyncIterator[World]:
    made = World(databases("flows"))
    yield made
    await made.progress.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_handles_what_it_reads_and_passes_over_the_rest(world: World) -> None:
    world.log.append("clock", "a", 1, Ticked(1), Ignored(), Ticked(2))
    world.log.append("other", "a", 1, Ticked(9))
    world.log.append("clock", "b", 1, Ticked(3))
    await world.pass_through(world.flow())
    assert world.seen == [("a", 1), ("a", 2), ("b", 3)]
    assert (await world.progress.load("test")).position == 6


async def test_goes_on_where_it_stopped(world: World) -> None:
    world.log.append("clock", "a", 1, Ticked(1))
    await world.pass_through(world.flow())
    world.log.append("clock", "a", 2, Ticked(2))
    await world.pass_through(world.flow())
    assert world.seen == [("a", 1), ("a", 2)]


async def test_keeps_the_order_of_an_entity_and_lets_others_by(world: World) -> None:
    gate = asyncio.Event()

    async def handle(happened: Happened, event: Ticked) -> None:
        if happened.entity == "slow":
            await gate.wait()
        await world.handle(happened, event)

    world.log.append("clock", "slow", 1, Ticked(1))
    world.log.append("clock", "slow", 2, Ticked(2))
    world.log.append("clock", "quick", 1, Ticked(3))
    async with world.running(world.flow(handle)) as runner:
        await until(lambda: world.seen == [("quick", 3)])
        assert runner.position == 1
        assert runner.lag() > 0
        gate.set()
        await until(lambda: runner.position == 6)
        assert runner.lag() == 0
    assert world.seen == [("quick", 3), ("slow", 1), ("slow", 2)]


async def test_what_was_handled_beyond_the_position_is_not_handled_again(world: World) -> None:
    held = True

    async def handle(happened: Happened, event: Ticked) -> None:
        if happened.entity == "slow" and held:
            await asyncio.Event().wait()
        await world.handle(happened, event)

    world.log.append("clock", "slow", 1, Ticked(1))
    world.log.append("clock", "quick", 1, Ticked(2))
    async with world.running(world.flow(handle)):
        await until(lambda: world.seen == [("quick", 2)])
    reached = await world.progress.load("test")
    assert reached == (1, frozenset({"clock/quick/1/0"}), frozenset())
    held = False
    await world.pass_through(world.flow(handle))
    assert world.seen == [("quick", 2), ("slow", 1)]
    assert await world.progress.load("test") == (4, frozenset(), frozenset())


async def test_no_more_in_flight_than_allowed(world: World) -> None:
    running = most = 0

    async def handle(happened: Happened, event: Ticked) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    for n in range(40):
        world.log.append("clock", f"e{n}", 1, Ticked(n))
    await world.pass_through(world.flow(handle, in_flight=3, outstanding=10, batch=7))
    assert most == 3


async def test_what_passes_is_tried_until_it_has_passed(world: World) -> None:
    failures = 30

    async def handle(happened: Happened, event: Ticked) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise Unavailable
        await world.handle(happened, event)

    world.log.append("clock", "a", 1, Ticked(1))
    await world.pass_through(world.flow(handle, tries=2))
    assert world.seen == [("a", 1)]
    assert await world.letters() == []
    assert world.clock.slept[:8] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]


async def test_a_handler_that_hangs_is_tried_again(world: World) -> None:
    hung = False

    async def handle(happened: Happened, event: Ticked) -> None:
        nonlocal hung
        if not hung:
            hung = True
            await asyncio.Event().wait()
        await world.handle(happened, event)

    world.log.append("clock", "a", 1, Ticked(1))
    await world.pass_through(world.flow(handle, handler_seconds=0.01))
    assert world.seen == [("a", 1)]


async def test_later_events_of_an_entity_go_behind_its_dead_letter(world: World) -> None:
    world.broken = {("a", 1)}
    world.log.append("clock", "a", 1, Ticked(1))
    world.log.append("clock", "b", 1, Ticked(2))
    await world.pass_through(world.flow(tries=3))
    world.log.append("clock", "a", 2, Ticked(3))
    await world.pass_through(world.flow(tries=3))
    behind = "stands behind an earlier dead letter"
    assert world.seen == [("b", 2)]
    assert await world.letters() == [("a", 1, "ValueError: broken"), ("a", 2, behind)]


async def test_dead_letters_are_replayed_in_order(world: World) -> None:
    world.broken = {("a", 1)}
    world.log.append("clock", "a", 1, Ticked(1))
    world.log.append("clock", "a", 2, Ticked(2))
    await world.pass_through(world.flow(tries=1))
    world.broken.clear()
    assert await world.progress.want("test", "a") == 2
    async with world.running(world.flow(tries=1)):
        await until(lambda: world.seen == [("a", 1), ("a", 2)])
        world.log.append("clock", "a", 3, Ticked(3))
        # It goes behind while the letters are there, and follows them then.
        await until(lambda: world.seen == [("a", 1), ("a", 2), ("a", 3)])
    assert await world.letters() == []


async def test_a_replay_stops_at_the_first_that_fails_again(world: World) -> None:
    world.broken = {("a", 1)}
    world.log.append("clock", "a", 1, Ticked(1))
    world.log.append("clock", "a", 2, Ticked(2))
    await world.pass_through(world.flow(tries=1))
    await world.progress.want("test")
    async with world.running(world.flow(tries=1)):
        async with asyncio.timeout(DEADLINE):
            while any(letter.wanted for letter in await world.progress.letters("test")):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    assert world.seen == []
    assert [(entity, version) for entity, version, _ in await world.letters()] == [("a", 1), ("a", 2)]


async def test_a_later_letter_is_never_replayed_before_the_first(world: World) -> None:
    for version, wanted in ((1, False), (2, True)):
        happened = Happened(version, "clock", "a", version, 0, 0, b"")
        await world.progress.bury("test", DeadLetter(happened, "x", 0, wanted))
    assert await world.progress.wanted("test", True) == []
    assert [letter.happened.version for letter in await world.progress.wanted("test", False)] == [2]


async def test_a_letter_knows_how_often_its_event_was_tried(world: World) -> None:
    world.broken = {("a", 1)}
    world.log.append("clock", "a", 1, Ticked(1))
    world.log.append("clock", "a", 2, Ticked(2))
    await world.pass_through(world.flow(tries=3))
    assert [letter.attempts for letter in await world.progress.letters("test")] == [3, 0]
    await world.progress.want("test")
    async with world.running(world.flow(tries=2)), asyncio.timeout(DEADLINE):
        while any(letter.wanted for letter in await world.progress.letters("test")):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert [letter.attempts for letter in await world.progress.letters("test")] == [5, 0]


async def test_letters_from_before_attempts_were_counted_are_kept(tmp_path: Path) -> None:
    before = SqlProgress(f"sqlite:///{tmp_path / 'flows.db'}")
    await before.bury("test", DeadLetter(Happened(1, "clock", "a", 1, 0, 0, b""), "x", 7, attempts=8))
    await before.close()
    with closing(sqlite3.connect(tmp_path / "flows.db")) as database:
        database.execute("ALTER TABLE dead_letters DROP COLUMN attempts")
        database.execute("DROP TABLE alembic_version")
    for _ in range(2):
        later = SqlProgress(f"sqlite:///{tmp_path / 'flows.db'}")
        assert [(one.error, one.attempts) for one in await later.letters("test")] == [("x", 0)]
        await later.close()


async def test_wanted_beside_an_event_are_the_letters_of_its_entity(world: World) -> None:
    for entity, version in (("a", 1), ("a", 2), ("b", 1)):
        await world.progress.bury("test", DeadLetter(Happened(version, "clock", entity, version, 0, 0, b""), "x", 0))
        await world.progress.bury("other", DeadLetter(Happened(version, "clock", entity, version, 0, 0, b""), "x", 0))
    await world.progress.bury("test", DeadLetter(Happened(9, "watch", "a", 1, 0, 0, b""), "x", 0))
    assert await world.progress.want_beside("test", "clock/a/2/0") == 2
    assert await world.progress.want_beside("test", "clock/c/1/0") == 0
    found = [(flow, one.happened.id) for flow, one in await world.progress.all_letters() if one.wanted]
    assert found == [("test", "clock/a/1/0"), ("test", "clock/a/2/0")]


async def test_without_order_a_dead_letter_holds_up_nothing(world: World) -> None:
    world.broken = {("a", 1)}
    world.log.append("clock", "a", 1, Ticked(1))
    world.log.append("clock", "a", 2, Ticked(2))
    await world.pass_through(world.flow(ordered=False, tries=2))
    assert world.seen == [("a", 2)]
    assert await world.letters() == [("a", 1, "ValueError: broken")]


async def test_an_event_that_cannot_be_read_is_a_dead_letter(world: World) -> None:
    world.log.events.append(Happened(2, "clock", "a", 1, 0, 0, b"\xc1"))
    await world.pass_through(world.flow())
    assert [(entity, version) for entity, version, _ in await world.letters()] == [("a", 1)]


async def test_waits_for_a_log_that_is_away(world: World) -> None:
    world.log.append("clock", "a", 1, Ticked(1))
    world.log.fail_reads = 3
    await world.pass_through(world.flow())
    assert world.seen == [("a", 1)]


async def test_a_saved_position_never_goes_back(world: World) -> None:
    await world.progress.save("test", 9, [])
    await world.progress.save("test", 4, [Happened(5, "clock", "a", 1, 0, 0, b"")])
    assert await world.progress.load("test") == (9, frozenset(), frozenset())


def test_command_ids_tell_flows_events_and_places_apart() -> None:
    first = Happened(1, "order", "o", 3, 0, 0, b"")
    again = Happened(8, "order", "o", 3, 0, 5, b"")
    assert command_id("f", first) == command_id("f", again)
    ids = {command_id("f", first), command_id("g", first), command_id("f", first, 1)}
    assert len(ids | {command_id("f", first._replace(index=1))}) == 4


async def test_flows_share_one_tail() -> None:
    inner = MemoryLog()
    for n in range(1, 9):
        inner.append("clock", "a", n, Ticked(n), Ticked(-n))
    shared = SharedLog(inner, kept=4)
    position, seen = 0, []
    while batch := await shared.read(position, 3):
        assert [one.index for one in batch] == [0, 1] * (len(batch) // 2)
        seen += batch
        position = batch[-1].position
    assert seen == inner.events
    inner.reads = 0
    assert await shared.read(position - 2, 10) == inner.events[-2:]
    assert inner.reads == 0
    assert await shared.read(0, 3) == inner.events[:4]
    assert inner.reads == 1
    await asyncio.wait_for(shared.wait(position - 2, 60), DEADLINE)
    waits = [asyncio.create_task(shared.wait(position, 60)) for _ in range(3)]
    await asyncio.sleep(0)
    inner.append("clock", "a", 9, Ticked(9))
    await asyncio.wait_for(asyncio.gather(*waits), DEADLINE)
    assert await shared.read(position, 10) == inner.events[-1:]
    await shared.close()


async def test_a_letter_that_is_buried_while_another_entity_is_replayed_still_holds_up_its_own(world: World) -> None:
    world.broken = {("a", 1), ("b", 1)}
    world.log.append("clock", "a", 1, Ticked(1))
    await world.pass_through(world.flow(tries=1))
    world.broken.remove(("a", 1))
    await world.progress.want("test")
    looked, go_on = asyncio.Event(), asyncio.Event()
    load = world.progress.load

    async def slow(flow: str) -> Reached:
        found = await load(flow)
        if world.seen:
            looked.set()
            await go_on.wait()
        return found

    world.progress.load = slow  # type: ignore[method-assign]
    async with world.running(world.flow(tries=1)) as runner, asyncio.timeout(DEADLINE):
        await looked.wait()
        await runner.reached(world.log.append("clock", "b", 1, Ticked(1)))
        go_on.set()
        await until(lambda: ("clock", "a") not in runner._letters)
        await runner.reached(world.log.append("clock", "b", 2, Ticked(2)))
    assert world.seen == [("a", 1)]
    assert [(entity, version) for entity, version, _ in await world.letters()] == [("b", 1), ("b", 2)]
