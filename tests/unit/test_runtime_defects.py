"""Defects that were found in the runtime by reading it. Each test failed before its fix."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from actors.decision import Message
from actors.runtime import agenda
from actors.runtime.kind import Kind
from actors.runtime.limits import Limits
from actors.runtime.ports import CommandFailed, Done, Overloaded, Unavailable
from actors.runtime.region import GRACE, Region
from actors.runtime.wire import Envelope, Mode, Result, Status, encode
from tests.unit.doubles import START, CountingEntropy, FakeClock, turns
from tests.unit.stage import SHARDS, Stage
from tests.unit.toy import Balance, Deposit, Forget, Remind, Sent, Statement, Toy, Transfer, Withdraw

FIRST = ("account", 0)


# what a caller is told


class ScriptedWay:
    """The way to one host that answers as it is told, each answer `seconds` later; `seen` is what came."""

    def __init__(self, clock: FakeClock, *answers: tuple[float, Result]) -> None:
        self.clock = clock
        self.answers = list(answers)
        self.seen: list[tuple[Mode, float]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def link(self, kind: str, shard: int) -> "ScriptedWay":
        return self

    async def refresh(self) -> None:
        """Nothing to learn."""

    def post(self, envelope: Envelope, done: Done) -> None:
        self.seen.append((envelope.mode, envelope.seconds))
        self.tasks.append(asyncio.ensure_future(self._answer(done, *self.answers.pop(0))))

    async def _answer(self, done: Done, seconds: float, result: Result) -> None:
        await self.clock.sleep(seconds)
        done(result)


def scripted(*answers: tuple[float, Result]) -> tuple[Region, ScriptedWay, FakeClock]:
    clock = FakeClock()
    way = ScriptedWay(clock, *answers)
    return Region(Toy().kinds(), way, clock, CountingEntropy(), SHARDS), way, clock


async def over(clock: FakeClock, work: "asyncio.Future[Any]") -> Any:
    while not work.done():
        await turns()
        clock.tick()
    return work.result()


OVERLOADED = Result(Status.OVERLOADED, retry_after=3.0)


async def test_overloaded_is_said_only_of_what_was_certainly_not_carried_out() -> None:
    """The first try got no answer: whoever is told `Overloaded` may undo what belongs to the command."""
    region, _, clock = scripted((0.1, Result(Status.UNAVAILABLE)), (0.1, OVERLOADED))
    asked = asyncio.ensure_future(region.ask("account", "a", Deposit(1), command_id="k"))
    with pytest.raises(Unavailable) as raised:
        await over(clock, asked)
    assert raised.value.retry_after == 3.0
    region, _, clock = scripted((0.1, OVERLOADED))
    with pytest.raises(Overloaded):
        await over(clock, asyncio.ensure_future(region.ask("account", "a", Deposit(1), command_id="k")))


async def test_nobody_may_wait_any_more_and_the_command_was_carried_out() -> None:
    """There is no room for another watcher: the caller gets the command's own reply, not `Overloaded`."""
    stage = Stage(Limits(shards=SHARDS, watchers=0))
    await stage.start()
    assert await stage.ask("a", Transfer("b", 1), key="k", follow=True) == (Sent("b"), 1, False)
    await stage.close()


async def test_who_follows_waits_no_longer_in_all_for_having_been_sent_on() -> None:
    sent = Result(Status.OK, encode(Sent("b")), 1, "account")
    seen = Result(Status.OK, encode(Statement(5)), 1, "account")
    region, way, clock = scripted((4.0, Result(Status.MOVED)), (3.0, sent), (1.0, seen))
    asked = asyncio.ensure_future(region.ask("account", "a", Transfer("b", 5), seconds=10.0, follow=True))
    assert (await over(clock, asked)).reply == Statement(5)
    assert [mode for mode, _ in way.seen] == [Mode.ASK, Mode.ASK, Mode.WATCH]
    pause = 0.02
    assert [seconds for _, seconds in way.seen] == pytest.approx([10.0, 6.0 - pause, 3.0 - pause])
    assert GRACE == 2.0


# rules that raise while others are answered


def broken(stage: Stage, **parts: Callable[..., Any]) -> None:
    """The kind's rules with these parts replaced."""
    kind: Kind = stage.cluster.kinds["account"]
    stage.cluster.kinds = {"account": replace(kind, **parts)}  # type: ignore[arg-type]


def _raise(state: Any) -> Any:
    if getattr(state, "balance", None) == 13 or getattr(state, "to", None) == "b":
        raise RuntimeError("broken on purpose")
    return Statement(state.balance) if hasattr(state, "balance") else None


@pytest.mark.parametrize("part", ["view", "settled", "follows"])
async def test_a_rule_that_raises_beside_decisions_stops_nobody_else(stage: Stage, part: str) -> None:
    """It stopped the commits of the whole host, or the one who tells watchers."""
    broken(stage, **{part: _raise})
    host = await stage.start()
    a, b = stage.ids(0, 2)
    watching = asyncio.ensure_future(stage.cluster.region.watch("account", a, beyond=0, seconds=1))
    overdue = asyncio.ensure_future(stage.cluster.region.watch("account", a, beyond=5, seconds=1))
    await turns()
    assert (await stage.ask(a, Deposit(13))).reply == Balance(13)
    told: list[Result] = []
    away = Envelope(Mode.ASK, "account", b, encode(Transfer("b", 1)), command_id="c:k", follow=True, seconds=1)
    host.accept(away, told.append)
    await stage.until(lambda: told != [])
    assert told[0].status is Status.OK
    if part == "view":
        for task in (watching, overdue):
            with pytest.raises(CommandFailed):
                await stage.run(task)
    else:
        assert (await stage.run(watching)).reply == Statement(13)
        assert (await stage.run(overdue)).reply == Statement(13)
    assert (await stage.ask(b, Deposit(1))).version > 0
    late = stage.cluster.region.watch("account", b, beyond=99, seconds=1)
    assert (await stage.run(late)).version > 0


# timers


@pytest.mark.parametrize("ends", [Forget("t"), Remind("t", START + 60_000, "second")])
async def test_a_timer_does_not_fire_when_it_was_cleared_or_replaced_by_what_is_being_written(
    stage: Stage, ends: Message
) -> None:
    await stage.start()
    await stage.ask("a", Remind("t", START + 5_000, "first"))
    stage.journal.hold("write")
    asked = stage.asking("a", ends)
    await stage.until(lambda: ends in stage.toy.decisions("a"))
    await stage.clock.advance(7)
    stage.journal.let_go("write")
    await stage.run(asked)
    await stage.clock.advance(80)
    notes = (await stage.view("a")).notes
    assert notes == (() if isinstance(ends, Forget) else ("second",))


async def test_timers_that_were_cleared_long_before_their_time_are_forgotten(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agenda, "SWEEP_AT", 4)
    host = await stage.start()
    host._agenda._most = 4
    for _ in range(50):
        await stage.ask("a", Remind("t", START + 10**9, "never"))
        await stage.ask("a", Forget("t"))
    assert len(host._agenda._due) <= 5
    await stage.ask("a", Remind("t", START + 9_000, "kept"))
    for n in range(9):
        await stage.ask("a", Remind(f"late {n}", START + 10**9, "never"))
    await stage.clock.advance(10)
    assert (await stage.view("a")).notes == ("kept",)


# shards that are being handed over


async def test_a_message_that_was_stuck_is_shown_only_by_who_sends_it(stage: Stage) -> None:
    host = await stage.start()
    a, b = stage.ids(0, 1)[0], stage.ids(1, 1)[0]
    stage.toy.broken.add(b)
    await stage.ask(a, Transfer(b, 1))
    await stage.until(lambda: host.delivery.stuck != {})
    await stage.run(host.disown([FIRST]))
    await stage.until(lambda: host.delivery.stuck == {})


async def test_a_shard_that_is_taken_while_it_is_being_handed_over_answers_nobody(stage: Stage) -> None:
    """It waits for an outcome, and a command for what the journal has; meanwhile another host has the shard."""
    other = Stage(beside=stage)
    old = await stage.start()
    a, b = stage.ids(0, 2)
    await stage.ask(a, Deposit(10))
    shard = old.shards[FIRST]
    stage.journal.hold("write")
    stage.asking(b, Deposit(1))
    await stage.until(lambda: any(r.entity == b for batch in stage.journal.writes for r in batch))
    held = stage.journal._held.pop("write")
    stage.journal.hold("record_of_command")
    told: list[Result] = []
    refused = Envelope(Mode.ASK, "account", a, encode(Withdraw(50)), command_id="c:w", again=True)
    shard.accept(refused, told.append)
    leaving = asyncio.ensure_future(old.disown([FIRST]))
    await other.start("n", [0])
    assert (await other.ask(a, Deposit(90))).reply == Balance(100)
    assert old.lease.valid()
    stage.journal.let_go("record_of_command")
    await turns()
    assert [result.status for result in told] == [Status.MOVED]
    held.set()
    await stage.run(leaving)
    await other.close()


async def test_who_waits_for_a_shard_that_is_being_handed_over_is_told_when_the_host_ends(stage: Stage) -> None:
    old = await stage.start()
    a = stage.ids(0, 1)[0]
    stage.journal.hold("write")
    told: list[Result] = []
    old.accept(Envelope(Mode.ASK, "account", a, encode(Deposit(1)), command_id="c:k"), told.append)
    await stage.until(lambda: any(r.entity == a for batch in stage.journal.writes for r in batch))
    leaving = asyncio.ensure_future(old.disown([FIRST]))
    await turns()
    await old.kill()
    assert [result.status for result in told] == [Status.MOVED]
    stage.clock.tick()
    leaving.cancel()
