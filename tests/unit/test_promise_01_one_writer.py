"""Promise 1: commands to one entity run one at a time, in the order in which they arrived."""

import asyncio

from actors.decision import Refused
from actors.runtime.wire import Envelope, Mode, Result, encode
from tests.unit.stage import Stage
from tests.unit.toy import Balance, Deposit, Note, Withdraw


async def test_commands_run_in_the_order_in_which_they_came(stage: Stage) -> None:
    await stage.start()
    await stage.run(asyncio.gather(*(stage.asking("a", Note(str(n))) for n in range(50))))
    assert (await stage.view("a")).notes == tuple(str(n) for n in range(50))
    assert [r.version for r in stage.journal.of("a")] == list(range(1, 51))


async def test_each_is_decided_on_what_the_one_before_decided_though_nothing_is_durable(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Deposit(10))
    stage.journal.hold("write")
    first = stage.asking("a", Withdraw(10))
    second = stage.asking("a", Withdraw(10))
    await stage.until(lambda: stage.toy.decisions("a") == [Deposit(10), Withdraw(10), Withdraw(10)])
    stage.journal.let_go("write")
    assert (await stage.run(first)).reply == Balance(0)
    assert (await stage.run(second)).reply == Refused("too_little", "There is not enough.", {"left": 0})


async def test_the_order_holds_while_the_entity_is_loaded(stage: Stage) -> None:
    await stage.start()
    stage.journal.hold("load")
    early = [stage.asking("a", Note(f"early {n}")) for n in range(3)]
    await stage.until(lambda: ("load", "a") in stage.journal.calls)
    late = [stage.asking("a", Note(f"late {n}")) for n in range(3)]
    await stage.clock.advance(0.01)
    assert stage.toy.decided == []
    stage.journal.let_go("load")
    await stage.run(asyncio.gather(*early, *late))
    assert (await stage.view("a")).notes == ("early 0", "early 1", "early 2", "late 0", "late 1", "late 2")
    assert stage.journal.counted()["load"] == 1


async def test_nothing_overtakes_a_command_that_is_being_looked_up(stage: Stage) -> None:
    """A repeated command waits for the journal; what came after it waits behind it."""
    await stage.start()
    await stage.ask("a", Note("zero"))
    stage.journal.hold("record_of_command")
    results: list[tuple[int, Result]] = []
    again = Envelope(Mode.ASK, "account", "a", encode(Note("one")), command_id="c:1", again=True)
    after = Envelope(Mode.ASK, "account", "a", encode(Note("two")), command_id="c:2")
    stage.cluster.region.post(again, lambda result: results.append((1, result)))
    stage.cluster.region.post(after, lambda result: results.append((2, result)))
    await stage.clock.advance(0.01)
    assert results == []
    stage.journal.let_go("record_of_command")
    await stage.until(lambda: len(results) == 2)
    assert [n for n, _ in results] == [1, 2]
    assert (await stage.view("a")).notes == ("zero", "one", "two")
