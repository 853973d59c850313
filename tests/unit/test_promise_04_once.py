"""Promise 4: the same command id again gets the first reply, and is carried out once."""

import asyncio
from pathlib import Path

import pytest

from actors.decision import Refused
from actors.journal.sql import SqlJournal
from actors.runtime.limits import Limits
from actors.runtime.ports import CommandFailed, KeyReused
from actors.runtime.wire import Envelope, Mode, Result, Status, encode
from tests.unit.doubles import turns
from tests.unit.stage import SHARDS, Bank, Stage, real_cluster
from tests.unit.toy import Balance, Deposit, Toy, Withdraw


async def test_the_same_id_while_the_first_is_running_joins_it(stage: Stage) -> None:
    await stage.start()
    stage.journal.hold("write")
    first, second = stage.asking("a", Deposit(5), key="k"), stage.asking("a", Deposit(5), key="k")
    await stage.until(lambda: len(stage.toy.decided) == 1)
    await stage.clock.advance(1)
    assert (first.done(), second.done()) == (False, False)
    stage.journal.let_go("write")
    assert await stage.run(first) == (Balance(5), 1, False)
    assert await stage.run(second) == (Balance(5), 1, True)
    assert len(stage.journal.of("a")) == 1


async def test_the_same_id_later_gets_the_first_reply_though_the_state_has_moved_on(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Deposit(5), key="k")
    await stage.ask("a", Deposit(1))
    assert await stage.ask("a", Deposit(5), key="k") == (Balance(5), 1, True)
    assert (await stage.view("a")).balance == 6


async def test_a_refusal_stands_though_it_would_be_allowed_now(stage: Stage) -> None:
    await stage.start()
    refused = Refused("too_little", "There is not enough.", {"left": 0})
    assert await stage.ask("a", Withdraw(1), key="k") == (refused, 1, False)
    await stage.ask("a", Deposit(5))
    assert await stage.ask("a", Withdraw(1), key="k") == (refused, 1, True)


async def test_two_entities_may_have_the_same_id(stage: Stage) -> None:
    await stage.start()
    assert (await stage.ask("a", Deposit(5), key="k")).repeated is False
    assert (await stage.ask("b", Deposit(5), key="k")).repeated is False


@pytest.mark.parametrize("when", ["running", "remembered", "forgotten", "after a crash"])
async def test_the_same_id_with_another_fingerprint_is_an_error(when: str) -> None:
    stage = Stage(Limits(shards=SHARDS, recent_commands=0 if when == "forgotten" else 500))
    host = await stage.start()
    if when == "running":
        stage.journal.hold("write")
        asked = stage.cluster.region.ask("account", "a", Deposit(5), command_id="k", fingerprint=b"one")
        first = stage.asking("a", Deposit(1))
        await stage.until(lambda: len(stage.toy.decided) == 1)
        running = asyncio.ensure_future(asked)
        await stage.until(lambda: len(stage.toy.decided) == 2)
        with pytest.raises(KeyReused):
            await stage.ask("a", Deposit(5), key="k", fingerprint=b"two")
        stage.journal.let_go("write")
        await stage.run(asyncio.gather(first, running))
    else:
        await stage.ask("a", Deposit(5), key="k", fingerprint=b"one")
        if when == "after a crash":
            await stage.kill(host)
            await stage.start()
        with pytest.raises(KeyReused):
            await stage.ask("a", Deposit(5), key="k", fingerprint=b"two")
    again = await stage.ask("a", Deposit(5), key="k", fingerprint=b"one")
    assert again == ((Balance(6), 2, True) if when == "running" else (Balance(5), 1, True))
    await stage.close()


async def test_the_unique_index_makes_it_once_when_memory_has_forgotten() -> None:
    stage = Stage(Limits(shards=SHARDS, recent_commands=0))
    await stage.start()
    await stage.ask("a", Deposit(5), key="k")
    assert await stage.ask("a", Deposit(5), key="k") == (Balance(5), 1, True)
    assert [r.command_id for r in stage.journal.of("a")] == ["c:k"]
    assert (await stage.view("a")).balance == 5
    await stage.close()


async def test_memory_spares_the_look_up(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Deposit(5), key="k")
    calls = stage.journal.counted()
    await stage.ask("a", Deposit(5), key="k")
    assert (stage.journal.counted() - calls)["record_of_command"] == 0


async def test_an_answer_that_was_lost_with_its_host_is_given_by_the_next(stage: Stage) -> None:
    """The record landed, its host died before it knew: the caller, who asks on, gets that record's reply."""
    host = await stage.start()
    stage.journal.script.append("lose")
    asked = stage.asking("a", Deposit(5), key="k")
    await stage.until(lambda: stage.journal.of("a") != [])
    await stage.kill(host)
    await stage.start("h2")
    assert await stage.run(asked) == (Balance(5), 1, True)
    assert len(stage.journal.of("a")) == 1


async def test_what_failed_left_nothing_and_may_come_again(stage: Stage) -> None:
    await stage.start()
    stage.toy.broken.add("a")
    with pytest.raises(CommandFailed):
        await stage.ask("a", Deposit(5), key="k")
    stage.toy.broken.clear()
    assert await stage.ask("a", Deposit(5), key="k") == (Balance(5), 1, False)


async def test_a_message_older_than_the_receiver_remembers_is_refused(stage: Stage) -> None:
    host = await stage.start()
    name = stage.ids(0, 1)[0]
    shard = host.shards["account", 0]
    results: list[Result] = []
    old = stage.journal.now() - stage.limits.receiver_age_ms - 1
    await stage.ask(name, Deposit(1))
    for n, at in enumerate((old, old + 1000)):
        command_id = f"m:account/x/{n}/0"
        shard.accept(
            Envelope(Mode.MESSAGE, "account", name, encode(Deposit(1)), command_id=command_id, at=at), results.append
        )
    await turns()
    assert [r.status for r in results] == [Status.TOO_OLD, Status.OK]
    assert (await stage.view(name)).balance == 2


async def test_a_key_holds_on_sqlite_across_a_crash(tmp_path: Path) -> None:
    journal = SqlJournal(str(tmp_path / "journal.db"))
    await journal.setup()
    cluster = real_cluster(journal, Toy(), Bank(), Limits(shards=SHARDS, lease_ms=50, renewal=0.01))
    host = await cluster.start("h")
    first = await cluster.region.ask("account", "a", Deposit(5), command_id="k", fingerprint=b"f")
    await host.kill()
    cluster.way.hosts.clear()
    await cluster.start("h")
    assert first == (Balance(5), 1, False)
    again = await cluster.region.ask("account", "a", Deposit(5), command_id="k", fingerprint=b"f")
    assert again == (Balance(5), 1, True)
    with pytest.raises(KeyReused):
        await cluster.region.ask("account", "a", Deposit(5), command_id="k", fingerprint=b"g")
    await cluster.stop()
    await journal.close()
