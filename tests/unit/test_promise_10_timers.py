"""Promise 10: timers are durable, and time is the database's and never runs backwards in an entity."""

import pytest

from actors.runtime.limits import Limits
from tests.unit.doubles import START
from tests.unit.stage import SHARDS, Stage
from tests.unit.toy import Deposit, Forget, Note, Remind

MINUTE = 60_000


async def test_a_timer_fires_once_and_at_its_time(stage: Stage) -> None:
    host = await stage.start()
    await stage.ask("a", Remind("bell", START + MINUTE, "ding"))
    await stage.until(lambda: len(stage.journal.of("a")) == 2)
    view = await stage.view("a")
    assert view.notes == ("ding",)
    assert 0 <= view.times[0] - (START + MINUTE) <= 1
    assert stage.journal.of("a")[1].command_id == "t:1/bell"
    await stage.clock.advance(120)
    assert len(stage.journal.of("a")) == 2
    assert all(shard.owed.size == 0 for shard in host.shards.values())


async def test_a_timer_in_the_past_fires_at_once(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Remind("bell", START - MINUTE, "ding"))
    await stage.until(lambda: len(stage.journal.of("a")) == 2, most=1)


async def test_a_timer_that_is_set_after_a_later_one_is_not_late(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Remind("late", START + 10 * MINUTE, "late"))
    await stage.clock.advance(1)
    await stage.ask("b", Remind("soon", START + 5_250, "soon"))
    await stage.until(lambda: len(stage.journal.of("b")) == 2)
    assert 0 <= (await stage.view("b")).times[0] - (START + 5_250) <= 1
    assert len(stage.journal.of("a")) == 1


async def test_a_timer_is_honoured_by_whoever_hosts_the_entity_next(stage: Stage) -> None:
    host = await stage.start()
    await stage.ask("a", Remind("bell", START + MINUTE, "ding"))
    await stage.kill(host)
    await stage.start()
    await stage.until(lambda: len(stage.journal.of("a")) == 2)
    assert 0 <= (await stage.view("a")).times[0] - (START + MINUTE) <= 1


async def test_one_that_came_due_while_nobody_was_there_fires_when_somebody_is(stage: Stage) -> None:
    host = await stage.start()
    await stage.ask("a", Remind("bell", START + MINUTE, "ding"))
    await stage.kill(host)
    await stage.clock.advance(3600)
    await stage.start()
    await stage.until(lambda: len(stage.journal.of("a")) == 2, most=1)


async def test_one_that_has_fired_does_not_fire_with_the_next_host(stage: Stage) -> None:
    host = await stage.start()
    await stage.ask("a", Remind("bell", START + 1_000, "ding"))
    await stage.until(lambda: len(stage.journal.of("a")) == 2)
    await stage.kill(host)
    await stage.start()
    await stage.clock.advance(60)
    assert (await stage.view("a")).notes == ("ding",)


@pytest.mark.parametrize("crash", [False, True], ids=["same host", "next host"])
async def test_a_replaced_timer_fires_only_as_it_was_set_last(stage: Stage, crash: bool) -> None:
    host = await stage.start()
    await stage.ask("a", Remind("bell", START + MINUTE, "first"))
    await stage.ask("a", Remind("bell", START + 2 * MINUTE, "second"))
    await stage.ask("a", Remind("other", START + 3 * MINUTE, "third"))
    if crash:
        await stage.kill(host)
        await stage.start()
    await stage.clock.advance(200)
    view = await stage.view("a")
    assert view.notes == ("second", "third")
    assert [0 <= at - (START + n * MINUTE) <= 1 for n, at in zip((2, 3), view.times, strict=True)] == [True, True]


@pytest.mark.parametrize("crash", [False, True], ids=["same host", "next host"])
async def test_a_cleared_timer_does_not_fire(stage: Stage, crash: bool) -> None:
    host = await stage.start()
    await stage.ask("a", Remind("bell", START + MINUTE, "ding"))
    await stage.ask("b", Remind("bell", START + MINUTE, "ding"))
    await stage.ask("a", Forget("bell"))
    if crash:
        await stage.kill(host)
        await stage.start()
    await stage.clock.advance(200)
    assert ((await stage.view("a")).notes, (await stage.view("b")).notes) == ((), ("ding",))


async def test_a_timer_whose_decision_raises_comes_again(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Remind("bell", START + 1_000, "ding"))
    stage.toy.broken.add("a")
    await stage.until(lambda: len(stage.toy.decisions("a")) >= 4)
    stage.toy.broken.clear()
    await stage.until(lambda: len(stage.journal.of("a")) == 2)
    await stage.clock.advance(60)
    assert (await stage.view("a")).notes == ("ding",)


async def test_time_is_the_databases_and_not_the_machines(stage: Stage) -> None:
    stage.journal.ahead_ms = -3_600_000
    await stage.start()
    await stage.clock.advance(1)
    await stage.ask("a", Note("now"))
    assert (await stage.view("a")).times == (stage.journal.now(),)


async def test_time_does_not_run_backwards_when_the_databases_clock_does(stage: Stage) -> None:
    await stage.start()
    stage.journal.ahead_ms = 30_000
    await stage.clock.advance(1)
    await stage.ask("a", Note("early"))
    stage.journal.ahead_ms = 0
    await stage.clock.advance(1)
    await stage.ask("a", Note("later"))
    early, later = (await stage.view("a")).times
    assert early == START + 31_000
    assert later >= early


async def test_time_does_not_run_backwards_from_one_host_to_the_next(stage: Stage) -> None:
    host = await stage.start()
    stage.journal.ahead_ms = 30_000
    await stage.clock.advance(1)
    await stage.ask("a", Note("early"))
    await stage.stop(host)
    stage.journal.ahead_ms = 0
    await stage.start()
    await stage.ask("a", Note("later"))
    early, later = (await stage.view("a")).times
    assert (early, later) == (START + 31_000, START + 31_000)


async def test_time_does_not_run_backwards_in_an_entity_that_wakes_from_a_snapshot() -> None:
    stage = Stage(Limits(shards=SHARDS, snapshot_every=2))
    host = await stage.start()
    stage.journal.ahead_ms = 60_000
    await stage.clock.advance(1)
    await stage.ask("a", Deposit(1))
    await stage.ask("a", Note("early"))
    await stage.until(lambda: ("account", "a") in stage.journal.snapshots)
    await stage.stop(host)
    stage.journal.ahead_ms = 0
    await stage.start()
    await stage.ask("a", Note("later"))
    early, later = (await stage.view("a")).times
    await stage.close()
    assert later >= early
