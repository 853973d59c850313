"""Promise 3: commands that arrive while a commit is under way share the next one; what is refused is decided again."""

import asyncio

import msgspec
import pytest

from actors.runtime.limits import Limits
from actors.runtime.ports import Unavailable
from actors.runtime.wire import Body, Record, encode
from tests.unit.stage import SHARDS, Stage
from tests.unit.toy import Balance, Deposit, Moved, Note, Withdraw


def foreign(entity: str, version: int, shard: int, seq: int, epoch: int = 1, command_id: str = "c:foreign") -> Record:
    """A record that somebody else wrote: a deposit of 1000."""
    body = Body(1, reply=encode(Balance(1000)), events=(encode(Moved(1000)),))
    return Record(b"foreign".ljust(16), "account", shard, seq, epoch, entity, version, command_id, encode(body))


def numbers(batch: list[Record]) -> list[tuple[str, int, int]]:
    return [(r.entity, r.version, r.seq) for r in batch]


async def test_all_that_comes_while_a_commit_hangs_goes_in_one_further_write(stage: Stage) -> None:
    await stage.start()
    stage.journal.hold("write")
    written = len(stage.journal.writes)
    first = stage.asking("a", Deposit(1))
    await stage.until(lambda: len(stage.journal.writes) == written + 1)
    rest = [stage.asking(f"b{n}", Deposit(1)) for n in range(30)]
    await stage.until(lambda: len(stage.toy.decided) == 31)
    assert len(stage.journal.writes) == written + 1
    stage.journal.let_go("write")
    await stage.run(asyncio.gather(first, *rest))
    assert [len(batch) for batch in stage.journal.writes[written:]] == [1, 30]


async def test_a_batch_is_bounded() -> None:
    stage = Stage(Limits(shards=SHARDS, batch_records=4))
    await stage.start()
    stage.journal.hold("write")
    written = len(stage.journal.writes)
    asked = [stage.asking("a", Deposit(1)) for _ in range(10)]
    await stage.until(lambda: len(stage.toy.decided) == 10)
    stage.journal.let_go("write")
    await stage.run(asyncio.gather(*asked))
    assert [len(batch) for batch in stage.journal.writes[written:]] == [4, 4, 2]
    await stage.close()


async def test_a_refused_record_takes_with_it_the_later_decisions_of_its_entity_and_no_others(stage: Stage) -> None:
    host = await stage.start()
    x, y = stage.ids(0, 2)
    z = stage.ids(1, 1)[0]
    for name in (x, y, z):
        await stage.ask(name, Note("here"))
    seq = {n: host.shards["account", n].seq for n in (0, 1)}
    stage.journal.plant(foreign(x, 2, shard=99, seq=1))
    stage.journal.hold("write")
    written = len(stage.journal.writes)
    held = stage.asking(stage.ids(2, 1)[0], Deposit(1))
    await stage.until(lambda: len(stage.journal.writes) == written + 1)
    asked = [
        stage.asking(x, Deposit(1)),
        stage.asking(y, Note("once")),
        stage.asking(x, Withdraw(1)),
        stage.asking(z, Note("once")),
        stage.asking(y, Note("twice")),
    ]
    await stage.until(lambda: len(stage.toy.decided) == 9)
    stage.journal.let_go("write")
    answers = await stage.run(asyncio.gather(held, *asked))
    sealed, renumbered = stage.journal.writes[written + 1], stage.journal.writes[written + 2]
    assert numbers(sealed) == [
        (x, 2, seq[0] + 1),
        (y, 2, seq[0] + 2),
        (x, 3, seq[0] + 3),
        (z, 2, seq[1] + 1),
        (y, 3, seq[0] + 4),
    ]
    # Decided once, renumbered and written again as they are; the other shard's was committed at the first go.
    assert numbers(renumbered)[:2] == [(y, 2, seq[0] + 1), (y, 3, seq[0] + 2)]
    assert [r.record_id for r in renumbered[:2]] == [sealed[1].record_id, sealed[4].record_id]
    assert all(z not in (r.entity for r in batch) for batch in stage.journal.writes[written + 2 :])
    assert stage.toy.decisions(y) == [Note("here"), Note("once"), Note("twice")]
    assert stage.toy.decisions(x) == [Note("here"), Deposit(1), Withdraw(1), Deposit(1), Withdraw(1)]
    assert [(a.reply, a.version) for a in (answers[1], answers[3])] == [(Balance(1001), 3), (Balance(1000), 4)]
    shard_seqs = sorted(r.seq for r in stage.journal.records if r.shard == 0)
    assert shard_seqs == list(range(1, len(shard_seqs) + 1))


async def test_a_record_decided_again_has_an_id_of_its_own(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Note("here"))
    stage.journal.plant(foreign("a", 2, shard=99, seq=1))
    written = len(stage.journal.writes)
    await stage.ask("a", Deposit(1))
    first, second = stage.journal.writes[written:]
    assert (first[0].version, second[0].version) == (2, 3)
    assert first[0].record_id != second[0].record_id
    assert first[0].command_id == second[0].command_id


async def test_a_lost_fence_stops_its_shard_and_not_the_host(stage: Stage) -> None:
    host = await stage.start()
    x, y = stage.ids(0, 1)[0], stage.ids(1, 1)[0]
    stage.journal.plant(foreign("somebody", 1, shard=0, seq=2, epoch=2))
    with pytest.raises(Unavailable):
        await stage.ask(x, Deposit(1), seconds=1)
    assert sorted(n for _, n in host.shards) == [1, 2, 3]
    assert (await stage.ask(y, Deposit(1))).reply == Balance(1)
    assert stage.journal.of(x) == []


@pytest.mark.parametrize("how", ["drop", "lose"])
async def test_an_unknown_outcome_is_written_again_as_it_was_and_not_answered_by_reading(
    stage: Stage, how: str
) -> None:
    await stage.start()
    await stage.ask("a", Deposit(1))
    written, calls = len(stage.journal.writes), stage.journal.counted()
    stage.journal.script.extend([how, "drop"])
    answer = await stage.ask("a", Deposit(1))
    assert answer == (Balance(2), 2, False)
    writes = stage.journal.writes[written:]
    assert len(writes) == 3
    assert writes[0] == writes[1] == writes[2]
    reads = stage.journal.counted() - calls
    assert {name for name in reads if name not in ("renew", "save_checkpoints")} == set()
    assert stage.toy.decisions("a") == [Deposit(1), Deposit(1)]
    assert len(stage.journal.of("a")) == 2


async def test_nobody_is_answered_and_no_other_batch_goes_while_an_outcome_is_unknown(stage: Stage) -> None:
    await stage.start()
    written = len(stage.journal.writes)
    stage.journal.script.extend(["lose", "drop", "drop"])
    first = stage.asking("a", Deposit(1))
    await stage.until(lambda: len(stage.journal.writes) == written + 1)
    second = stage.asking("b", Deposit(1))
    await stage.until(lambda: len(stage.journal.writes) == written + 3)
    assert (first.done(), second.done()) == (False, False)
    await stage.run(asyncio.gather(first, second))
    assert [[r.entity for r in batch] for batch in stage.journal.writes[written:]] == [["a"]] * 4 + [["b"]]


@pytest.mark.parametrize("other", ["record id", "epoch"])
async def test_a_duplicate_is_success_only_if_it_is_this_very_record(stage: Stage, other: str) -> None:
    """What stands there after an unknown outcome may be another's record of the same place and command."""
    host = await stage.start()
    x = stage.ids(0, 1)[0]
    shard = host.shards["account", 0]
    stage.journal.script.append("drop")
    stage.journal.hold("write")
    asked = stage.asking(x, Deposit(1), key="k")
    await stage.until(lambda: any(r.entity == x for batch in stage.journal.writes for r in batch))
    mine = stage.journal.writes[-1][0]
    theirs = foreign(x, 1, 0, mine.seq, epoch=shard.epoch + (other == "epoch"), command_id=mine.command_id)
    if other == "epoch":
        theirs = msgspec.structs.replace(theirs, record_id=mine.record_id)
    stage.journal.plant(theirs)
    stage.journal.let_go("write")
    await stage.until(lambda: shard.closed)
    assert not asked.done()
    assert stage.journal.of(x) == [theirs]
    asked.cancel()


async def test_what_stands_behind_a_refused_record_is_not_written_with_what_is_unknown(stage: Stage) -> None:
    """One shard's conflict and another's lost answer in the same write: only the unknown may go again as it is."""
    await stage.start()
    x, y = stage.ids(0, 2)
    z = stage.ids(1, 1)[0]
    await stage.ask(x, Note("here"))
    stage.journal.plant(foreign(x, 2, shard=99, seq=1))
    stage.journal.hold("write")
    written = len(stage.journal.writes)
    held = stage.asking(stage.ids(2, 1)[0], Deposit(1))
    await stage.until(lambda: len(stage.journal.writes) == written + 1)
    commands = [(x, Deposit(1)), (x, Deposit(1)), (y, Note("y")), (z, Note("z"))]
    asked = [stage.asking(name, command) for name, command in commands]
    await stage.until(lambda: len(stage.toy.decided) == 6)
    stage.journal.script.extend(["", f"drop {z}"])
    stage.journal.let_go("write")
    await stage.run(asyncio.gather(held, *asked))
    again = stage.journal.writes[written + 2]
    assert [r.entity for r in again] == [z]
    seqs = sorted(r.seq for r in stage.journal.records if r.shard == 0)
    assert seqs == list(range(1, len(seqs) + 1))
    assert (await stage.view(x)).balance == 1002
