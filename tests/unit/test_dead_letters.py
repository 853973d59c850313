"""`troupe dead-letters` beside a shop that runs, and beside one that doesn't."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipelines.log.base import Happened
from pipelines.progress import DeadLetter, SqlProgress
from serve.cli.main import app
from tests.unit.flow_world import DEADLINE
from tests.unit.test_flow import Ticked, World

BEHIND = "stands behind an earlier dead letter"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Two letters of `a`, one of `b`, in the flow `test`."""
    made = World(f"sqlite:///{tmp_path / 'flows.db'}")
    made.broken = {("a", 1), ("b", 1)}
    for version in (1, 2):
        made.log.append("clock", "a", version, Ticked(version), at=1_764_000_000_000)
    made.log.append("clock", "b", 1, Ticked(1))
    await made.pass_through(made.flow(tries=3))
    yield made
    await made.progress.close()


async def call(folder: Path, *words: str) -> Result:
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, ["dead-letters", *words, "--data", str(folder)]))


async def until_left(world: World, *entities: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while [entity for entity, _, _ in await world.letters()] != list(entities):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_they_are_listed_with_when_why_and_how_often(tmp_path: Path) -> None:
    progress = SqlProgress(f"sqlite:///{tmp_path / 'flows.db'}")
    first = Happened(5, "payment", "o-1", 3, 0, 1_764_000_000_000, b"")
    await progress.bury("settle_orders", DeadLetter(first, "NotAccepted: no\n[red]", 1_764_000_060_000, attempts=8))
    second = first._replace(position=6, version=4)
    await progress.bury("settle_orders", DeadLetter(second, BEHIND, 1_764_000_061_000, wanted=True))
    await progress.close()
    told = await call(tmp_path, "list")
    assert told.exit_code == 0
    assert (await call(tmp_path)).stdout == told.stdout
    assert told.stdout.splitlines() == [
        "settle_orders payment/o-1/3/0",
        "  happened 2025-11-24 16:00:00Z, put aside 2025-11-24 16:01:00Z, tried 8 times",
        "  NotAccepted: no [red]",
        "settle_orders payment/o-1/4/0 (waits for another try)",
        "  happened 2025-11-24 16:00:00Z, put aside 2025-11-24 16:01:01Z, not tried",
        f"  {BEHIND}",
    ]


async def test_a_running_flow_tries_them_again(world: World, tmp_path: Path) -> None:
    async with world.running(world.flow(tries=1)):
        world.broken.clear()
        asked = await call(tmp_path, "replay", "test")
        assert (asked.exit_code, asked.stdout.partition(".")[0]) == (0, "Asked for another try of 3")
        await until_left(world)
    assert sorted(world.seen) == [("a", 1), ("a", 2), ("b", 1)]
    told = await call(tmp_path)
    assert (told.exit_code, told.stdout) == (0, "There are no dead letters.\n")


async def test_one_event_takes_those_of_its_entity_with_it(world: World, tmp_path: Path) -> None:
    world.broken.clear()
    asked = await call(tmp_path, "replay", "test", "clock/a/2/0")
    assert (asked.exit_code, asked.stdout) == (
        0,
        "Asked for another try of 2. No shop runs: they are tried when it is opened; what fails again stays in the "
        "list.\n",
    )
    async with world.running(world.flow(tries=1)):
        await until_left(world, "b")
    assert world.seen == [("a", 1), ("a", 2)]


async def test_what_is_not_there_is_said(world: World, tmp_path: Path) -> None:
    for words, line in (
        (("replay", "settle_orders"), "The flow settle_orders has no dead letters.\n"),
        (("replay", "test", "clock/c/1/0"), "The flow test has no dead letter clock/c/1/0.\n"),
    ):
        told = await call(tmp_path, *words)
        assert (told.exit_code, told.stderr) == (1, line)
    nowhere = await call(tmp_path / "nowhere")
    assert nowhere.exit_code == 2
    assert "There is no shop in" in nowhere.stderr
    assert not (tmp_path / "nowhere").exists()
