"""Promise 9: a caller that goes away stalls nobody."""

import asyncio

from actors.runtime.wire import Envelope, Mode, Result, Status, encode
from tests.unit.stage import Stage
from tests.unit.toy import Balance, Deposit, Note


async def test_one_who_hangs_up_in_a_batch_stops_no_other(stage: Stage) -> None:
    await stage.start()
    stage.journal.hold("write")
    asked = [stage.asking("a", Deposit(1)) for _ in range(3)]
    elsewhere = stage.asking("b", Deposit(1))
    await stage.until(lambda: len(stage.toy.decided) == 4)
    asked[1].cancel()
    await stage.clock.advance(0)
    assert asked[1].cancelled()
    stage.journal.let_go("write")
    assert (await stage.run(asked[0])).reply == Balance(1)
    assert (await stage.run(asked[2])).reply == Balance(3)
    assert (await stage.run(elsewhere)).reply == Balance(1)
    # It was carried out all the same: it had been taken.
    assert (await stage.view("a")).balance == 3
    assert (await stage.ask("a", Deposit(1))).reply == Balance(4)


async def test_one_who_hangs_up_while_the_entity_is_loaded(stage: Stage) -> None:
    await stage.start()
    stage.journal.hold("load")
    asked = [stage.asking("a", Note(str(n))) for n in range(3)]
    await stage.until(lambda: ("load", "a") in stage.journal.calls)
    asked[0].cancel()
    await stage.clock.advance(0)
    stage.journal.let_go("load")
    await stage.run(asyncio.gather(*asked[1:]))
    assert (await stage.view("a")).notes == ("0", "1", "2")


async def test_one_who_hangs_up_leaves_the_answer_to_who_asks_again(stage: Stage) -> None:
    await stage.start()
    stage.journal.hold("write")
    first, joined = stage.asking("a", Deposit(5), key="k"), stage.asking("a", Deposit(5), key="k")
    await stage.until(lambda: len(stage.toy.decided) == 1)
    first.cancel()
    await stage.clock.advance(0)
    stage.journal.let_go("write")
    assert await stage.run(joined) == (Balance(5), 1, True)
    assert await stage.ask("a", Deposit(5), key="k") == (Balance(5), 1, True)


async def test_a_watcher_who_hangs_up_stops_no_other(stage: Stage) -> None:
    await stage.start()
    watching = [asyncio.ensure_future(stage.cluster.region.watch("account", "a", seconds=30)) for _ in range(3)]
    await stage.clock.advance(0.5)
    watching[0].cancel()
    await stage.clock.advance(0)
    await stage.ask("a", Deposit(100))
    assert [a.version for a in await stage.run(asyncio.gather(*watching[1:]))] == [1, 1]


async def test_a_crash_tells_nobody_that_his_command_failed(stage: Stage) -> None:
    """Those whose entity was being loaded may ask again elsewhere: only a decision that raised is a failure."""
    host = await stage.start()
    stage.journal.hold("load")
    asked = stage.asking("a", Deposit(5), key="k")
    await stage.until(lambda: ("load", "a") in stage.journal.calls)
    await stage.kill(host)
    stage.journal.let_go("load")
    await stage.start("h2")
    assert await stage.run(asked) == (Balance(5), 1, False)


async def test_a_crash_leaves_nobody_without_an_answer_whose_command_was_being_looked_up(stage: Stage) -> None:
    host = await stage.start()
    await stage.ask("a", Deposit(5), key="k")
    results: list[Result] = []
    again = Envelope(Mode.ASK, "account", "a", encode(Deposit(1)), command_id="c:1", again=True)
    stage.journal.hold("record_of_command")
    stage.cluster.region.post(again, results.append)
    await stage.until(lambda: stage.journal.counted()["record_of_command"] == 1)
    await stage.kill(host)
    assert [r.status for r in results] == [Status.UNAVAILABLE]
