"""Promise 2: nobody sees anything of a decision before its record is committed."""

import asyncio
from pathlib import Path

import pytest

from actors.decision import Message, Refused
from actors.journal.sql import SqlJournal
from actors.runtime.open_work import OpenTimer
from actors.runtime.wire import Envelope, Mode, Result, encode
from tests.unit.stage import Bank, Stage, real_cluster
from tests.unit.toy import (
    Balance,
    Charge,
    Deposit,
    Look,
    Ping,
    Relay,
    Remind,
    Statement,
    Toy,
    Transfer,
    Withdraw,
)


async def test_no_reply_before_the_commit(stage: Stage) -> None:
    await stage.start()
    stage.journal.hold("write")
    asked = stage.asking("a", Deposit(5))
    await stage.clock.advance(5)
    assert stage.toy.decisions("a") == [Deposit(5)]
    assert not asked.done()
    assert stage.journal.of("a") == []
    stage.journal.let_go("write")
    assert (await stage.run(asked))[:2] == (Balance(5), 1)
    assert [r.version for r in stage.journal.of("a")] == [1]


@pytest.mark.parametrize(
    "command",
    [Transfer("b", 1), Charge("x"), Remind("r", 1, "rung")],
    ids=["message", "effect", "timer"],
)
async def test_nothing_follows_before_the_commit(stage: Stage, command: Message) -> None:
    await stage.start()
    stage.journal.hold("write")
    asked = stage.asking("a", command)
    await stage.clock.advance(5)
    assert stage.bank.calls == []
    assert stage.toy.decided == [("a", command)]
    stage.journal.let_go("write")
    await stage.run(asked)
    await stage.until(lambda: len(stage.toy.decided) == 2)


async def test_readers_see_the_committed_state_and_wait_for_nobodys_writes(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Deposit(10))
    stage.journal.hold("write")
    asked = stage.asking("a", Deposit(1))
    await stage.until(lambda: Deposit(1) in stage.toy.decisions("a"))
    before = stage.clock.monotonic()
    read = asyncio.ensure_future(stage.cluster.region.read("account", "a"))
    await stage.clock.advance(0)
    assert read.done()
    assert (await read)[:2] == (Statement(10), 1)
    assert stage.clock.monotonic() == before
    stage.journal.let_go("write")
    await stage.run(asked)
    assert await stage.view("a") == Statement(11)


async def test_a_watcher_is_told_by_the_commit_and_not_before(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Deposit(1))
    watching = asyncio.ensure_future(stage.cluster.region.watch("account", "a", beyond=1, seconds=60))
    stage.journal.hold("write")
    asked = stage.asking("a", Deposit(1))
    await stage.clock.advance(3)
    assert not watching.done()
    stage.journal.let_go("write")
    await stage.run(asked)
    assert (await stage.run(watching))[:2] == (Statement(2), 2)


async def test_a_refusal_leaves_only_when_what_it_was_decided_on_is_committed(stage: Stage) -> None:
    await stage.start()
    stage.journal.hold("write")
    deposit = stage.asking("a", Deposit(5))
    refused = stage.asking("a", Withdraw(100))
    looked = stage.asking("a", Look())
    await stage.until(lambda: len(stage.toy.decided) == 3)
    await stage.clock.advance(1)
    assert (deposit.done(), refused.done(), looked.done()) == (False, False, False)
    stage.journal.let_go("write")
    await stage.run(deposit)
    assert (await stage.run(refused))[:2] == (Refused("too_little", "There is not enough.", {"left": 5}), 1)
    assert (await stage.run(looked))[:2] == (Balance(5), 1)


async def test_what_changes_nothing_is_a_record_only_under_a_clients_key_or_for_another_entity(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Withdraw(1))
    assert stage.journal.of("a") == []
    await stage.ask("a", Withdraw(1), key="k")
    assert [r.command_id for r in stage.journal.of("a")] == ["c:k"]
    await stage.ask("a", Look(), key="transient")
    assert len(stage.journal.of("a")) == 1
    await stage.ask("a", Relay("b"))
    await stage.until(lambda: stage.journal.of("b") != [])
    assert [r.command_id for r in stage.journal.of("b")] == ["m:account/a/2/0"]
    assert stage.toy.decisions("b") == [Ping()]


async def test_a_transient_answer_to_a_timer_is_a_record_so_that_it_fires_once(stage: Stage) -> None:
    """Otherwise nothing durable says that it fired, and every later host lets it fire again."""
    host = await stage.start()
    shard = host.shards["account", 0]
    name = stage.ids(0, 1)[0]
    results: list[Result] = []
    shard.owed.timers[name, "look"] = OpenTimer(name, "look", 1, stage.journal.now(), encode(Look()))
    look = Envelope(Mode.MESSAGE, "account", name, encode(Look()), command_id="t:1/look")
    shard.accept(look, results.append)
    await stage.until(lambda: results != [])
    assert [r.command_id for r in stage.journal.of(name)] == ["t:1/look"]


async def test_an_answer_on_sqlite_is_in_the_file_when_it_comes(tmp_path: Path) -> None:
    journal = SqlJournal(str(tmp_path / "journal.db"))
    other = SqlJournal(str(tmp_path / "journal.db"))
    await journal.setup()
    cluster = real_cluster(journal, Toy(), Bank())
    await cluster.start("h")
    for n in range(1, 21):
        answer = await cluster.region.ask("account", "a", Deposit(1))
        _, records = await other.load("account", "a")
        assert (answer.version, len(records)) == (n, n)
    await cluster.stop()
    await journal.close()
    await other.close()
