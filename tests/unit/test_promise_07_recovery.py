"""Promise 7: a crash loses nothing that was acknowledged, and what was begun goes on by itself."""

import asyncio
from pathlib import Path

from actors.journal.sql import SqlJournal
from actors.runtime.limits import Limits
from actors.runtime.open_work import OpenWork
from tests.unit.doubles import START
from tests.unit.stage import SHARDS, Bank, Stage, real_cluster
from tests.unit.toy import Charge, Deposit, Note, Pay, Remind, Toy, Transfer


async def test_everything_acknowledged_is_there_after_a_crash_on_sqlite(tmp_path: Path) -> None:
    journal = SqlJournal(str(tmp_path / "journal.db"))
    await journal.setup()
    cluster = real_cluster(journal, Toy(), Bank(), Limits(shards=SHARDS, lease_ms=50, renewal=0.01))
    host = await cluster.start("h")
    acknowledged = {f"a{n}": 0 for n in range(8)}

    async def shop(name: str) -> None:
        while True:
            await cluster.region.ask("account", name, Deposit(1))
            acknowledged[name] += 1

    shopping = [asyncio.ensure_future(shop(name)) for name in acknowledged]
    async with asyncio.timeout(10):
        while sum(acknowledged.values()) < 100:
            await cluster.region.ask("account", "z", Deposit(1))
    known = dict(acknowledged)
    await host.kill()
    for task in shopping:
        task.cancel()
    await asyncio.gather(*shopping, return_exceptions=True)
    cluster.way.hosts.clear()
    await cluster.start("h")
    for name, number in known.items():
        answer = await cluster.region.read("account", name)
        # One more may have been durable whose answer was lost in the crash.
        assert answer.version - number in (0, 1)
    await cluster.stop()
    await journal.close()


async def test_recovery_reads_the_checkpoint_and_the_records_after_it_and_nothing_else(stage: Stage) -> None:
    host = await stage.start()
    x = stage.ids(0, 1)[0]
    for _ in range(20):
        await stage.ask(x, Deposit(1))
    await stage.clock.advance(stage.limits.checkpoint + 1)
    kept = OpenWork(stage.journal.rows["account", 0].checkpoint).seq
    assert kept == host.shards["account", 0].seq == 21
    for _ in range(3):
        await stage.ask(x, Deposit(1))
    await stage.kill(host)
    before = len(stage.journal.calls)
    await stage.start()
    calls = stage.journal.calls[before:]
    assert sorted(c for c in calls if c[0] == "shard_records") == [
        ("shard_records", 0, 21),
        ("shard_records", 1, 1),
        ("shard_records", 2, 1),
        ("shard_records", 3, 1),
    ]
    names = {c[0] for c in calls}
    assert names == {"renew", "last_records", "shard_rows", "revoke", "take_shards", "shard_records"}
    assert (await stage.view(x)).balance == 23


async def test_an_effect_goes_on_after_a_crash_and_its_answer_is_taken_once(stage: Stage) -> None:
    host = await stage.start()
    stage.bank.shut = True
    await stage.ask("a", Charge("r"))
    await stage.until(lambda: stage.bank.calls == ["r"])
    await stage.kill(host)
    stage.bank.shut = False
    host = await stage.start()
    await stage.until(lambda: len(stage.journal.of("a")) == 2)
    assert stage.bank.calls == ["r", "r"]
    assert stage.journal.of("a")[1].command_id == "e:1/0"
    await stage.kill(host)
    await stage.start()
    await stage.clock.advance(60)
    assert stage.bank.calls == ["r", "r"]
    assert (await stage.view("a")).notes == ("paid r",)


async def test_an_effect_without_an_answer_is_tried_again(stage: Stage) -> None:
    await stage.start()
    stage.bank.failing = 3
    await stage.ask("a", Charge("r"))
    await stage.until(lambda: len(stage.journal.of("a")) == 2)
    assert stage.bank.calls == ["r"] * 4
    assert (await stage.view("a")).notes == ("paid r",)


async def test_an_effect_that_hangs_is_given_up_and_tried_again(stage: Stage) -> None:
    """The bound is on the loop's own time, so it is a short one."""
    short = Stage(Limits(shards=SHARDS, effect_seconds=0.01))
    await short.start()
    short.bank.shut = True
    await short.ask("a", Charge("r"))
    async with asyncio.timeout(5):
        while len(short.bank.calls) < 2:
            await short.clock.advance(0.1)
    short.bank.shut = False
    await short.until(lambda: len(short.journal.of("a")) == 2)
    await short.close()


async def test_messages_effects_and_timers_from_before_the_checkpoint_go_on(stage: Stage) -> None:
    a, b = stage.ids(0, 1)[0], stage.ids(1, 1)[0]
    host = await stage.start("h0", [0])
    stage.bank.shut = True
    await stage.ask(a, Transfer(b, 7))
    await stage.ask(a, Charge("r"))
    await stage.ask(a, Remind("bell", START + 60_000, "ding"))
    await stage.clock.advance(10)
    owed = OpenWork(stage.journal.rows["account", 0].checkpoint)
    assert (len(owed.sends), len(owed.effects), len(owed.timers)) == (1, 1, 1)
    assert [stage.toy.kinds()["account"].effect(e.request) for e in owed.effects.values()] == [Pay("r")]
    await stage.kill(host)
    stage.bank.shut = False
    await stage.start("h1")
    await stage.until(lambda: len(stage.journal.of(a)) == 5)
    assert (await stage.view(a)).notes == ("paid r", "ding")
    assert (await stage.view(b)).balance == 7


async def test_a_checkpoint_is_kept_only_while_the_row_is_the_hosts(stage: Stage) -> None:
    old = await stage.start()
    a = stage.ids(0, 1)[0]
    stage.journal.down.add(old.lease.owner)
    other = Stage(beside=stage)
    await other.start("n")
    for _ in range(3):
        await other.ask(a, Deposit(1))
    row = stage.journal.rows["account", 0]
    old.shards["account", 0].owed.changed = True
    await stage.clock.advance(stage.limits.checkpoint + 1)
    assert stage.journal.counted()["save_checkpoints"] >= 2
    kept = stage.journal.rows["account", 0]
    assert (kept.owner, kept.epoch) == (row.owner, row.epoch)
    assert OpenWork(kept.checkpoint).seq == 5
    await other.close()


async def test_an_idle_entity_sleeps_though_its_work_is_open_and_wakes_from_its_snapshot() -> None:
    stage = Stage(Limits(shards=SHARDS, idle=10, snapshot_idle=2))
    a, b = stage.ids(0, 1)[0], stage.ids(1, 1)[0]
    host = await stage.start("h0", [0])
    await stage.ask(a, Deposit(10))
    await stage.ask(a, Transfer(b, 7))
    await stage.ask(a, Note("sleep well"))
    await stage.until(lambda: host.shards["account", 0].entities == {})
    assert host.shards["account", 0].owed.size == 1
    assert stage.journal.snapshots["account", a].version == 3
    await stage.start("h1", [1])
    await stage.until(lambda: stage.journal.of(b) != [])
    view = await stage.view(a)
    assert (view.balance, view.notes) == (3, ("sleep well",))
    assert (await stage.ask(a, Deposit(1))).version == 4
    await stage.close()


async def test_a_busy_entity_is_kept_short_by_snapshots() -> None:
    stage = Stage(Limits(shards=SHARDS, snapshot_every=5))
    host = await stage.start()
    for _ in range(7):
        await stage.ask("a", Deposit(1))
    await stage.until(lambda: ("account", "a") in stage.journal.snapshots)
    assert stage.journal.snapshots["account", "a"].version == 7
    await stage.kill(host)
    await stage.start()
    _, records = await stage.journal.load("account", "a")
    assert records == []
    assert (await stage.ask("a", Deposit(1))).version == 8
    await stage.close()


async def test_a_host_that_has_had_no_lease_for_too_long_ends_itself() -> None:
    stage = Stage(Limits(shards=SHARDS, lost_lease=20))
    host = await stage.start()
    stage.journal.down.add("renew")
    await stage.clock.advance(19)
    assert (host.ended, len(host.shards)) == (False, SHARDS)
    await stage.clock.advance(3)
    assert (host.ended, len(host.shards)) == (True, 0)
    await stage.close()
