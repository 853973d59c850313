"""Promise 8: mailboxes are bounded, and what is slow or broken stalls nobody who does not need it."""

import asyncio

import pytest

from actors.runtime.limits import Limits
from actors.runtime.ports import CommandFailed, Overloaded, Unavailable
from actors.runtime.wire import Envelope, Mode, Result, Status, encode
from tests.unit.stage import SHARDS, Stage
from tests.unit.toy import Balance, Deposit, Note, Swell, Transfer, Withdraw


def message(entity: str, text: str, number: int) -> Envelope:
    return Envelope(Mode.MESSAGE, "account", entity, encode(Note(text)), command_id=f"m:account/x/{number}/0")


async def test_past_the_bound_the_answer_is_at_once_and_others_are_served() -> None:
    stage = Stage(Limits(shards=SHARDS, mailbox=3))
    await stage.start()
    await stage.ask("a", Deposit(1))
    stage.journal.hold("write")
    waiting = [stage.asking("a", Deposit(1)) for _ in range(3)]
    await stage.until(lambda: len(stage.toy.decisions("a")) == 4)
    before = stage.clock.monotonic()
    one_more = stage.asking("a", Deposit(1))
    await stage.clock.advance(0)
    with pytest.raises(Overloaded) as refused:
        one_more.result()
    assert refused.value.retry_after == 1.0
    assert stage.clock.monotonic() == before
    other = stage.asking("b", Deposit(1))
    results: list[Result] = []
    stage.cluster.region.post(message("a", "saga", 1), results.append)
    await stage.until(lambda: len(stage.toy.decided) == 6)
    stage.journal.let_go("write")
    await stage.run(asyncio.gather(*waiting, other))
    await stage.until(lambda: results != [])
    assert (results[0].status, (await stage.view("a")).notes) == (Status.OK, ("saga",))
    assert (await stage.ask("a", Deposit(1))).reply == Balance(5)
    await stage.close()


async def test_an_entity_that_loads_slowly_fills_its_own_mailbox_only() -> None:
    stage = Stage(Limits(shards=SHARDS, mailbox=2))
    await stage.start()
    x, y = stage.ids(0, 2)
    stage.journal.hold(f"load {x}")
    waiting = [stage.asking(x, Note("shopper")) for _ in range(2)]
    await stage.until(lambda: (f"load {x}",) in stage.journal.calls)
    with pytest.raises(Overloaded):
        await stage.ask(x, Note("too much"))
    assert (await stage.ask(y, Deposit(1))).reply == Balance(1)
    stage.journal.let_go(f"load {x}")
    await stage.run(asyncio.gather(*waiting))
    assert (await stage.view(x)).notes == ("shopper", "shopper")
    await stage.close()


async def _with_a_message_behind(stage: Stage, shoppers: int) -> tuple[list[object], Status, tuple[str, ...]]:
    """What came of shoppers who wait for an entity to be loaded, and of a message that comes after them."""
    await stage.start()
    stage.journal.hold("load")
    waiting = [stage.asking("a", Note(f"shopper {n}")) for n in range(shoppers)]
    await stage.until(lambda: ("load a",) in stage.journal.calls)
    results: list[Result] = []
    stage.cluster.region.post(message("a", "saga", 1), results.append)
    await stage.clock.advance(0.01)
    stage.journal.let_go("load")
    answers = await stage.run(asyncio.gather(*waiting, return_exceptions=True))
    await stage.until(lambda: results != [])
    notes = (await stage.view("a")).notes
    await stage.close()
    return [type(answer).__name__ for answer in answers], results[0].status, notes


async def test_the_shops_own_messages_go_first_though_they_came_last(stage: Stage) -> None:
    answers, status, notes = await _with_a_message_behind(stage, 2)
    assert (answers, status, notes) == (["Answer"] * 2, Status.OK, ("saga", "shopper 0", "shopper 1"))


async def test_messages_have_places_of_their_own_and_take_no_shoppers() -> None:
    answers, status, notes = await _with_a_message_behind(Stage(Limits(shards=SHARDS, mailbox=2)), 2)
    assert (answers, status, len(notes)) == (["Answer"] * 2, Status.OK, 3)


async def test_a_crowd_is_bounded_for_the_host_as_a_whole() -> None:
    stage = Stage(Limits(shards=SHARDS, crowd=5))
    await stage.start()
    stage.journal.hold("write")
    waiting = [stage.asking(f"a{n}", Deposit(1)) for n in range(5)]
    await stage.until(lambda: len(stage.toy.decided) == 5)
    with pytest.raises(Overloaded):
        await stage.ask("one more", Deposit(1))
    results: list[Result] = []
    stage.cluster.region.post(message("b", "saga", 1), results.append)
    await stage.until(lambda: len(stage.toy.decided) == 6)
    stage.journal.let_go("write")
    await stage.run(asyncio.gather(*waiting))
    await stage.until(lambda: results != [])
    assert (await stage.ask("one more", Deposit(1))).reply == Balance(1)
    await stage.close()


async def test_what_leaves_no_record_is_bounded_too() -> None:
    stage = Stage(Limits(shards=SHARDS, mailbox=3))
    await stage.start()
    await stage.ask("a", Deposit(1))
    stage.journal.hold("write")
    waiting = [stage.asking("a", Deposit(1))]
    waiting += [stage.asking("a", Withdraw(100)) for _ in range(50)]
    await stage.clock.advance(1)
    refused = sum(1 for task in waiting if task.done() and isinstance(task.exception(), Overloaded))
    stage.journal.let_go("write")
    await stage.run(asyncio.gather(*waiting, return_exceptions=True))
    await stage.close()
    assert refused >= 47


async def test_a_message_whose_decision_raises_comes_again_blocks_only_its_pair_and_is_shown(stage: Stage) -> None:
    host = await stage.start()
    stage.toy.broken.add("b")
    await stage.ask("a", Transfer("b", 1))
    await stage.ask("a", Transfer("c", 2))
    await stage.until(lambda: stage.journal.of("c") != [])
    await stage.until(lambda: host.delivery.stuck.get("m:account/a/1/0", 0) >= 3)
    attempts = len(stage.toy.decisions("b"))
    assert attempts == host.delivery.stuck["m:account/a/1/0"]
    # Later and later: not a busy loop.
    await stage.clock.advance(60)
    assert 3 <= len(stage.toy.decisions("b")) - attempts <= 20
    stage.toy.broken.clear()
    await stage.until(lambda: stage.journal.of("b") != [])
    await stage.until(lambda: host.delivery.stuck == {})
    assert (await stage.view("b")).balance == 1


async def test_a_command_whose_decision_raises_changes_nothing_and_stops_nobody(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Deposit(1))
    stage.toy.broken.add("a")
    with pytest.raises(CommandFailed):
        await stage.ask("a", Deposit(5))
    assert (await stage.ask("b", Deposit(1))).reply == Balance(1)
    stage.toy.broken.clear()
    assert (await stage.ask("a", Deposit(1)))[:2] == (Balance(2), 2)


async def test_an_answer_too_big_for_a_record_is_a_failure_of_its_command_alone() -> None:
    stage = Stage(Limits(shards=SHARDS, record_bytes=1_000))
    await stage.start()
    with pytest.raises(CommandFailed):
        await stage.ask("a", Swell(1_000))
    assert stage.journal.of("a") == []
    assert (await stage.ask("a", Swell(900))).version == 1
    assert (await stage.view("a")).balance == 1
    await stage.close()


async def test_a_command_that_nobody_knows_is_a_failure_of_its_own(stage: Stage) -> None:
    await stage.start()
    results: list[Result] = []
    unknown = Envelope(Mode.ASK, "account", "a", encode({"type": "Unheard/1"}), command_id="c:1")
    stage.cluster.region.post(unknown, results.append)
    await stage.until(lambda: results != [])
    assert results[0].status is Status.FAILED
    assert (await stage.ask("a", Deposit(1))).version == 1


async def test_a_database_that_does_not_answer_is_told_and_forgotten_when_it_does(stage: Stage) -> None:
    await stage.start()
    await stage.ask("awake", Deposit(1))
    stage.journal.down.add("load")
    with pytest.raises(Unavailable):
        await stage.ask("asleep", Deposit(1), seconds=1)
    assert (await stage.ask("awake", Deposit(1))).reply == Balance(2)
    stage.journal.down.clear()
    assert (await stage.ask("asleep", Deposit(1))).reply == Balance(1)


async def test_watchers_are_bounded() -> None:
    stage = Stage(Limits(shards=SHARDS, watchers=2))
    await stage.start()
    watching = [asyncio.ensure_future(stage.cluster.region.watch("account", "a", seconds=30)) for _ in range(2)]
    await stage.clock.advance(0.5)
    with pytest.raises(Overloaded):
        await stage.run(stage.cluster.region.watch("account", "a", seconds=30))
    await stage.ask("a", Deposit(100))
    assert [a.version for a in await stage.run(asyncio.gather(*watching))] == [1, 1]
    await stage.close()


async def test_memory_is_bounded() -> None:
    stage = Stage(Limits(shards=1, recent_commands=10, idle=5))
    host = await stage.start()
    await stage.run(asyncio.gather(*(stage.asking(f"a{n}", Deposit(1)) for n in range(100))))
    shard = host.shards["account", 0]
    assert (len(shard._recent), len(shard._under_way), len(shard.waking)) == (10, 0, 0)
    assert len(shard.entities) == 100
    await stage.clock.advance(30)
    assert len(shard.entities) == 0
    assert host.committer.backlog == 0
    await stage.close()
