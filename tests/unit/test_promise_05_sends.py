"""Promise 5: a message that a decision sends arrives once, in order within its pair, whatever dies in between."""

import asyncio
from pathlib import Path

from actors.journal.sql import SqlJournal
from actors.runtime.limits import Limits
from tests.unit.stage import SHARDS, Bank, Stage, real_cluster
from tests.unit.toy import Deposit, Toy, Transfer

DAY = 24 * 3_600_000


async def test_a_transfer_arrives_once(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Transfer("b", 7))
    await stage.until(lambda: stage.journal.of("b") != [])
    await stage.clock.advance(30)
    assert [r.command_id for r in stage.journal.of("b")] == ["m:account/a/1/0"]
    assert ((await stage.view("a")).balance, (await stage.view("b")).balance) == (-7, 7)


async def test_it_is_sent_until_somebody_has_the_receiver(stage: Stage) -> None:
    a, b = stage.ids(0, 1)[0], stage.ids(1, 1)[0]
    await stage.start("h0", [0])
    await stage.ask(a, Transfer(b, 7))
    await stage.clock.advance(60)
    assert stage.journal.of(b) == []
    await stage.start("h1", [1])
    await stage.until(lambda: stage.journal.of(b) != [])
    await stage.clock.advance(60)
    assert len(stage.journal.of(b)) == 1


async def test_lost_acknowledgements_do_not_make_it_twice(stage: Stage) -> None:
    a, b = stage.ids(0, 1)[0], stage.ids(1, 1)[0]
    sender = await stage.start("h0", [0])
    await stage.start("h1", [1])
    stage.network.lost = 3
    await stage.ask(a, Transfer(b, 1, parts=2))
    await stage.until(lambda: sender.shards["account", 0].owed.size == 0)
    assert stage.network.lost == 0
    assert (await stage.view(b)).notes == ("0", "1")
    assert stage.toy.decisions(b) == [Deposit(1, "0"), Deposit(1, "1")]


async def test_it_arrives_once_and_in_order_across_a_kill_of_the_sender(stage: Stage) -> None:
    """The receiver has carried the first out, the sender never learns it; the second was never sent."""
    a, b = stage.ids(0, 1)[0], stage.ids(1, 1)[0]
    sender = await stage.start("h0", [0])
    await stage.start("h1", [1])
    stage.network.lost = 1
    await stage.ask(a, Transfer(b, 1, parts=3))
    await stage.until(lambda: stage.network.lost == 0)
    await stage.kill(sender)
    assert [r.command_id[-1] for r in stage.journal.of(b)] == ["0"]
    again = await stage.start("h2", [0])
    await stage.until(lambda: again.shards["account", 0].owed.size == 0)
    assert [r.command_id[-1] for r in stage.journal.of(b)] == ["0", "1", "2"]
    assert (await stage.view(b)).notes == ("0", "1", "2")


async def test_it_arrives_once_across_a_kill_of_the_receiver(stage: Stage) -> None:
    a, b = stage.ids(0, 1)[0], stage.ids(1, 1)[0]
    sender = await stage.start("h0", [0])
    receiver = await stage.start("h1", [1])
    stage.network.lost = 1
    await stage.ask(a, Transfer(b, 1, parts=3))
    await stage.until(lambda: stage.network.lost == 0)
    await stage.kill(receiver)
    await stage.start("h2", [1])
    await stage.until(lambda: sender.shards["account", 0].owed.size == 0)
    assert (await stage.view(b)).notes == ("0", "1", "2")


async def test_only_one_of_a_pair_is_under_way_so_none_overtakes(stage: Stage) -> None:
    await stage.start()
    stage.toy.broken.add("b")
    await stage.ask("a", Transfer("b", 1, parts=3))
    await stage.ask("a", Transfer("b", 2))
    await stage.ask("a", Transfer("c", 3))
    await stage.until(lambda: stage.journal.of("c") != [])
    await stage.until(lambda: len(stage.toy.decisions("b")) >= 3)
    assert set(stage.toy.decisions("b")) == {Deposit(1, "0")}
    stage.toy.broken.clear()
    await stage.until(lambda: len(stage.journal.of("b")) == 4)
    assert [r.command_id for r in stage.journal.of("b")] == [
        "m:account/a/1/0",
        "m:account/a/1/1",
        "m:account/a/1/2",
        "m:account/a/2/0",
    ]


async def test_a_message_to_an_id_just_made_spares_the_look_at_its_past_once(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Transfer("new", 1, creates=True))
    await stage.until(lambda: stage.journal.of("new") != [])
    assert ("load", "new") not in stage.journal.calls
    assert (await stage.view("new")).balance == 1


async def test_a_wrong_word_that_an_id_was_just_made_does_no_harm(stage: Stage) -> None:
    """The receiver has a past and sleeps: the unique version refuses the decision, and it is decided again."""
    host = await stage.start()
    await stage.ask("b", Deposit(10))
    await stage.kill(host)
    await stage.start()
    await stage.ask("a", Transfer("b", 1, creates=True))
    await stage.until(lambda: len(stage.journal.of("b")) == 2)
    assert (await stage.view("b")).balance == 11


async def test_what_nobody_took_for_eighty_days_is_parked_and_what_follows_goes_on(stage: Stage) -> None:
    a, b = stage.ids(0, 1)[0], stage.ids(1, 1)[0]
    host = await stage.start("h0", [0])
    await stage.ask(a, Transfer(b, 1))
    await stage.kill(host)
    stage.journal.ahead_ms = 81 * DAY
    host = await stage.start("h0", [0])
    await stage.ask(a, Transfer(b, 2))
    owed = host.shards["account", 0].owed
    await stage.until(lambda: owed.parked != [])
    assert [(p.receiver, p.version) for p in owed.parked] == [(b, 1)]
    await stage.start("h1", [1])
    await stage.until(lambda: stage.journal.of(b) != [])
    assert [r.command_id for r in stage.journal.of(b)] == [f"m:account/{a}/2/0"]


async def test_messages_go_on_when_the_same_host_gets_the_shard_back(stage: Stage) -> None:
    """Whoever was under way belongs to the incarnation that is over, and must not keep the new one from sending."""
    a, b = stage.ids(0, 1)[0], stage.ids(1, 1)[0]
    host = await stage.start("h0", [0])
    await stage.ask(a, Transfer(b, 7))
    await stage.clock.advance(40)
    await stage.run(host.disown([("account", 0)]))
    await stage.run(host.own([("account", 0)]))
    await stage.start("h1", [1])
    await stage.until(lambda: stage.journal.of(b) != [], most=40)
    assert (await stage.view(b)).balance == 7


async def test_a_saga_on_sqlite_survives_the_crash_of_everybody(tmp_path: Path) -> None:
    journal = SqlJournal(str(tmp_path / "journal.db"))
    await journal.setup()
    limits = Limits(shards=SHARDS, lease_ms=50, renewal=0.01)
    toy = Toy()
    cluster = real_cluster(journal, toy, Bank(), limits)
    host = await cluster.start("h")
    toy.broken.add("b")
    await asyncio.gather(*(cluster.region.ask("account", "a", Transfer("b", 1, parts=2)) for _ in range(10)))
    await host.kill()
    cluster.way.hosts.clear()
    toy.broken.clear()
    await cluster.start("h")
    answer = await cluster.region.watch("account", "b", beyond=19, seconds=10)
    assert (answer.version, getattr(answer.reply, "notes", ())) == (20, ("0", "1") * 10)
    await cluster.stop()
    await journal.close()
