"""Promise 6: of two incarnations of a shard only the newer one writes, and only one at a time answers reads."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.decision import Refused
from actors.runtime.ports import Unavailable
from actors.runtime.wire import Note as What
from actors.runtime.wire import body_of
from tests.unit.stage import Stage
from tests.unit.toy import Balance, Deposit, Statement, Withdraw

FIRST = ("account", 0)


@pytest.fixture
async def other(stage: Stage) -> AsyncIterator[Stage]:
    """A part of the network that does not see the first one; the journal and the time are the same."""
    made = Stage(beside=stage)
    yield made
    await made.close()


async def test_a_claim_is_the_next_record_with_a_higher_epoch(stage: Stage) -> None:
    host = await stage.start()
    name = stage.ids(0, 1)[0]
    await stage.ask(name, Deposit(1))
    await stage.kill(host)
    await stage.start()
    records = [r for r in stage.journal.records if r.shard == 0]
    assert [(r.seq, r.epoch, body_of(r).note) for r in records] == [
        (1, 1, What.CLAIM),
        (2, 1, What.DECISION),
        (3, 2, What.CLAIM),
    ]
    assert stage.journal.rows[FIRST].epoch == 2


async def test_after_a_claim_the_old_ones_writes_are_refused_and_it_stops(stage: Stage, other: Stage) -> None:
    old = await stage.start()
    name = stage.ids(0, 1)[0]
    await stage.ask(name, Deposit(10))
    stage.journal.down.add(old.lease.owner)
    await other.start("n", [0])
    with pytest.raises(Unavailable):
        await stage.ask(name, Deposit(1), key="k", seconds=1)
    assert FIRST not in old.shards
    assert sorted(n for _, n in old.shards) == [1, 2, 3]
    assert (await other.ask(name, Deposit(1), key="k")) == (Balance(11), 2, False)
    assert [r.epoch for r in stage.journal.of(name)] == [1, 2]


async def test_a_write_that_lands_after_the_claim_is_refused_whole(stage: Stage, other: Stage) -> None:
    old = await stage.start()
    name = stage.ids(0, 1)[0]
    stage.journal.hold("write")
    late = [stage.asking(name, Deposit(n)) for n in (1, 2)]
    await stage.until(lambda: any(r.entity == name for batch in stage.journal.writes for r in batch))
    held = stage.journal._held.pop("write")
    await other.start("n", [0])
    held.set()
    await stage.until(lambda: FIRST not in old.shards)
    assert stage.journal.of(name) == []
    assert [task.done() for task in late] == [False, False]
    for task in late:
        task.cancel()
    assert (await other.view(name)).balance == 0


async def test_the_new_one_answers_only_when_the_old_ones_lease_has_run_out(stage: Stage, other: Stage) -> None:
    old = await stage.start()
    name = stage.ids(0, 1)[0]
    await stage.ask(name, Deposit(10))
    stage.journal.down.add(old.lease.owner)
    starting = asyncio.ensure_future(other.cluster.start("n", [FIRST]))
    while not starting.done():
        if old.lease.valid():
            assert other.cluster.way.hosts == [] or FIRST not in other.cluster.way.hosts[0].shards
            assert await _reads(stage, name) == Statement(10)
        else:
            assert await _reads(stage, name) is None
        await stage.clock.advance(0.05)
    assert not old.lease.valid()
    assert stage.clock.monotonic() >= stage.limits.lease_ms / 1000
    assert (await other.view(name)).balance == 10


async def _reads(stage: Stage, name: str) -> object:
    """What a reader gets at once, None if nothing."""
    read = asyncio.ensure_future(stage.cluster.region.read("account", name))
    await stage.clock.advance(0)
    if read.done():
        return read.result().reply
    read.cancel()
    return None


async def test_without_a_lease_there_are_no_reads_nor_answers_that_rest_on_one(stage: Stage) -> None:
    """A refusal that leaves no record says how things stand, as a read does."""
    host = await stage.start()
    await stage.ask("a", Deposit(10))
    stage.journal.down.add(host.lease.owner)
    await stage.clock.advance(3)
    assert not host.lease.valid()
    with pytest.raises(Unavailable):
        await stage.run(stage.cluster.region.read("account", "a", seconds=0.5))
    with pytest.raises(Unavailable):
        await stage.run(stage.cluster.region.watch("account", "a", seconds=0.5))
    with pytest.raises(Unavailable):
        await stage.ask("a", Withdraw(50), seconds=0.5)
    # A record is its own proof: writes go on.
    assert (await stage.ask("a", Withdraw(1))).reply == Balance(9)
    refused = await stage.ask("a", Withdraw(50), key="k")
    assert refused.reply == Refused("too_little", "There is not enough.", {"left": 9})


async def test_an_old_one_that_is_well_hears_of_it_and_stops_before_the_new_one_answers(
    stage: Stage, other: Stage
) -> None:
    old = await stage.start()
    starting = asyncio.ensure_future(other.cluster.start("n", [FIRST]))
    await stage.until(lambda: FIRST not in old.shards)
    assert not starting.done()
    new = await stage.run(starting)
    assert FIRST in new.shards
    assert old.lease.valid()
    assert sorted(n for _, n in old.shards) == [1, 2, 3]


async def test_one_that_slept_through_the_taking_hears_of_it_when_it_wakes(stage: Stage, other: Stage) -> None:
    """Its lease had ended when the shard was taken: nobody waited for it, so it must be told at its next renewal."""
    old = await stage.start()
    name = stage.ids(0, 1)[0]
    await stage.ask(name, Deposit(10))
    stage.journal.down.add(old.lease.owner)
    await stage.clock.advance(30)
    await other.start("n", [0])
    await other.ask(name, Deposit(1))
    stage.journal.down.clear()
    await stage.until(old.lease.valid)
    assert FIRST not in old.shards
    assert await _reads(stage, name) is None


async def test_one_that_loses_a_shard_while_it_is_recovering_it_never_serves_it(stage: Stage, other: Stage) -> None:
    """It is told at a renewal, before the shard is among those that it has."""
    stage.journal.hold("shard_records")
    starting = asyncio.ensure_future(stage.start("slow", [0]))
    await stage.until(lambda: stage.journal.counted()["shard_records"] == 1)
    held = stage.journal._held.pop("shard_records")
    name = stage.ids(0, 1)[0]
    await other.start("n", [0])
    await other.ask(name, Deposit(1))
    await stage.clock.advance(2)
    held.set()
    slow = await starting
    assert slow.lease.valid()
    assert FIRST not in slow.shards


async def test_a_released_shard_waits_for_no_lease(stage: Stage) -> None:
    host = await stage.start()
    name = stage.ids(0, 1)[0]
    await stage.ask(name, Deposit(10))
    await stage.stop(host)
    last = max((r for r in stage.journal.records if r.shard == 0), key=lambda r: r.seq)
    assert body_of(last).note is What.RELEASE
    before = stage.clock.monotonic()
    await stage.start()
    assert stage.clock.monotonic() == before
    assert stage.journal.counted()["revoke"] == 0
    assert (await stage.view(name)).balance == 10


async def test_a_shard_is_released_when_its_last_outcome_is_known(stage: Stage) -> None:
    host = await stage.start()
    name = stage.ids(0, 1)[0]
    stage.journal.hold("write")
    asked = stage.asking(name, Deposit(1))
    await stage.until(lambda: any(r.entity == name for batch in stage.journal.writes for r in batch))
    leaving = asyncio.ensure_future(host.disown([FIRST]))
    await stage.clock.advance(1)
    assert not leaving.done()
    assert await _reads(stage, name) is None
    stage.journal.let_go("write")
    await stage.run(leaving)
    notes = [body_of(r).note for r in stage.journal.records if r.shard == 0]
    assert notes == [What.CLAIM, What.DECISION, What.RELEASE]
    assert (await stage.run(asked)).reply == Balance(1)


async def test_only_the_newest_of_several_claims_gets_the_row(stage: Stage, other: Stage) -> None:
    """The row is taken only as it was read: who claimed later and came first keeps it."""
    third = Stage(beside=stage)
    old = await stage.start("old", [0])
    stage.journal.down.add(old.lease.owner)
    stage.journal.hold("take_shards")
    first = asyncio.ensure_future(other.cluster.start("n", [FIRST]))
    await stage.until(lambda: stage.journal.counted()["take_shards"] == 2)
    held = stage.journal._held.pop("take_shards")
    newest = await third.start("newest", [0])
    held.set()
    late = await stage.run(first)
    assert (FIRST in late.shards, FIRST in newest.shards) == (False, True)
    assert stage.journal.rows[FIRST][2:4] == (newest.shards[FIRST].epoch, newest.lease.owner)
    await third.close()


async def test_a_claim_succeeds_though_the_old_one_writes_at_the_same_moment(stage: Stage, other: Stage) -> None:
    """The old one took the number that the claim had: the claim takes the next."""
    old = await stage.start()
    name = stage.ids(0, 1)[0]
    stage.journal.hold("write")
    starting = asyncio.ensure_future(other.cluster.start("n", [FIRST]))
    await stage.until(lambda: len(stage.journal.writes) == 2)
    held = stage.journal._held.pop("write")
    await stage.ask(name, Deposit(1))
    held.set()
    new = await stage.run(starting)
    assert FIRST in new.shards
    assert new.shards[FIRST].epoch == 2
    assert old.shards.get(FIRST) is None
    assert (await other.view(name)).balance == 1
